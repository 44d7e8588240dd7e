"""Which form of the core is used: the compiled one only where it is of exactly these sources."""

from __future__ import annotations

import json
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from infrastructure.compiled import FOLDER, MANIFEST, VARIABLE, WrongCore, choose, sha256

SUFFIX = EXTENSION_SUFFIXES[0]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one module, and what was compiled of it."""
    folder = tmp_path / "infrastructure"
    (folder / "pool").mkdir(parents=True)
    (folder / "pool" / "queue.py").write_text("NUMBER = 1\n")
    compile_in(folder, folder / FOLDER)
    return folder


def compile_in(package: Path, into: Path, suffix: str = SUFFIX) -> None:
    into.mkdir()
    digests = {"infrastructure.pool.queue": sha256(package / "pool" / "queue.py")}
    (into / MANIFEST).write_text(json.dumps({"suffix": suffix, "library": "core", "modules": digests}))


def test_what_was_compiled_of_these_sources_is_found_and_nothing_else(package: Path) -> None:
    core, finder = choose({}, package)
    assert core.compiled
    assert finder is not None
    found = finder.find_spec("infrastructure.pool.queue", None)
    assert found is not None
    assert found.origin == str(package / FOLDER / "infrastructure" / "pool" / f"queue{SUFFIX}")
    library = finder.find_spec("core", None)
    assert library is not None
    assert library.origin == str(package / FOLDER / f"core{SUFFIX}")
    assert finder.find_spec("infrastructure.pool.line", None) is None


def test_edited_module_is_never_shadowed(package: Path) -> None:
    (package / "pool" / "queue.py").write_text("NUMBER = 2\n")
    core, finder = choose({}, package)
    assert (core.compiled, finder) == (False, None)
    assert "infrastructure.pool.queue has changed" in core.said


def test_removed_module_does_not_live_on(package: Path) -> None:
    (package / "pool" / "queue.py").unlink()
    assert not choose({}, package)[0].compiled


def test_compiled_form_of_another_interpreter_is_left_aside(package: Path, tmp_path: Path) -> None:
    compile_in(package, tmp_path / "other", ".cpython-399-x86_64-linux-gnu.so")
    with pytest.raises(WrongCore, match="another interpreter"):
        choose({VARIABLE: str(tmp_path / "other")}, package)


def test_without_a_compiled_form_python_is_used(package: Path, tmp_path: Path) -> None:
    (package / FOLDER).rename(tmp_path / "elsewhere")
    core, finder = choose({}, package)
    assert (core.compiled, finder, core.said) == (False, None, "it was not compiled")


def test_environment_chooses(package: Path, tmp_path: Path) -> None:
    assert not choose({VARIABLE: "interpreted"}, package)[0].compiled
    assert choose({VARIABLE: "compiled"}, package)[0].compiled
    (package / FOLDER).rename(tmp_path / "elsewhere")
    assert choose({VARIABLE: str(tmp_path / "elsewhere")}, package)[0].compiled
    with pytest.raises(WrongCore, match="make compiled"):
        choose({VARIABLE: "compiled"}, package)
