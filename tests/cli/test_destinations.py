"""What is to be written is tried before the work: what is refused, and that nothing is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backend.cli.app import run_command
from backend.cli.destinations import writable_file, writable_folder
from backend.cli.errors import Refused


@pytest.mark.parametrize("file", [None, "-"])
def test_standard_output_and_nothing_need_no_check(file: str | None) -> None:
    assert writable_file("--patch", file) == file


def test_file_that_can_be_made_is_not_left_behind(tmp_path: Path) -> None:
    assert writable_file("--patch", str(tmp_path / "out.diff")) == str(tmp_path / "out.diff")
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out.diff").write_text("old")
    before = (tmp_path / "out.diff").stat().st_mtime_ns
    writable_file("--patch", str(tmp_path / "out.diff"))
    assert (tmp_path / "out.diff").read_text() == "old"
    assert (tmp_path / "out.diff").stat().st_mtime_ns == before


def test_link_to_a_file_that_is_not_there_yet_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out.diff")
    writable_file("--patch", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "out.diff").exists()


def test_pipe_is_not_opened_since_its_reader_may_come_later(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert writable_file("--patch", str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("nowhere/out.diff", "there is no folder", "mkdir -p"),
        ("a file/out.diff", "is a file, so nothing can be in it", "Name a file in a folder."),
        ("a folder", "is a folder", "Name a file in it."),
        ("x" * 300, "cannot be written: File name too long", "Name another file."),
    ],
)
def test_file_that_cannot_be_written_is_refused_with_what_to_do(
    tmp_path: Path, name: str, said: str, hint: str
) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a folder").mkdir()
    with pytest.raises(Refused) as refused:
        writable_file("--patch", str(tmp_path / name))
    assert refused.value.exit_code == 2
    assert said in str(refused.value)
    assert hint in refused.value.hint


def test_place_where_the_system_makes_no_files_is_refused() -> None:
    with pytest.raises(Refused, match="cannot be written"):
        writable_file("--patch", "/proc/out.diff")


def test_folder_may_be_there_or_be_made_and_is_not_made_yet(tmp_path: Path) -> None:
    assert writable_folder("--out", tmp_path) == tmp_path.resolve()
    assert writable_folder("--out", tmp_path / "a" / "b") == tmp_path.resolve() / "a" / "b"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a file", "a file/below"])
def test_folder_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(Refused, match="is a file"):
        writable_folder("--out", tmp_path / name)


def test_folder_whose_name_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--out: the path of the folder is not UTF-8: .*\\udcff/out$"):
        writable_folder("--out", tmp_path / "\udcff" / "out")


def test_demo_writes_over_nothing_that_it_did_not_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "README.md").write_text("mine")
    assert run_command(["demo", "--into", str(tmp_path)]) == 2
    assert "no demo made it" in capsys.readouterr().err
    assert (tmp_path / "repository" / "README.md").read_text() == "mine"
