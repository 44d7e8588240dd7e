"""What a role is shown of the repository, within bounds.

Owns the bounds and the choice: which paths are listed, which files are read, how much of them. Text that is no UTF-8
is left out; what did not fit is left out whole, in the order of importance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
LISTED_FILES = 400
MAPPED_FILES = 200
"""Listed beside a map, which says more of the files that matter."""
FILE_BYTES = 64 << 10
"""The largest file that is shown."""
SHOWN_BYTES = 48 << 10
"""All files of one prompt together: about 16,000 tokens, so that a window of 32,768 holds prompt and answer."""
README_BYTES = 2 << 10

_WORD = re.compile(r"[^\s`'\"()<>\[\]{},;:]+")


async def snapshot_of(scope: RunScope) -> Snapshot:
    """The run's snapshot, taken by its first step."""
    return await load_snapshot(scope.trees)


def listing(snapshot: Snapshot, most: int = LISTED_FILES) -> tuple[ListedFile, ...]:
    """The snapshot's files by path; of more than can be shown, those nearest to the root."""
    paths = sorted((path for path in snapshot.files if _printable(path)), key=lambda path: (path.count("/"), path))
    return tuple(ListedFile(path, snapshot.files[path].size) for path in sorted(paths[:most]))


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


async def source_files(snapshot: Snapshot, paths: Iterable[str]) -> tuple[SourceFile, ...]:
    """The text of these files of the snapshot, as many as fit, in the order given."""
    shown: list[SourceFile] = []
    room = SHOWN_BYTES
    for path in dict.fromkeys(paths):
        state = snapshot.files.get(path)
        if state is None or state.size > min(room, FILE_BYTES):
            continue
        text = await _text(snapshot, path)
        if text is not None:
            shown.append(SourceFile(path, text))
            room -= state.size
    return tuple(shown)


async def stored_files(scope: RunScope, files: Sequence[FileRef]) -> tuple[SourceFile, ...]:
    """The text of files in the content store, as many as fit; deleted ones are left out."""
    shown: list[SourceFile] = []
    room = SHOWN_BYTES
    for each in files:
        if each.sha is None:
            continue
        content = await scope.blobs.get(each.sha)
        if len(content) <= min(room, FILE_BYTES):
            shown.append(SourceFile(each.path, content.decode("utf-8", "replace")))
            room -= len(content)
    return tuple(shown)


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
