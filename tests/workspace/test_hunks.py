"""A patch in hunks: split, and joined again in part."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.workspace.hunks import (
    Hunk,
    NoSuchHunk,
    UnreadablePatch,
    count_lines,
    join_patch,
    read_numbers,
    split_patch,
)
from tests.fuzzing import examples

Files = Mapping[str, str]

LINES = st.lists(
    st.sampled_from(["a\n", "b\n", "\n", "-- x\n", "++ y\n", "@@ -1 +1 @@\n", "c\r\n", "\f\rd\n"]), max_size=50
)
ENDS = st.sampled_from(["", "end", "end\n"])


@st.composite
def versions(draw: st.DrawFn) -> tuple[str | None, str | None]:
    """A file before and after: a few lines changed here and there, or the whole of it new or gone."""
    lines = draw(LINES)
    before = "".join(lines) + draw(ENDS)
    kind = draw(st.sampled_from(["changed", "changed", "changed", "new", "deleted"]))
    if kind == "new":
        return None, before
    if kind == "deleted":
        return before, None
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(lines)))
        lines[at : at + draw(st.integers(0, 2))] = draw(st.lists(st.sampled_from(["new\n", "a\n", "b\n"]), max_size=2))
    return before, "".join(lines) + draw(ENDS)


class Folder:
    """A git repository in which a patch is made and applied."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.git("init", "--quiet")
        self.git("config", "core.autocrlf", "false")

    def git(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(["git", *words], cwd=self.root, input=stdin.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def lay_out(self, files: Files) -> None:
        for path in self.files():
            (self.root / path).unlink()
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(text.encode())

    def files(self) -> dict[str, str]:
        found = (path for path in self.root.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes().decode() for path in found}

    def patch(self, before: Files, after: Files) -> str:
        old, new = self.tree(before), self.tree(after)
        prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
        return self.git("diff-tree", "-r", "--patch", "--no-renames", "--full-index", "--text", *prefixes, old, new)

    def tree(self, files: Files) -> str:
        self.lay_out(files)
        self.git("add", "--all")
        return self.git("write-tree").strip()

    def applied(self, before: Files, patch: str) -> dict[str, str]:
        self.lay_out(before)
        if patch:
            self.git("apply", "--whitespace=nowarn", "-", stdin=patch)
        return self.files()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("hunks") / "repo")


def by_hand(before: Files, after: Files, hunks: list[Hunk]) -> dict[str, str]:
    """What some hunks make of the files, by where they say that they begin in the old ones."""
    files = dict(before)
    for hunk in sorted(hunks, key=lambda each: -each.number):
        if hunk.kind == "new file":
            files[hunk.path] = after[hunk.path]
        elif hunk.kind == "deleted file":
            del files[hunk.path]
        else:
            lines = [line + "\n" for line in files[hunk.path].split("\n")]
            lines[-1] = lines[-1].removesuffix("\n")
            start, length = hunk.span[0] - (1 if hunk.span[1] else 0), hunk.span[1]
            new: list[str] = []
            last = ""
            for line in hunk.body[1:]:
                if line.startswith("\\") and last in "+ ":
                    new[-1] = new[-1].removesuffix("\n")
                elif line[0] in "+ ":
                    new.append(line[1:])
                last = line[0]
            lines[start : start + length] = new
            files[hunk.path] = "".join(lines)
    return files


@pytest.mark.slow
@settings(max_examples=examples(30, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pair=st.dictionaries(
        st.sampled_from(["a.py", "b c.py", "d/é.py", 'q"uote.py']), versions(), min_size=1, max_size=3
    ),
    chosen=st.sets(st.integers(1, 12)),
)
def test_git_applies_any_selection_and_it_gives_what_it_says(
    folder: Folder, pair: dict[str, tuple[str | None, str | None]], chosen: set[int]
) -> None:
    before = {path: old for path, (old, _) in pair.items() if old is not None}
    after = {path: new for path, (_, new) in pair.items() if new is not None}
    patch = folder.patch(before, after)
    hunks = split_patch(patch)
    assert [each.number for each in hunks] == list(range(1, len(hunks) + 1))
    assert {each.path for each in hunks} == {path for path in pair if before.get(path) != after.get(path)}
    taken = [each for each in hunks if each.number in chosen]
    assert folder.applied(before, join_patch(hunks, chosen)) == by_hand(before, after, taken)
    assert join_patch(hunks, range(1, len(hunks) + 1)) == patch


@pytest.mark.slow
def test_what_comes_after_a_hunk_that_is_left_out_is_put_where_it_belongs(folder: Folder) -> None:
    """Every place looks the same, so that only the line numbers tell where the second hunk goes."""
    before = "x\n" * 60
    after = "x\n" * 10 + "first\n" * 9 + "x\n" * 40 + "second\n" + "x\n" * 10
    hunks = split_patch(folder.patch({"a.py": before}, {"a.py": after}))
    assert len(hunks) == 2
    got = folder.applied({"a.py": before}, join_patch(hunks, {2}))
    assert got["a.py"] == "x\n" * 50 + "second\n" + "x\n" * 10


MODE = (
    "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
    "index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222\n"
    "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n-a\n+b\n"
)


def test_lines_are_counted_whatever_they_look_like(folder: Folder) -> None:
    before = {"q.sql": "-- old\nselect 1;\n++ x\n", "gone.lua": "-- a\n", "same": "s\n"}
    after = {"q.sql": "select 1;\f+ 2\n-- new\n+++ y\n", "new.hs": "-- b\r+c\nd", "same": "s\n"}
    assert count_lines(folder.patch(before, after)) == (5, 4)
    assert count_lines("") == (0, 0)


def test_what_is_no_patch_has_no_lines() -> None:
    assert count_lines("@@ -1 +1 @@\n-a\n+b\n") == (0, 0)


def test_a_change_of_mode_is_a_hunk_of_its_own():
    mode, lines = split_patch(MODE)
    assert (mode.kind, mode.text, lines.kind, lines.counts) == (
        "mode",
        "old mode 100644\nnew mode 100755\n",
        "lines",
        (1, 1),
    )
    assert join_patch((mode, lines), {1}) == "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n"
    assert join_patch((mode, lines), {2}) == (
        "diff --git a/run.sh b/run.sh\n--- a/run.sh\n+++ b/run.sh\n@@ -1,1 +1,1 @@\n-a\n+b\n"
    )
    assert join_patch((mode, lines), {1, 2}) == MODE
    assert join_patch((mode, lines), set()) == ""


def test_a_renamed_file_is_one_hunk():
    text = (
        "diff --git a/old.py b/new.py\nsimilarity index 90%\nrename from old.py\nrename to new.py\n"
        "--- a/old.py\n+++ b/new.py\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n"
    )
    (hunk,) = split_patch(text)
    assert (hunk.kind, hunk.path) == ("renamed file", "new.py")
    assert join_patch((hunk,), {1}) == text


@pytest.mark.parametrize(
    "text",
    [
        "no patch\n",
        "diff --git a/x b/y\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1 @@\n-a\n+b\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n?b\n+c\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ one @@\n-a\n",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\nstray\n",
    ],
)
def test_what_is_no_patch_is_refused(text: str) -> None:
    with pytest.raises(UnreadablePatch):
        split_patch(text)


@pytest.mark.parametrize(
    ("asked", "numbers"), [("1", (1,)), ("3,1", (1, 3)), ("1,3-5", (1, 3, 4, 5)), (" 2 - 3 , 2", (2, 3))]
)
def test_numbers_are_read(asked: str, numbers: tuple[int, ...]) -> None:
    assert read_numbers(asked, 5) == numbers


@pytest.mark.parametrize("asked", ["", "0", "6", "2-", "-2", "4-9", "5-3", "one", "1,,2", "1;2", "²", "9999999999"])
def test_numbers_that_name_no_hunk_are_refused(asked: str) -> None:
    with pytest.raises(NoSuchHunk):
        read_numbers(asked, 5)
