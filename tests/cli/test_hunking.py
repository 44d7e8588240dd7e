"""`corral apply` with a part of a patch, and what is asked of a person who picks it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.cli.applying import apply_result
from backend.cli.console import open_terminal
from backend.cli.errors import Refused
from backend.cli.hunking import ask_hunks, hunks_of, picked
from backend.cli.sampling import DemoPlace
from infrastructure.storage.control import ControlStore
from infrastructure.storage.directory import DataDirectory
from infrastructure.tasks import RunResult
from infrastructure.workspace import Applied, Conflict, fork_tree, make_patch, take_snapshot, write_files
from tests.cli.conftest import Corral, Solve, refused

BEFORE = {"a.py": "".join(f"line {number}\n" for number in range(40)), "old.py": "gone\n", "kept.py": "kept\n"}
AFTER = {
    "a.py": BEFORE["a.py"].replace("line 3\n", "three\n").replace("line 35\n", "thirty\nfive\n"),
    "new.py": "made\n",
    "old.py": None,
}
HUNKS = ["a.py", "a.py", "new.py", "old.py"]


@dataclass(frozen=True)
class Delivered:
    """A folder, and a run's patch for it."""

    folder: Path
    directory: DataDirectory
    control: ControlStore
    result: RunResult

    async def apply(self, *hunks: int, branch: str | None = None) -> Applied | Conflict:
        return await apply_result(self.result, self.directory, self.control, branch=branch, hunks=hunks)

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir() if path.is_file()}


@pytest.fixture
async def delivered(tmp_path: Path) -> Delivered:
    folder, directory = tmp_path / "folder", DataDirectory(tmp_path / "data")
    folder.mkdir()
    directory.root.mkdir()
    for path, text in BEFORE.items():
        (folder / path).write_text(text)
    snapshot = await take_snapshot(folder, directory.tree("r1"))
    tree = await fork_tree(snapshot, tmp_path / "tree")
    await write_files(tree, AFTER)
    patch = await make_patch(snapshot, tree)
    files = tuple(each.path for each in patch.files)
    result = RunResult(run="r1", status="done", judge="found", exit_code=0, patch=patch.text, files=files)
    return Delivered(folder, directory, ControlStore(tmp_path / "control.db"), result)


@pytest.mark.slow
async def test_only_the_hunks_that_were_picked_are_applied(delivered: Delivered) -> None:
    assert [each.path for each in hunks_of(delivered.result.patch)] == HUNKS
    applied = await delivered.apply(2, 3)
    assert isinstance(applied, Applied)
    assert applied.files == ("a.py", "new.py")
    part = str(BEFORE["a.py"]).replace("line 35\n", "thirty\nfive\n")
    assert delivered.files() == {**BEFORE, "a.py": part, "new.py": "made\n"}


@pytest.mark.slow
async def test_the_same_part_again_is_harmless_and_all_of_them_are_the_whole(delivered: Delivered) -> None:
    await delivered.apply(4)
    again = await delivered.apply(4)
    assert isinstance(again, Applied)
    assert (again.files, again.already) == ((), ("old.py",))
    whole = await delivered.apply(1, 2, 3, 4)
    assert isinstance(whole, Applied)
    assert delivered.files() == {"a.py": AFTER["a.py"], "new.py": "made\n", "kept.py": "kept\n"}


@pytest.mark.slow
async def test_one_changed_file_refuses_all_of_a_part(delivered: Delivered) -> None:
    (delivered.folder / "a.py").write_text("mine\n")
    applied = await delivered.apply(1, 3, 4)
    assert isinstance(applied, Conflict)
    assert [file.path for file in applied.files] == ["a.py"]
    assert delivered.files() == {**BEFORE, "a.py": "mine\n"}


@pytest.mark.slow
async def test_a_changed_file_that_the_part_leaves_alone_is_no_matter(delivered: Delivered) -> None:
    (delivered.folder / "a.py").write_text("mine\n")
    assert isinstance(await delivered.apply(4), Applied)
    assert delivered.files() == {"a.py": "mine\n", "kept.py": "kept\n"}


# ------------------------------------------------------------------------------------------------ asking


async def asked(delivered: Delivered, *lines: str | None) -> tuple[tuple[int, ...] | None, str]:
    err, left = io.StringIO(), list(lines)

    async def read_line() -> str | None:
        return left.pop(0)

    taken = await ask_hunks(hunks_of(delivered.result.patch), open_terminal(io.StringIO(), err), read_line)
    assert left == [], "every answer was asked for"
    return taken, err.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        (("y", "n", "y", "n"), (1, 3)),
        (("Yes ", "no", "N", "Y"), (1, 4)),
        (("a", "n", "n"), (1, 2)),
        (("d", "y", "y"), (3, 4)),
        (("y", "q"), (1,)),
        (("q",), ()),
        (("y", None), None),
    ],
)
async def test_keys_mean_what_they_mean_elsewhere(
    delivered: Delivered, lines: tuple[str | None, ...], taken: tuple[int, ...] | None
) -> None:
    assert (await asked(delivered, *lines))[0] == taken


@pytest.mark.slow
async def test_each_hunk_is_shown_and_an_unknown_key_explains_the_keys(delivered: Delivered) -> None:
    taken, said = await asked(delivered, "?", "what", "n", "n", "n", "n")
    assert taken == ()
    assert said.count("q: take no more") == 2
    for shown in ("hunk 2 of 4: a.py (+2 −1)", "+thirty", "hunk 3 of 4: new.py, a new file (+1 −0)", "-gone"):
        assert shown in said


# ---------------------------------------------------------------------------------------- the command line


@pytest.mark.slow
async def test_number_that_is_no_hunk_is_refused(delivered: Delivered) -> None:
    hunks = hunks_of(delivered.result.patch)
    assert picked("2,4", hunks, "r1") == (2, 4)
    with pytest.raises(Refused, match="no hunk 5"):
        picked("1,5", hunks, "r1")


@pytest.mark.slow
def test_hunks_are_listed_and_picked_by_number(corral: Corral, solve: Solve, place: DemoPlace) -> None:
    run = solve("--output", "json").document["run"]
    assert "hunk 1 of 2: text.py (+2 −0)" in corral("show", run, "--hunks").out
    first, second = corral("show", run, "--hunks", "--output", "json").document
    assert (first["number"], first["path"], first["kind"], second["number"]) == (1, "text.py", "lines", 2)
    refused(corral("apply", run, "--only", "3"), 2, "--only: there is no hunk 3", "hunks 1 to 2")
    refused(corral("apply", run, "--hunks"), 2, "there is no terminal", f"corral apply {run} --only")
    refused(corral("apply", run, "--hunks", "--only", "1"), 2, "do not go together")
    assert "import re" not in (place.repository / "text.py").read_text()
    assert "applied: text.py" in corral("apply", run, "--only", "1").err
    text = (place.repository / "text.py").read_text()
    assert "import re" in text
    assert "re.sub" not in text
    assert "hunk 1 of the patch" in corral("show", run).out
    other = corral("apply", run, "--only", "2")
    assert (other.code, text) == (1, (place.repository / "text.py").read_text())
    assert f"corral apply {run} --branch NAME --only 2" in other.err
