"""What there is of the repository to show to a role.

Owns the order of importance, and the bounds of what is read at all. Text that is no UTF-8 is left out, and what is too
long to be read, which is said. How much of the rest a prompt has room for is for the role: see `docs/context.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from agents.codegen import ListedFile, SourceFile
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.values import FileRef
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.snapshot import load_snapshot
from infrastructure.workspace.trees import Tree, read_text

FEW_FILES = 3
"""With so few files there is nothing to choose, and no call is spent on it."""
MAPPED_FILES = 200
"""Listed beside a map, which says more of the files that matter."""
FILE_BYTES = 64 << 10
"""The largest file that is read."""
READ_BYTES = 256 << 10
"""All files of one prompt together: more than the longest prompt holds."""
README_BYTES = 2 << 10

Note = Callable[[str], None]
"""Tells a person something that is no failure."""

_WORD = re.compile(r"[^\s`'\"()<>\[\]{},;:]+")


async def snapshot_of(scope: RunScope) -> Snapshot:
    """The run's snapshot, taken by its first step."""
    return await load_snapshot(scope.trees)


def listing(snapshot: Snapshot, most: int | None = None) -> tuple[ListedFile, ...]:
    """The snapshot's files, or so many, those nearest to the root first, and by path among them."""
    paths = sorted((path for path in snapshot.files if _printable(path)), key=lambda path: (path.count("/"), path))
    return tuple(ListedFile(path, snapshot.files[path].size) for path in paths[:most])


def named_in(text: str, snapshot: Snapshot) -> tuple[str, ...]:
    """The snapshot's files that a text names, by path or by file name, in the order of the text."""
    by_name: dict[str, list[str]] = {}
    for path in snapshot.files:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    found: dict[str, None] = {}
    for word in _WORD.findall(text):
        word = word.strip(".").removeprefix("./")
        if word in snapshot.files:
            found[word] = None
        else:
            found.update(dict.fromkeys(by_name.get(word, [])))
    return tuple(found)


async def source_files(snapshot: Snapshot, paths: Iterable[str], note: Note) -> tuple[SourceFile, ...]:
    """The text of these files of the snapshot, in the order given; `note` is told which are too long."""
    shown: list[SourceFile] = []
    room = Reading(note)
    for path in dict.fromkeys(paths):
        state = snapshot.files.get(path)
        if state is None or not room.takes(path, state.size):
            continue
        text = await _text(snapshot, path)
        if text is not None:
            shown.append(SourceFile(path, text))
    return tuple(shown)


async def stored_files(scope: RunScope, files: Sequence[FileRef], note: Note) -> tuple[SourceFile, ...]:
    """The text of files in the content store; deleted ones are left out, and `note` is told which are too long."""
    shown: list[SourceFile] = []
    room = Reading(note)
    for each in files:
        if each.sha is None:
            continue
        content = await scope.blobs.get(each.sha)
        if room.takes(each.path, len(content)):
            shown.append(SourceFile(each.path, content.decode("utf-8", "replace")))
    return tuple(shown)


class Reading:
    """How much may still be read for one prompt; what is not is said."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._left = READ_BYTES

    def takes(self, path: str, size: int) -> bool:
        """Whether a file of so many bytes is read; it counts."""
        if size > min(self._left, FILE_BYTES):
            why = "it is larger than a file that is shown" if size > FILE_BYTES else "enough others are"
            self._note(f"{path} ({size:,} bytes) is not shown to the model: {why}")
            return False
        self._left -= size
        return True


async def readme_head(snapshot: Snapshot) -> str:
    """The beginning of the README at the root, if there is one."""
    for path in snapshot.files:
        if path.lower() in ("readme", "readme.md", "readme.rst", "readme.txt"):
            text = await _text(snapshot, path)
            return (text or "")[:README_BYTES]
    return ""


async def _text(snapshot: Snapshot, path: str) -> str | None:
    try:
        return await read_text(Tree(snapshot.root), path, FILE_BYTES)
    except WorkspaceError:
        return None


def _printable(path: str) -> bool:
    return path.isprintable() and not any(0xD800 <= ord(char) <= 0xDFFF for char in path)
