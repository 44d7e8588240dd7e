"""What the doctor says of what it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.cli.findings import (
    check_core,
    check_data,
    check_engine,
    check_git,
    check_names,
    check_proxies,
    check_python,
    check_settings,
    check_sqlite,
)
from infrastructure.compiled import Core
from infrastructure.config.load import Loaded, load_settings
from infrastructure.config.settings import ServerSettings
from infrastructure.storage.lock import Holder


@pytest.mark.parametrize(("version", "state"), [((3, 10, 9), "bad"), ((3, 11, 0), "good"), ((3, 14, 1), "good")])
def test_python_below_3_11_is_bad(version: tuple[int, ...], state: str) -> None:
    assert check_python(version).state == state


@pytest.mark.parametrize(("version", "state"), [((3, 40, 1), "warning"), ((3, 51, 2), "warning"), ((3, 51, 3), "good")])
def test_sqlite_with_the_reset_bug_is_a_warning(version: tuple[int, ...], state: str) -> None:
    assert check_sqlite(version).state == state


@pytest.mark.parametrize(
    ("core", "said"),
    [
        (Core(True, "18 modules"), "compiled (18 modules)"),
        (Core(False, "it was not compiled"), "interpreted (it was not compiled)"),
    ],
)
def test_form_of_the_core_is_told_with_its_reason_and_neither_is_a_fault(core: Core, said: str) -> None:
    finding = check_core(core)
    assert finding.state == "good"
    assert finding.said.startswith(said)


def test_missing_git_is_a_warning_since_plain_folders_work() -> None:
    assert check_git(None).state == "warning"
    assert check_git("git version 2.43.0\n").said == "2.43.0"


def test_data_directory_is_made_and_written(tmp_path: Path) -> None:
    finding = check_data(tmp_path / "new" / "data")
    assert finding.state in ("good", "warning")
    assert (tmp_path / "new" / "data").is_dir()


def test_data_directory_that_cannot_be_made_is_bad_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = check_data(tmp_path / "file" / "data")
    assert finding.state == "bad"
    assert "--data" in finding.fix


def test_other_owner_of_a_top_level_name_is_bad() -> None:
    assert check_names({"agents": ["corral"], "backend": ["corral"]}).state == "good"
    finding = check_names({"agents": ["corral", "openai-agents"], "rich": ["rich"]})
    assert finding.state == "bad"
    assert "openai-agents" in finding.said
    assert "pipx" in finding.fix


def test_proxy_matters_only_for_servers_elsewhere() -> None:
    here, there = ServerSettings(), ServerSettings(url="http://gpu.lan:11434")
    proxy = {"https_proxy": "http://proxy:3128"}
    assert check_proxies([there], {}).state == "good"
    assert check_proxies([here], proxy).state == "good"
    finding = check_proxies([here, there], proxy)
    assert finding.state == "warning"
    assert "NO_PROXY=gpu.lan" in finding.fix


@pytest.mark.parametrize("besides", ["gpu.lan", ".lan", "elsewhere, lan", "*"])
def test_proxy_that_no_proxy_keeps_from_the_servers_is_no_matter(besides: str) -> None:
    there = ServerSettings(url="http://gpu.lan:11434")
    environ = {"HTTPS_PROXY": "http://me:hush@proxy:3128", "NO_PROXY": besides}
    assert check_proxies([there], environ).state == "good"
    finding = check_proxies([there], environ | {"NO_PROXY": "an.lan"})
    assert (finding.state, "NO_PROXY=an.lan,gpu.lan" in finding.fix) == ("warning", True)
    assert "hush" not in finding.said


def loaded(file: Path, environ: dict[str, str] | None = None) -> Loaded:
    return load_settings(file if file.exists() else None, environ or {})


def test_settings_say_where_they_come_from(tmp_path: Path) -> None:
    file = tmp_path / "corral.toml"
    finding = check_settings(file, loaded(file, {"CORRAL_MODEL": "m", "OLLAMA_HOST": "gpu"}), mode=None)
    assert finding.state == "good"
    assert f"{file} is not there" in finding.said
    assert finding.said.endswith("from the environment: CORRAL_MODEL, OLLAMA_HOST")


@pytest.mark.parametrize(
    ("content", "mode", "state"),
    [
        ('[serve]\npassword = "hush-hush"\n', 0o644, "warning"),
        ('[serve]\npassword = "hush-hush"\n', 0o600, "good"),
        ('servers = ["https://me:hush@gpu"]\n', 0o640, "warning"),
        ('model = "m"\n', 0o644, "good"),
    ],
)
def test_file_with_a_secret_that_others_can_read_is_a_warning(
    tmp_path: Path, content: str, mode: int, state: str
) -> None:
    file = tmp_path / "corral.toml"
    file.write_text(content)
    finding = check_settings(file, loaded(file), mode=mode)
    assert finding.state == state
    assert ("chmod 600" in finding.fix) == (state == "warning")


def test_secret_of_the_environment_is_no_matter_of_the_files_mode(tmp_path: Path) -> None:
    file = tmp_path / "corral.toml"
    file.write_text('model = "m"\n')
    assert check_settings(file, loaded(file, {"CORRAL_SERVE__PASSWORD": "hush-hush"}), mode=0o644).state == "good"


def test_engine_is_told_by_who_holds_it() -> None:
    assert check_engine(None).state == "good"
    holder = Holder(pid=7, verb="serve", started=datetime(2026, 1, 5, tzinfo=UTC), address="http://127.0.0.1:8765")
    assert "`corral serve` (process 7) at http://127.0.0.1:8765" in check_engine(holder).said
