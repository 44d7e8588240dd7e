"""The compose file and the Modelfile: valid, and true to what the documentation promises."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from compose_spec import PyCompose

from backend.cli.app import build_app
from infrastructure.config.load import load_settings

VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
EVER = {"ollama", "models", "corral"}
"""Services that `docker compose up` starts."""
Services = dict[str, dict[str, Any]]


@pytest.fixture
def compose(repository_root: Path) -> dict[str, Any]:
    """The file as Compose has it when no variable is set."""
    text = VARIABLE.sub(r"\2", (repository_root / "docker-compose.yml").read_text())
    return yaml.safe_load(text)


@pytest.fixture
def services(compose: dict[str, Any]) -> Services:
    return compose["services"]


def test_compose_file_passes_the_compose_schema(compose: dict[str, Any]) -> None:
    assert set(PyCompose.from_yaml(json.dumps(compose)).service_names()) == {*EVER, "cli", "proxy", "postgres"}
    compose["services"]["corral"]["ports"] = "everywhere"
    with pytest.raises(ValueError, match="ports"):
        PyCompose.from_yaml(json.dumps(compose))


@pytest.mark.parametrize("profile", ["", "cli", "proxy", "postgres"])
def test_a_profile_starts_its_own_service_and_lacks_nothing(
    compose: dict[str, Any], services: Services, profile: str
) -> None:
    started = {name for name, each in services.items() if not each.get("profiles") or profile in each["profiles"]}
    assert started == EVER | ({profile} - {""})
    for name in started:
        service = services[name]
        joined = [value.partition(":")[2] for key in ("network_mode", "pid") if (value := service.get(key))]
        assert {*service.get("depends_on", ()), *joined} <= started, name
        assert set(service.get("secrets", ())) <= compose["secrets"].keys(), name
        named = {volume.partition(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./"}
        assert named <= compose["volumes"].keys(), name


def test_every_image_is_pinned_and_every_port_is_on_loopback(services: Services) -> None:
    images = [service["image"] for service in services.values()]
    assert all(":" in image and not image.endswith(":latest") for image in images)
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nothing_waits_for_the_model_pull_and_corral_for_no_health(services: Services) -> None:
    assert not [name for name, service in services.items() if "models" in service.get("depends_on", ())]
    assert services["corral"]["depends_on"] == ["ollama"]


def test_what_goes_on_says_whether_it_is_well(services: Services) -> None:
    lasting = {name for name, service in services.items() if service.get("restart") == "unless-stopped"}
    assert lasting == {"ollama", "corral", "proxy", "postgres"}
    assert not [name for name in lasting if not services[name]["healthcheck"]["test"]]


def test_corral_is_served_behind_a_password_that_is_no_variable_and_in_no_image(
    compose: dict[str, Any], services: Services
) -> None:
    corral = services["corral"]
    words = [str(word) for word in corral["command"]]
    command, bound, _ = build_app().parse_args(words)
    assert (command.__name__, bound.arguments["host"], bound.arguments["port"]) == ("serve", "0.0.0.0", 8765)
    assert str(bound.arguments["password_file"]) == f"/run/secrets/{corral['secrets'][0]}"
    assert compose["secrets"]["corral_password"]["file"]
    assert "PASSWORD" not in json.dumps(corral["environment"])
    copied = [line.split()[1:-1] for line in corral["build"]["dockerfile_inline"].splitlines() if line[:4] == "COPY"]
    assert copied
    assert not [source for sources in copied for source in sources if source.startswith((".", "*"))]
    assert float(corral["stop_grace_period"].removesuffix("s")) > 5
    assert corral["init"] is True


def test_health_check_is_a_program_that_python_can_read(services: Services) -> None:
    how, python, option, program = services["corral"]["healthcheck"]["test"]
    assert (how, python, option) == ("CMD", "python", "-c")
    assert "/health/ready" in program
    compile(program, "healthcheck", "exec")


@pytest.mark.parametrize("name", ["corral", "cli"])
def test_sandbox_is_a_named_level_and_the_container_is_not_opened_for_it(services: Services, name: str) -> None:
    service = services[name]
    settings = load_settings(None, {key: str(value) for key, value in service["environment"].items()}).settings
    assert settings.sandbox.level == "landlock"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "userns_mode"} & service.keys()
    assert [(server.url, server.slots) for server in settings.servers] == [("http://ollama:11434", 2)]
    assert services["ollama"]["environment"]["OLLAMA_NUM_PARALLEL"] == 2
    assert settings.paths.data.is_relative_to("/data")


def test_a_command_of_its_own_can_be_the_servers_guest(services: Services) -> None:
    cli, corral = services["cli"], services["corral"]
    assert (cli["network_mode"], cli["pid"]) == ("service:corral", "service:corral")
    assert cli["volumes"] == corral["volumes"]  # the same data directory, and paths that mean the same to both
    assert cli["image"] == corral["image"]


def copied_of(services: Services) -> list[tuple[list[str], str]]:
    """The sources and the destination of each COPY of the image."""
    lines = services["corral"]["build"]["dockerfile_inline"].splitlines()
    words = [shlex.split(line)[1:] for line in lines if line.startswith("COPY ")]
    return [(sources, destination) for *sources, destination in words]


@pytest.fixture
def context(repository_root: Path, services: Services, tmp_path: Path) -> Path:
    """A folder with what the image's has, and a compiled core beside it, as a checkout may have one."""
    folder = tmp_path / "app"
    folder.mkdir()
    for sources, destination in copied_of(services):
        for source in sources:
            target = folder / destination / source if destination.endswith("/") else folder / destination
            if (repository_root / source).is_dir():
                shutil.copytree(repository_root / source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(repository_root / source, target)
    compiled = folder / "infrastructure" / "_compiled"
    compiled.mkdir(exist_ok=True)
    (compiled / "core.so").touch()
    return folder


@pytest.mark.slow
def test_image_can_be_built_of_what_is_copied_into_it(context: Path, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps", "--quiet")
    environment = {name: value for name, value in os.environ.items() if name != "CORRAL_COMPILE"}
    built = subprocess.run(
        [*pip, "--disable-pip-version-check", "--wheel-dir", str(tmp_path / "wheels"), "."],
        cwd=context, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    packages = [path for name in ("agents", "infrastructure", "backend") for path in (context / name).rglob("*")]
    files = {path.relative_to(context).as_posix() for path in packages if path.is_file()}
    assert inside == {name for name in files if "/__pycache__/" not in name and "/_compiled/" not in name}


def test_what_the_image_is_made_of_is_there(repository_root: Path, services: Services) -> None:
    lines = services["corral"]["build"]["dockerfile_inline"].splitlines()
    copied = [source for sources, _ in copied_of(services) for source in sources]
    assert copied
    assert not [source for source in copied if not (repository_root / source).exists()]
    pinned = (repository_root / "requirements" / "dev.lock").read_text()
    named = re.findall(r"(hatchling==[0-9.]+)", "\n".join(lines))
    assert named
    assert all(name in pinned for name in named)


def test_modelfile_pins_the_window_and_bounds_the_answer(repository_root: Path) -> None:
    lines = (repository_root / "ollama.Modelfile").read_text().splitlines()
    parameters = dict(line.split()[1:3] for line in lines if line.startswith("PARAMETER"))
    assert int(parameters["num_ctx"]) >= 32768
    assert 0 < int(parameters["num_predict"]) <= int(parameters["num_ctx"]) // 2
    assert sum(line.startswith("FROM ") for line in lines) == 1
