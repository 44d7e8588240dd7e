"""What must be readable for an interpreter to start."""

import sys
from pathlib import Path

import pytest

from infrastructure.sandbox import Command, Sandbox, interpreter_paths

PYTHON = Path(sys.executable)
OURS = interpreter_paths(PYTHON)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def installed(prefix: Path) -> Path:
    """An interpreter in a prefix of its own; its real file."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib" / "python3.11").mkdir(parents=True)
    (prefix / "lib" / "libpython3.11.so.1.0").touch()
    python = prefix / "bin" / "python3.11"
    python.touch(0o755)
    (prefix / "bin" / "python3").symlink_to("python3.11")
    return python


def environment_of(folder: Path, python: Path, home: Path | None = None) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {home or python.parent}\nversion = 3.11.7\n")
    (folder / "bin" / "python3").symlink_to(python)
    (folder / "bin" / "python").symlink_to("python3")
    return folder / "bin" / "python"


def test_a_virtual_environment_needs_itself_and_its_installation(home: Path) -> None:
    python = environment_of(home / "project" / ".venv", installed(home / ".pyenv" / "versions" / "3.11.7"))

    assert set(interpreter_paths(python)) == {
        home / "project" / ".venv",
        home / ".pyenv" / "versions" / "3.11.7",
    }


def test_an_installation_seen_through_a_linked_folder_is_needed_under_both_names(home: Path) -> None:
    real = home / "share" / "cpython-3.11.9"
    installed(real)
    alias = home / "share" / "cpython-3.11"
    alias.symlink_to("cpython-3.11.9")
    python = environment_of(home / ".venv", alias / "bin" / "python3.11", alias / "bin")

    assert set(interpreter_paths(python)) == {home / ".venv", real, alias}


def test_a_link_on_the_way_is_needed_too(home: Path) -> None:
    installed(home / "opt" / "python")
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(home / "opt" / "python" / "bin" / "python3")

    assert set(interpreter_paths(home / "bin" / "python")) == {home / "bin" / "python", home / "opt" / "python"}


@pytest.mark.parametrize("prefix", [".local", "."])
def test_an_installation_that_shares_its_prefix_with_the_user_shows_its_parts_only(home: Path, prefix: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".local" / "share" / "keyrings").mkdir(parents=True)
    python = installed(home / prefix)
    base = (home / prefix).resolve()

    assert set(interpreter_paths(python)) == {
        base / "bin" / "python3",
        base / "bin" / "python3.11",
        base / "lib" / "python3.11",
        base / "lib" / "libpython3.11.so.1.0",
    }


def test_what_every_level_shows_anyway_is_not_named(home: Path) -> None:
    python = next((path for path in Path("/usr/bin").glob("python3.*") if path.name[-1].isdecimal()), None)
    if python is None:
        pytest.skip("this system has no Python in /usr/bin")

    assert interpreter_paths(python) == ()
    assert interpreter_paths(environment_of(home / ".venv", python)) == (home / ".venv",)


def test_no_interpreter_is_an_error(home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        interpreter_paths(home / "bin" / "python")


@pytest.mark.slow
async def test_our_own_interpreter_starts_inside_with_its_packages(sandbox: Sandbox, tree: Path) -> None:
    ended = await sandbox.run(
        Command(
            argv=(str(PYTHON), "-c", "import pytest, ssl, sqlite3, ctypes, sys; print(sys.executable)"),
            tree=tree,
            read=OURS,  # what is under test
        )
    )

    assert (ended.exit_code, ended.stdout) == (0, f"{PYTHON}\n"), ended
