"""The compose file and the Modelfile: valid, and true to what the documentation promises."""

from pathlib import Path

import yaml
from compose_spec import PyCompose


def test_compose_file_passes_the_compose_schema(repository_root: Path) -> None:
    compose = PyCompose.from_yaml((repository_root / "docker-compose.yml").read_text())
    assert set(compose.service_names()) == {"ollama", "models", "corral", "proxy"}


def test_every_image_is_pinned_and_every_port_is_on_loopback(repository_root: Path) -> None:
    services = yaml.safe_load((repository_root / "docker-compose.yml").read_text())["services"]
    images = [service["image"] for service in services.values() if "image" in service]
    assert images
    assert all(":" in image and not image.endswith(":latest") for image in images)
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_nothing_waits_for_the_model_pull(repository_root: Path) -> None:
    services = yaml.safe_load((repository_root / "docker-compose.yml").read_text())["services"]
    assert not [name for name, service in services.items() if "models" in service.get("depends_on", ())]


def test_modelfile_pins_the_window_and_bounds_the_answer(repository_root: Path) -> None:
    lines = (repository_root / "ollama.Modelfile").read_text().splitlines()
    parameters = dict(line.split()[1:3] for line in lines if line.startswith("PARAMETER"))
    assert int(parameters["num_ctx"]) >= 32768
    assert 0 < int(parameters["num_predict"]) <= int(parameters["num_ctx"]) // 2
    assert sum(line.startswith("FROM ") for line in lines) == 1
