"""`corral config`: what is written, what is shown, and what never is."""

from __future__ import annotations

import io
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.cli.app import run_command
from backend.cli.config import variables_over
from tests.cli.conftest import Done

SECRET = "hush-hush"
Config = Callable[..., Done]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "corral.toml"


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str], file: Path) -> Config:
    """`corral config` on this file."""

    def command(*arguments: str) -> Done:
        capsys.readouterr()
        code = run_command(["config", *arguments, "--config", str(file)])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return command


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_setting_is_written_and_shown_with_its_origin(config: Config, file: Path) -> None:
    write(file, "# mine\nmodel = 'old'\n")
    assert config("set", "model", "qwen2.5-coder:7b").code == 0
    assert file.read_text().startswith("# mine\n")
    assert tomllib.loads(file.read_text())["model"] == "qwen2.5-coder:7b"
    (line,) = [line for line in config("show", "--origin").out.splitlines() if line.startswith("model ")]
    assert line.split()[1] == '"qwen2.5-coder:7b"'
    assert str(file) in line


def test_missing_file_is_made_with_its_folder(config: Config, file: Path) -> None:
    done = config("set", "model", "big")
    assert (done.code, done.err) == (0, f'model is now "big" in {file}\n')
    assert file.read_text() == 'model = "big"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve.password", SECRET),
        ("servers", f'[{{"url": "gpu", "token": "{SECRET}"}}]'),
        ("servers", f"https://me:{SECRET}@gpu"),
        ("servers[0].token", SECRET),
        ("servers[0].password", SECRET),
    ],
)
def test_secret_is_written_and_never_shown_and_the_file_is_its_owners_alone(
    config: Config, file: Path, arguments: tuple[str, str]
) -> None:
    write(file, 'servers = ["gpu"]\n')
    file.chmod(0o644)
    done = config("set", *arguments)
    assert done.code == 0
    assert SECRET in file.read_text()
    assert SECRET not in done.out + done.err
    assert "from now on only you can" in done.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for shown in (config(), config("show", "--output", "json"), config("show", "--origin")):
        assert shown.code == 0
        assert SECRET not in shown.out + shown.err


@pytest.mark.parametrize("arguments", [("serve.password", "hush"), ("servers", "ftp://me:hush@gpu"), ("serve", "hush")])
def test_secret_that_is_not_accepted_is_not_shown_either(config: Config, arguments: tuple[str, str]) -> None:
    done = config("set", *arguments)
    assert done.code == 2
    assert "hush" not in done.err


def test_value_that_is_left_out_is_read_from_a_pipe(
    config: Config, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{SECRET}\n"))
    assert config("set", "serve.password").code == 0
    assert tomllib.loads(file.read_text())["serve"]["password"] == SECRET
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = config("set", "serve.password")
    assert done.code == 2
    assert "corral config set serve.password VALUE" in done.err


def test_variable_that_goes_before_the_file_is_told(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRAL_MODEL", "other")
    done = config("set", "model", "big")
    assert done.code == 0
    assert "warning: CORRAL_MODEL of the environment goes before the file" in done.err
    assert "warning" not in config("set", "pool.num_predict", "5").err


def test_setting_is_written_although_others_cannot_be_read_and_that_is_told(
    config: Config, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORRAL_RUN__REPAIRS", "many")
    done = config("set", "model", "big")
    assert (done.code, file.read_text()) == (0, 'model = "big"\n')
    assert "warning: there is more to mend" in done.err
    assert "CORRAL_RUN__REPAIRS" in done.err


def test_wrong_value_of_the_file_can_be_mended(config: Config, file: Path) -> None:
    write(file, "[pool]\nnum_predict = 0\n")
    assert config("show").code == 2
    assert config("set", "pool.num_predict", "5").code == 0
    assert config("show").code == 0


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("modle", "model"),
        ("server.password", "serve.password"),
        ("CORRAL_RUN__REPAIRS", "run.repairs"),
        ("token", "servers[0].token"),
    ],
)
def test_mistyped_name_is_refused_with_what_was_meant_and_nothing_is_made(
    config: Config, file: Path, name: str, meant: str
) -> None:
    for arguments in (("set", name, "x"), ("unset", name)):
        done = config(*arguments)
        assert done.code == 2
        assert f"error: {name}: there is no such setting; did you mean {meant}?" in done.err
    assert not file.exists()


def test_setting_is_taken_out_and_the_default_rules(config: Config, file: Path) -> None:
    write(file, 'model = "big"  # mine\n[pool]\nnum_predict = 5 # tokens\n')
    assert config("unset", "model").err == f"model is no longer set in {file}\n"
    assert "model" not in tomllib.loads(file.read_text())
    assert "# tokens" in file.read_text()
    done = config("unset", "model")
    assert (done.code, "does not set it" in done.err) == (2, True)


def test_where_names_the_file_and_the_data(config: Config, file: Path, tmp_path: Path) -> None:
    assert config("where", "--data", str(tmp_path / "d")).out == (
        f"settings  {file}  (not made yet)\ndata      {tmp_path / 'd'}\n"
    )
    write(file, "")
    assert config("where", "--data", str(tmp_path / "d")).out == f"settings  {file}\ndata      {tmp_path / 'd'}\n"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model", ()),
        ("pool", ("CORRAL_POOL__NUM_PREDICT",)),
        ("pool.num_predict", ("CORRAL_POOL__NUM_PREDICT",)),
        ("pool.line_bytes", ()),
        ("servers[0].token", ("CORRAL_SERVERS",)),
        ('lanes."q:1.5".num_ctx', ("CORRAL_LANES",)),
        ("lanes.other.num_ctx", ()),
    ],
)
def test_variables_that_rule_a_setting_are_found_by_its_place(name: str, found: tuple[str, ...]) -> None:
    origins = {
        "model": "file /x",
        "pool.num_predict": "environment CORRAL_POOL__NUM_PREDICT",
        "pool.line_bytes": "default",
        "servers": "environment CORRAL_SERVERS",
        'lanes."q:1.5".num_ctx': "environment CORRAL_LANES",
    }
    assert variables_over(name, origins) == found


def test_several_mistakes_of_the_file_are_told_apart_in_one_line(config: Config, file: Path) -> None:
    write(file, 'model = 3\n[sandbox]\nlevel = "nope"\n')
    done = config("show")
    assert f"write a text in quotes; file {file}: sandbox.level" in done.err
    assert config("unset", "model").err.splitlines()[0] == f"model is no longer set in {file}"
