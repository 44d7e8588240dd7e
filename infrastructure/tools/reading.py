"""Looking at files: `read_file` and `list_files`.

Owns how a file is shown (numbered lines, so much of it) and how a folder is. Only text is shown; links are not
followed.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from agents.model import JsonObject
from infrastructure.tools.arguments import Arguments
from infrastructure.tools.paths import chosen_by, file_path, files_of, folder_path, is_folder, missing, workspace_of
from infrastructure.tools.texts import RESULT_CHARACTERS, counted, plain
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult
from infrastructure.workspace.beneath import open_file
from infrastructure.workspace.errors import PathMissing, PathRefused
from infrastructure.workspace.threads import in_thread

MOST_LINES = 400
"""Of one reading, unless an end is asked for."""
MOST_BYTES = 8 << 20
"""Of a file that is looked at; what lies behind is not reached."""
MOST_ENTRIES = 300
_LINE_CHARACTERS = 600
_BINARY_PROBE = 8_000
_ROOM = RESULT_CHARACTERS - 500
"""For the lines: what is said of the rest needs some of it."""


class ReadFile(Arguments):
    """Show a text file of the workspace with line numbers."""

    path: str = Field(description="relative to the workspace, such as src/app.py")
    start: int = Field(default=1, ge=1, description="first line")
    end: int = Field(default=0, ge=0, description="last line; 400 lines are shown when left out")


class ListFiles(Arguments):
    """List the files of the workspace that are not ignored."""

    path: str = Field(default="", description="a folder; all when left out")
    glob: str = Field(default="", description="such as **/*.py")


@dataclass(frozen=True, slots=True)
class _Beginning:
    """What is read of a file: its first bytes, how many it has."""

    content: bytes
    size: int


async def read_file(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Show lines of a file."""
    wanted = ReadFile.model_validate(arguments)
    workspace, path = workspace_of(place), file_path(place, wanted.path)
    try:
        beginning = await in_thread(lambda _: _read(workspace, path))
    except PathMissing:
        raise await missing(place, path) from None
    except PathRefused:
        if await is_folder(place, path):
            raise ToolError("PathMissing", f"{path!r} is a folder: list_files shows what is in it") from None
        raise
    if b"\0" in beginning.content[:_BINARY_PROBE]:
        raise ToolError("Binary", f"{path} is a binary file of {beginning.size:,} bytes: it cannot be shown as text")
    return await in_thread(lambda _: _shown(path, beginning, wanted))


async def list_files(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """List files; of too many, as many as there is room for, and how many each folder has."""
    wanted = ListFiles.model_validate(arguments)
    folder = folder_path(place, wanted.path)
    known = await files_of(workspace_of(place))
    below = [path for path in known if not folder or path.startswith(f"{folder}/")]
    if folder and not below:
        raise await _no_folder(place, folder, known)
    found = await chosen_by(below, wanted.glob)
    if not found:
        return ToolResult(
            f"of {counted(len(below), 'file')} none matches {wanted.glob!r}" if wanted.glob else "no files"
        )
    shown = found[:MOST_ENTRIES]
    lines = [plain(path) for path in shown]
    if len(found) > len(shown):
        lines.append(f"[… {counted(len(found) - len(shown), 'file')} more; of all {len(found):,}:]")
        lines += _by_folder(found, folder)
    return ToolResult("\n".join(lines))


async def _no_folder(place: ToolPlace, folder: str, known: tuple[str, ...]) -> ToolError:
    if folder in known:
        return ToolError("PathMissing", f"{folder!r} is a file: read_file shows it")
    folders = {path.rpartition("/")[0] for path in known}
    same = sorted(each for each in folders if each.rpartition("/")[2] == folder.rpartition("/")[2])[:3]
    hint = f" Did you mean {' or '.join(same)}?" if same else ""
    return ToolError("PathMissing", f"there are no files in a folder {folder!r}, but for ignored ones.{hint}")


def _by_folder(paths: list[str], folder: str) -> list[str]:
    skipped = len(folder) + 1 if folder else 0
    counts = Counter(path[skipped:].partition("/")[0] for path in paths if "/" in path[skipped:])
    return [f"{plain(name)}/: {counted(count, 'file')}" for name, count in counts.most_common(40)]


def _read(workspace: Path, path: str) -> _Beginning:
    with os.fdopen(open_file(workspace, path), "rb") as file:
        return _Beginning(file.read(MOST_BYTES), os.fstat(file.fileno()).st_size)


def _shown(path: str, beginning: _Beginning, wanted: ReadFile) -> ToolResult:
    text = beginning.content.decode("utf-8", "replace")
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        return ToolResult(f"{path} is empty")
    if wanted.start > len(lines):
        raise ToolError("BadArguments", f"{path} has {counted(len(lines), 'line')}: there is no line {wanted.start}")
    if 0 < wanted.end < wanted.start:
        raise ToolError("BadArguments", f"end ({wanted.end}) lies before start ({wanted.start})")
    last = min(len(lines), wanted.end or wanted.start + MOST_LINES - 1)
    body, stopped = _numbered(lines, wanted.start, last)
    notes = [f"{path}, lines {wanted.start} to {stopped} of {len(lines):,}"]
    if stopped < len(lines):
        notes.append(f"go on with start={stopped + 1}")
    if beginning.size > len(beginning.content):
        notes.append(f"it has {beginning.size:,} bytes, of which the first {len(beginning.content):,} were looked at")
    if "\ufffd" in text:
        notes.append("some of it is no UTF-8 and is shown as \ufffd")
    return ToolResult("\n".join((f"[{'; '.join(notes)}]", *body)))


def _numbered(lines: list[str], first: int, last: int) -> tuple[list[str], int]:
    """The lines with their numbers, as many as there is room for, and the number of the last."""
    width, room = len(str(last)), _ROOM
    shown: list[str] = []
    for number in range(first, last + 1):
        line = lines[number - 1]
        if len(line) > _LINE_CHARACTERS:
            line = f"{line[:_LINE_CHARACTERS]} [… {len(line) - _LINE_CHARACTERS:,} characters more]"
        row = f"{number:>{width}}  {plain(line)}"
        room -= len(row) + 1
        if room < 0 and shown:
            return shown, number - 1
        shown.append(row)
    return shown, last
