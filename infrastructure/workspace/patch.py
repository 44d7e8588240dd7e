"""The patch of a candidate: what its tree changed, as text that `git apply` takes.

Owns `make_patch`. Git itself writes the diff, between two trees of a throw-away repository that holds only the changed
files: no attribute, driver or filter of the workspace takes part.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infrastructure.processes import scratch
from infrastructure.workspace.beneath import LINK, read_file
from infrastructure.workspace.git import plain_git
from infrastructure.workspace.manifest import FileState, Snapshot
from infrastructure.workspace.threads import in_thread
from infrastructure.workspace.trees import Change, ChangeKind, Tree, changed


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a patch.

    Attributes:
        path: With `/`.
        kind: What happened to it.
        added: Lines.
        removed: Lines.
        before_sha: SHA-256 of the content before; None when there was no file.
        after_sha: The same after.
        executable: Whether it may be executed after; None when it is deleted.
    """

    path: str
    kind: ChangeKind
    added: int
    removed: int
    before_sha: str | None
    after_sha: str | None
    executable: bool | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A changed file that a patch cannot carry."""

    path: str
    reason: Literal["binary", "not UTF-8", "a link"]


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff as git writes it.

    Attributes:
        text: Empty when nothing changed. Line ends of the files are in it: write it with `newline=""`.
        files: In the order of the text.
        left_out: Changed files that are not in it.
    """

    text: str
    files: tuple[FileChange, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.files


@dataclass(frozen=True, slots=True)
class _Side:
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class _Pair:
    change: Change
    before: _Side | None
    after: _Side | None


async def make_patch(snapshot: Snapshot, tree: Tree, exclude: Collection[str] = ()) -> Patch:
    """Compare a tree with its snapshot.

    Args:
        snapshot: What the tree was made from.
        tree: The tree.
        exclude: Paths to leave out silently, such as judge files.

    Raises:
        GitMissing, GitFailed: Git could not write the diff.
    """
    changes = [each for each in await changed(tree, snapshot) if each.path not in exclude]
    pairs = await in_thread(lambda _: [_load(snapshot, tree, each) for each in changes])
    left_out = tuple(LeftOut(each.change.path, reason) for each in pairs if (reason := _unfit(each)) is not None)
    fit = [each for each in pairs if _unfit(each) is None]
    if not fit:
        return Patch("", (), left_out)
    async with scratch("patch") as place:
        text, counts = await _diff(place, fit)
    return Patch(text, tuple(_file_change(each.change, counts) for each in fit), left_out)


def _load(snapshot: Snapshot, tree: Tree, change: Change) -> _Pair:
    return _Pair(change, _side(snapshot.root, change.path, change.before), _side(tree.root, change.path, change.after))


def _side(root: Path, path: str, state: FileState | None) -> _Side | None:
    if state is None:
        return None
    content = b"" if state.mode == LINK else read_file(root, path, ours=True)
    return _Side(content, state.mode)


def _unfit(pair: _Pair) -> Literal["binary", "not UTF-8", "a link"] | None:
    sides = [each for each in (pair.before, pair.after) if each is not None]
    if any(each.mode == LINK for each in sides):
        return "a link"
    if any(b"\0" in each.content for each in sides):
        return "binary"
    try:
        for each in sides:
            each.content.decode("utf-8")
        pair.change.path.encode("utf-8")
    except UnicodeError:
        return "not UTF-8"
    return None


async def _diff(place: Path, pairs: list[_Pair]) -> tuple[str, dict[str, tuple[int, int]]]:
    repository = place / "repository"
    env = {"GIT_DIR": str(repository), "GIT_ATTR_NOSYSTEM": "1"}
    await plain_git(place, "init", "--quiet", "--bare", "--template=", str(repository))
    await plain_git(place, "fast-import", "--quiet", "--force", stdin=_import_stream(pairs), env=env)
    options = ("--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--text", "-r")
    ends = ("refs/heads/before", "refs/heads/after")
    numbers = await plain_git(place, "diff-tree", *options, "--numstat", "-z", *ends, env=env)
    # Explicit prefixes and algorithm: a patch must not look different for another user.
    patch = await plain_git(
        place, "diff-tree", *options, "--patch", "--full-index", "--diff-algorithm=histogram",
        "--src-prefix=a/", "--dst-prefix=b/", *ends, env=env,
    )  # fmt: skip
    return patch.decode("utf-8"), _counts(numbers)


def _import_stream(pairs: list[_Pair]) -> bytes:
    lines: list[bytes] = []
    for branch, start in ((b"before", b""), (b"after", b"from refs/heads/before\n")):
        lines.append(
            b"commit refs/heads/" + branch + b"\ncommitter Corral <corral@localhost> 0 +0000\ndata 0\n" + start
        )
        for pair in pairs:
            side = pair.before if branch == b"before" else pair.after
            path = _quoted(pair.change.path)
            if side is not None:
                lines.append(b"M %o inline %b\ndata %d\n%b\n" % (side.mode, path, len(side.content), side.content))
            elif branch == b"after":
                lines.append(b"D " + path + b"\n")
    return b"".join(lines)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return b'"' + escaped.encode("utf-8") + b'"'


def _counts(numbers: bytes) -> dict[str, tuple[int, int]]:
    counts: dict[str, tuple[int, int]] = {}
    for record in numbers.decode("utf-8").split("\0"):
        if record:
            added, removed, path = record.split("\t", 2)
            counts[path] = (int(added), int(removed))
    return counts


def _file_change(change: Change, counts: dict[str, tuple[int, int]]) -> FileChange:
    added, removed = counts.get(change.path, (0, 0))
    return FileChange(
        path=change.path,
        kind=change.kind,
        added=added,
        removed=removed,
        before_sha=None if change.before is None else change.before.sha256,
        after_sha=None if change.after is None else change.after.sha256,
        executable=None if change.after is None else bool(change.after.mode & 0o100),
    )
