"""Which form of the core is used: the compiled one only where it is of exactly these sources."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import orjson.orjson as loadable
import pytest

from hatch_build import put
from infrastructure.compiled import FOLDER, MANIFEST, VARIABLE, WrongCore, choose, sha256

LIBRARY = "orjson"
"""Some extension module; it stands for the core's."""
SUFFIX = Path(loadable.__file__).name.removeprefix(LIBRARY)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one module, and what was compiled of it."""
    folder = tmp_path / "infrastructure"
    (folder / "pool").mkdir(parents=True)
    (folder / "pool" / "queue.py").write_text("NUMBER = 1\n")
    compile_in(folder, folder / FOLDER)
    return folder


def compile_in(package: Path, into: Path, suffix: str = SUFFIX) -> None:
    (into / "infrastructure" / "pool").mkdir(parents=True)
    (into / "infrastructure" / "pool" / f"queue{suffix}").touch()
    shutil.copy(loadable.__file__, into / f"{LIBRARY}{suffix}")
    digests = {"infrastructure.pool.queue": sha256(package / "pool" / "queue.py")}
    (into / MANIFEST).write_text(json.dumps({"suffix": suffix, "library": LIBRARY, "modules": digests}))


def test_what_was_compiled_of_these_sources_is_found_and_nothing_else(package: Path) -> None:
    core, finder = choose({}, package)
    assert core.compiled
    assert finder is not None
    found = finder.find_spec("infrastructure.pool.queue", None)
    assert found is not None
    assert found.origin == str(package / FOLDER / "infrastructure" / "pool" / f"queue{SUFFIX}")
    library = finder.find_spec(LIBRARY, None)
    assert library is not None
    assert library.origin == str(package / FOLDER / f"{LIBRARY}{SUFFIX}")
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


WHOLE = {"suffix": SUFFIX, "library": LIBRARY, "modules": {}}


@pytest.mark.parametrize(
    "manifest",
    [
        json.dumps(WHOLE)[:40],
        "",
        "null",
        json.dumps(WHOLE | {"later": 1}),
        json.dumps({"suffix": SUFFIX}),
        json.dumps(WHOLE | {"modules": ["infrastructure.pool.queue"]}),
        json.dumps(WHOLE | {"suffix": []}),
        b"\xff\x00",
    ],
)
def test_manifest_that_is_none_stops_nothing_that_does_not_insist(package: Path, manifest: str | bytes) -> None:
    content = manifest if isinstance(manifest, bytes) else manifest.encode()
    (package / FOLDER / MANIFEST).write_bytes(content)
    is_left_aside(package, "manifest cannot be read")


def test_manifest_that_is_a_folder_stops_nothing_either(package: Path) -> None:
    (package / FOLDER / MANIFEST).unlink()
    (package / FOLDER / MANIFEST).mkdir()
    is_left_aside(package, "manifest cannot be read")


@pytest.mark.parametrize("missing", [f"{LIBRARY}{SUFFIX}", f"infrastructure/pool/queue{SUFFIX}"])
def test_core_that_lacks_a_file_is_left_aside(package: Path, missing: str) -> None:
    (package / FOLDER / missing).unlink()
    is_left_aside(package, "No such file")


def test_core_that_this_machine_cannot_load_is_left_aside(package: Path) -> None:
    (package / FOLDER / f"{LIBRARY}{SUFFIX}").write_bytes(b"of another kind of machine")
    is_left_aside(package, "cannot be loaded")


def is_left_aside(package: Path, why: str) -> None:
    core, finder = choose({}, package)
    assert (core.compiled, finder) == (False, None)
    assert why in core.said
    with pytest.raises(WrongCore, match=why):
        choose({VARIABLE: "compiled"}, package)


def test_build_that_is_stopped_while_it_copies_leaves_what_was_there(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_in(package, tmp_path / "made")
    before = sorted(package.rglob("*"))

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copystat", stop)  # what follows the content of the first file
        with pytest.raises(KeyboardInterrupt):
            put(tmp_path / "made", package / FOLDER)
    assert sorted(package.rglob("*")) == before
    assert choose({}, package)[0].compiled


def test_build_replaces_all_that_was_there(package: Path, tmp_path: Path) -> None:
    compile_in(package, tmp_path / "made")
    (package / FOLDER / "of a former build").touch()
    put(tmp_path / "made", package / FOLDER)
    assert sorted(path.name for path in package.iterdir()) == [FOLDER, "pool"]
    assert not (package / FOLDER / "of a former build").exists()
    assert choose({}, package)[0].compiled
    put(tmp_path / "made", tmp_path / "not" / "yet" / "there")
    assert choose({VARIABLE: str(tmp_path / "not" / "yet" / "there")}, package)[0].compiled


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
