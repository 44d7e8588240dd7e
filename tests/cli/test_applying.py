"""`corral apply` delivers the bytes that were tried, whatever the repository's attributes would make of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest

from backend.cli.apply import _say
from backend.cli.applying import apply_result
from backend.cli.console import open_terminal
from backend.cli.errors import Refused
from infrastructure.storage.control import ControlStore
from infrastructure.storage.directory import DataDirectory
from infrastructure.tasks import RunResult
from infrastructure.workspace import Applied, apply_patch, fork_tree, make_patch, take_snapshot, write_files
from tests.workspace.repos import Repo, run_program

CRLF = b"* text eol=crlf\n"


async def applied(place: Path, before: Mapping[str, bytes], after: Mapping[str, bytes | None], **other: str) -> Path:
    """The folder after the patch that leads from one to the other was applied; `other` is told of the result."""
    folder, directory = place / "folder", DataDirectory(place / "data")
    folder.mkdir()
    directory.root.mkdir()
    for path, content in before.items():
        (folder / path).write_bytes(content)
    snapshot = await take_snapshot(folder, directory.tree("r1"))
    tree = await fork_tree(snapshot, place / "tree")
    await write_files(tree, {path: None if content is None else content.decode() for path, content in after.items()})
    patch = await make_patch(snapshot, tree)
    told = {"patch": patch.text, "files": tuple(each.path for each in patch.files), **other}
    result = RunResult(run="r1", status="done", judge="found", exit_code=0, **told)
    done = await apply_result(result, directory, ControlStore(place / "control.db"))
    assert isinstance(done, Applied)
    return folder


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            {".gitattributes": CRLF, "a.py": b"x = 1\n"},
            {".gitattributes": CRLF + b"*.png binary\n", "a.py": b"x = 2\n"},
        ),
        ({"a.py": b"x = 1\n"}, {".gitattributes": CRLF, "a.py": b"x = 2\n"}),
        (
            {".gitattributes": b"*.py text eol=lf\n", "a.py": b"x = 1\r\ny = 1\r\n"},
            {".gitattributes": b"*.py text\n", "a.py": b"x = 2\r\ny = 1\r\n"},
        ),
        (
            {".gitattributes": b"*.py ident\n", "a.py": b"x = 1  # $Id$\n"},
            {".gitattributes": b"*.py ident\n*.md text\n", "a.py": b"x = 2  # $Id$\n"},
        ),
        (
            {".gitattributes": b"*.txt text working-tree-encoding=UTF-16\n", "a.txt": b"a\n", "gone.txt": b"x\n"},
            {".gitattributes": b"*.txt working-tree-encoding=UTF-16\n", "a.txt": b"b\n", "gone.txt": None},
        ),
    ],
    ids=["line ends", "new attributes", "line ends kept", "ident", "encoding"],
)
async def test_attributes_change_no_byte_of_what_was_tried(
    tmp_path: Path, before: Mapping[str, bytes], after: Mapping[str, bytes | None]
) -> None:
    folder = await applied(tmp_path, before, after)
    found = {path: (folder / path).read_bytes() if (folder / path).exists() else None for path in after}
    assert found == after


async def test_what_comes_out_otherwise_than_the_patch_says_is_refused(tmp_path: Path) -> None:
    patch = (
        f"diff --git a/a.py b/a.py\nindex {'1' * 40}..{'2' * 40} 100644\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"
    )
    with pytest.raises(Refused, match=r"another file a\.py"):
        await applied(tmp_path, {"a.py": b"x\n"}, {"a.py": b"y\n"}, patch=patch)
    assert (tmp_path / "folder" / "a.py").read_bytes() == b"x\n"


@pytest.mark.slow
@pytest.mark.parametrize("state", ["clean", "edited", "untracked", "nothing committed"])
async def test_what_is_said_of_a_branch_can_be_done(tmp_path: Path, state: str) -> None:
    repo = Repo(tmp_path / "repo", tmp_path / "ran")
    for path in () if state == "nothing committed" else ("kept.py", "a.py") if state != "untracked" else ("kept.py",):
        repo.write(path, "one\n")
        repo.commit()
    if state != "clean":
        repo.write("a.py", "one\nmine\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    done = await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch="b")
    assert isinstance(done, Applied)
    err = StringIO()
    _say(done, open_terminal(StringIO(), err))
    said = err.getvalue().splitlines()[-1]

    assert said.endswith("git switch b")
    if said != "  → git switch b":
        assert said.startswith("  → commit these")
        with pytest.raises(subprocess.CalledProcessError):
            run_program("git", "switch", "-q", "b", cwd=repo.root)
        repo.commit()
    repo.git("switch", "-q", "b")
    assert (repo.root / "a.py").read_text() == "two\n"
