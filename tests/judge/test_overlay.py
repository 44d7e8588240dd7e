"""The judge's files put over a copy: whatever stands in their way, and nothing outside the copy."""

import os
from pathlib import Path

import pytest

from infrastructure.judge.overlay import put_judge_files
from infrastructure.workspace.errors import PathRefused
from infrastructure.workspace.threads import Stopping


def put(work: Path, judge_files: dict[str, bytes]) -> None:
    there = [path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file() or path.is_symlink()]
    put_judge_files(work, there, judge_files, Stopping())


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def make(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_file_that_is_as_it_should_be_is_not_written_and_another_one_is(work: Path) -> None:
    make(work, {"test_same.py": "same", "tests/test_other.py": "changed", "app.py": "x"})
    before = {name: (work / name).stat() for name in ("test_same.py", "tests/test_other.py")}
    (work / "tests/test_other.py").chmod(0o755)

    put(work, {"test_same.py": b"same", "tests/test_other.py": b"as it was", "tests/deep/data.json": b"{}"})

    assert (work / "test_same.py").stat().st_mtime_ns == before["test_same.py"].st_mtime_ns
    assert (work / "tests/test_other.py").read_text() == "as it was"
    assert (work / "tests/test_other.py").stat().st_mode & 0o777 == 0o755, "a script stays executable"
    assert (work / "tests/deep/data.json").read_text() == "{}"
    assert (work / "app.py").read_text() == "x"


def test_longer_file_of_the_same_beginning_is_cut(work: Path) -> None:
    make(work, {"test_a.py": "assert x\nraise SystemExit\n"})
    put(work, {"test_a.py": b"assert x\n"})
    assert (work / "test_a.py").read_text() == "assert x\n"


def test_nothing_is_synced_nor_listed_for_each_file(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", asked.append)
        patch.setattr(os, "listdir", asked.append)
        put(work, {f"tests/test_{number}.py": b"x" for number in range(50)})
    assert len(list((work / "tests").iterdir())) == 50
    assert asked == []


@pytest.mark.parametrize("way", ["file", "folder", "link to a file", "link to a folder", "dangling link"])
@pytest.mark.parametrize("place", ["tests", "tests/test_a.py"])
def test_whatever_stands_in_the_way_goes_and_what_lies_behind_a_link_stays(
    work: Path, tmp_path: Path, way: str, place: str
) -> None:
    outside = tmp_path / "outside"
    make(outside, {"test_a.py": "mine", "folder/keep.txt": "mine"})
    (work / place).parent.mkdir(parents=True, exist_ok=True)
    if way == "file":
        (work / place).write_text("in the way")
    elif way == "folder":
        make(work / place, {"inner/x.py": ""})
    else:
        target = {"link to a file": outside / "test_a.py", "link to a folder": outside}.get(way, tmp_path / "nowhere")
        (work / place).symlink_to(target)

    put(work, {"tests/test_a.py": b"the judge's"})

    assert (work / "tests" / "test_a.py").read_text() == "the judge's"
    assert not (work / "tests").is_symlink()
    assert not (work / "tests" / "test_a.py").is_symlink()
    assert (outside / "test_a.py").read_text() == "mine"
    assert (outside / "folder" / "keep.txt").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_steers_and_is_not_the_judges_goes_with_its_empty_folder(work: Path) -> None:
    make(work, {
        "conftest.py": "cheat", "pkg/conftest.py": "cheat", "pkg/code.py": "x",
        "cheat.dist-info/entry_points.txt": "[pytest11]", "cheat.dist-info/METADATA": "Name: cheat",
        "src/old.egg-info/PKG-INFO": "Name: old", "src/old.egg-info/more.txt": "",
    })  # fmt: skip
    put(work, {"pkg/conftest.py": b"the judge's", "src/old.egg-info/PKG-INFO": b"Name: old"})
    left = sorted(path.relative_to(work).as_posix() for path in work.rglob("*"))
    assert left == ["pkg", "pkg/code.py", "pkg/conftest.py", "src", "src/old.egg-info", "src/old.egg-info/PKG-INFO"]
    assert (work / "pkg/conftest.py").read_text() == "the judge's"


@pytest.mark.parametrize("path", ["../outside.py", "/etc/passwd", ".git/config", "a//b"])
def test_path_that_leaves_the_copy_is_refused(work: Path, path: str) -> None:
    with pytest.raises(PathRefused):
        put(work, {path: b"x"})
