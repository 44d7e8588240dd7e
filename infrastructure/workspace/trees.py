"""A candidate's own tree: made from a snapshot, changed only through here.

Owns `Tree` and everything a role's answer may do to files: text only, bounded, never into `.git`, never through a
link, all files of one answer or none. Tests never run in it (`judge.runner` copies it first), so what differs from the
snapshot is what was written on purpose.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.answers.paths import folded, safe_path
from agents.errors import UnusableAnswer
from infrastructure.workspace.beneath import LINK, directory, git_mode, look_at, open_file, parts_of, read_file, sha_of
from infrastructure.workspace.copying import copy_files
from infrastructure.workspace.errors import NotText, PathMissing, PathRefused, TooLarge
from infrastructure.workspace.manifest import FileState, Snapshot
from infrastructure.workspace.replacing import TEMPORARY, Replacement, replace_all
from infrastructure.workspace.threads import Stopping, in_thread

ChangeKind = Literal["added", "modified", "deleted", "mode"]
_BINARY_PROBE = 8_000  # as git: a NUL in the first 8,000 bytes
_READ_LIMIT = 2 << 20


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """The most that one answer may write."""

    files: int = 200
    file_bytes: int = 2 << 20
    total_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that belongs to one candidate."""

    root: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A text file in a tree; size in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """How a file differs from the snapshot; a state is None where the file is not there."""

    path: str
    kind: ChangeKind
    before: FileState | None
    after: FileState | None


async def fork_tree(snapshot: Snapshot, into: Path) -> Tree:
    """Copy the snapshot into a new tree. A tree that is there already is replaced, so that doing it again is harmless.

    Nothing is shared with the snapshot but, on file systems that can, blocks that are copied when written.
    """
    return await in_thread(lambda stopping: _fork(snapshot, into, stopping))


async def write_files(
    tree: Tree,
    files: Mapping[str, str | None],
    *,
    limits: WriteLimits = WriteLimits(),
) -> tuple[str, ...]:
    """Write texts, or delete files where the text is None: all of them, or nothing.

    Everything is checked and written beside its target before the first file changes. Line ends are written as given.
    A file keeps its mode. Repeating the call is harmless.

    Returns:
        The paths, sorted.

    Raises:
        PathRefused: A path is unsafe, is a link, goes through one, or twins another of the same answer.
        NotText: A text holds NUL or lone surrogates.
        TooLarge: More than `limits`.
        WriteFailed: The system refused; nothing has changed.
    """
    replacements = _replacements(files, limits)
    await in_thread(lambda _: replace_all(tree.root, replacements))
    return tuple(sorted(files))


async def read_text(tree: Tree, path: str, limit: int = _READ_LIMIT) -> str:
    """Read a UTF-8 file whole, line ends and byte order mark included.

    Raises:
        PathRefused, PathMissing: It is no plain file of the tree.
        TooLarge: It holds more than `limit` bytes.
        NotText: It is not UTF-8, or holds NUL.
    """
    content = await read_bytes(tree, path, limit)
    if b"\0" in content:
        raise NotText(path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotText(path) from error


async def read_bytes(tree: Tree, path: str, limit: int = _READ_LIMIT) -> bytes:
    """Read a file whole. Raises as `read_text`, but takes any content."""
    return await in_thread(lambda _: read_file(tree.root, path, limit=limit, ours=True))


async def listing(tree: Tree) -> tuple[Entry, ...]:
    """The text files of the tree, sorted by path. Binary files, links and names that are no UTF-8 are left out."""
    return await in_thread(lambda stopping: tuple(_texts(tree.root, stopping)))


async def changed(tree: Tree, snapshot: Snapshot) -> tuple[Change, ...]:
    """How the tree differs from the snapshot, sorted by path; contents are compared, not times."""
    return await in_thread(lambda stopping: _changes(tree.root, snapshot.files, stopping))


def check_path(path: str) -> None:
    """Check a path that a model named.

    Raises:
        PathRefused: It is not safe on every system.
    """
    try:
        safe_path(path)
    except UnusableAnswer as error:
        raise PathRefused(path, str(error)) from error


def _fork(snapshot: Snapshot, into: Path, stopping: Stopping) -> Tree:
    unfinished = into.with_name(f"{into.name}.unfinished")
    into.parent.mkdir(parents=True, exist_ok=True)
    for left_over in (unfinished, into):
        if left_over.exists():
            shutil.rmtree(left_over)
    unfinished.mkdir()
    copy_files(snapshot.root, unfinished, {path: state.mode for path, state in snapshot.files.items()}, stopping)
    unfinished.rename(into)
    return Tree(into)


def _replacements(files: Mapping[str, str | None], limits: WriteLimits) -> list[Replacement]:
    if len(files) > limits.files:
        raise TooLarge(f"an answer of {len(files):,} files", f"{limits.files:,} files")
    replacements: list[Replacement] = []
    seen: dict[str, str] = {}
    total = 0
    for path, text in files.items():
        check_path(path)
        twin = seen.setdefault(folded(path), path)
        if twin != path:
            raise PathRefused(path, f"some file systems take it for {twin!r}")
        content = None if text is None else _encoded(path, text)
        size = len(content or b"")
        total += size
        if size > limits.file_bytes or total > limits.total_bytes:
            raise TooLarge(f"{path!r} brings the answer to {total:,} bytes", f"{limits.total_bytes:,} bytes")
        replacements.append(Replacement(path, content))
    return replacements


def _encoded(path: str, text: str) -> bytes:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotText(path) from error
    if b"\0" in content:
        raise NotText(path)
    return content


def walk(root: Path, stopping: Stopping) -> dict[str, os.stat_result]:
    """Every file and link of a tree by its path, links not followed. Blocking."""
    found: dict[str, os.stat_result] = {}
    for place, folders, names in os.walk(root):
        stopping.check()
        links = [each for each in folders if os.path.islink(os.path.join(place, each))]  # noqa: PTH114, PTH118 - bytes
        folders[:] = sorted(each for each in folders if each not in links and each.casefold() != ".git")
        inner = os.path.relpath(place, root)
        prefix = "" if inner == "." else f"{inner}/"
        for name in (*names, *links):
            if not name.startswith(TEMPORARY):
                found[prefix + name] = os.lstat(os.path.join(place, name))  # noqa: PTH118 - names may be no UTF-8
    return dict(sorted(found.items()))


def _texts(root: Path, stopping: Stopping) -> list[Entry]:
    entries: list[Entry] = []
    for path, status in walk(root, stopping).items():
        stopping.check()
        try:
            path.encode("utf-8")
            descriptor = open_file(root, path, ours=True)
        except (UnicodeEncodeError, PathRefused, PathMissing):
            continue
        with os.fdopen(descriptor, "rb") as file:
            if b"\0" not in file.read(_BINARY_PROBE):
                entries.append(Entry(path, status.st_size))
    return entries


def _changes(root: Path, before: Mapping[str, FileState], stopping: Stopping) -> tuple[Change, ...]:
    found = walk(root, stopping)
    changes: list[Change] = []
    for path in sorted(before.keys() | found.keys()):
        stopping.check()
        old = before.get(path)
        new = state_of(root, path)
        kind = _kind(old, new)
        if kind is not None:
            changes.append(Change(path, kind, old, new))
    return tuple(changes)


def _kind(old: FileState | None, new: FileState | None) -> ChangeKind | None:
    if old == new:
        return None
    if old is None:
        return "added"
    if new is None:
        return "deleted"
    return "mode" if old.sha256 == new.sha256 else "modified"


def state_of(root: Path, path: str, *, ours: bool = False) -> FileState | None:
    """The present state of a file or link below a root; None when it is not there. Blocking.

    Raises:
        PathRefused: Something else than a file or a link is in its place, or on the way to it.
    """
    *folders, name = parts_of(path)
    try:
        with directory(root, folders) as parent:
            found = look_at(parent, name, path)
            if found is None:
                return None
            if git_mode(found.st_mode) == LINK:
                target = os.fsencode(os.readlink(name, dir_fd=parent))
                return FileState(sha_of(target), LINK, len(target))
        with os.fdopen(open_file(root, path, ours=ours), "rb") as file:
            content = file.read()
            return FileState(sha_of(content), git_mode(os.fstat(file.fileno()).st_mode), len(content))
    except PathMissing:
        return None
