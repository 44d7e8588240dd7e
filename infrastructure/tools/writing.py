"""Changing files: `write_file` and `apply_edit`.

Owns what is written where: text only, bounded, within the agent's policy, never into `.git`, never through a link; and
what the model is told of it, a check of the new text included.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass

from pydantic import Field

from agents.answers.changes import Change, EditAnswer, FileAnswer
from agents.answers.edits import Rejected, apply_edits
from agents.errors import UnusableAnswer
from agents.model import JsonObject
from infrastructure.judge.linting import find_new
from infrastructure.tools.arguments import Arguments
from infrastructure.tools.paths import missing, workspace_of, written_path
from infrastructure.tools.texts import counted
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult, WritePort
from infrastructure.workspace.beneath import read_file
from infrastructure.workspace.errors import NotText, PathMissing
from infrastructure.workspace.threads import in_thread

MOST_BYTES = 2 << 20
"""Of a file, before and after."""
_MOST_FINDINGS = 5
_CHECKED_BYTES = 256 << 10


class WriteFile(Arguments):
    """Write a whole text file, new or old. To change a part of one use apply_edit."""

    path: str = Field(description="relative to the workspace")
    content: str = Field(description="every line of the file")


class ApplyEdit(Arguments):
    """Replace a part of a file. search has to be copied from the file and stand there once."""

    path: str = Field(description="relative to the workspace")
    search: str = Field(min_length=1, description="whole lines as they are in the file")
    replace: str = Field(description="the lines that stand there instead")


@dataclass(frozen=True, slots=True)
class _Old:
    """A file as it is; both None where there is none."""

    content: bytes | None = None
    text: str | None = None


async def write_file(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Write a file whole."""
    wanted = WriteFile.model_validate(arguments)
    path, journal = written_path(place, wanted.path), _journal(place)
    _must_be_text(path, wanted.content)
    if await journal.written(place, path):
        return ToolResult(f"{path} is written (this call was done before)")
    old = await _read(place, path)
    text = wanted.content.replace("\r\n", "\n")
    new = _applied(path, old, FileAnswer(path, text if not text or text.endswith("\n") else f"{text}\n"))
    return await _write(place, journal, path, old, new)


async def apply_edit(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Replace a part of a file."""
    wanted = ApplyEdit.model_validate(arguments)
    path, journal = written_path(place, wanted.path), _journal(place)
    _must_be_text(path, wanted.replace)
    if await journal.written(place, path):
        return ToolResult(f"{path} is changed (this call was done before)")
    old = await _read(place, path)
    if old.text is None:
        raise await missing(place, path)
    edit = EditAnswer(path, _lines(wanted.search), _lines(wanted.replace))
    try:
        new = _applied(path, old, edit)
    except ToolError:
        # Within one line: where exactly these characters stand once, there is nothing to guess.
        if old.text.count(wanted.search) != 1:
            raise
        new = old.text.replace(wanted.search, wanted.replace)
    return await _write(place, journal, path, old, new)


def _journal(place: ToolPlace) -> WritePort:
    if place.journal is None:
        raise ToolError("NotAllowed", "files cannot be written in this session")
    return place.journal


def _must_be_text(path: str, text: str) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise NotText(path) from error
    if "\0" in text:
        raise NotText(path)
    if size > MOST_BYTES:
        raise ToolError("TooLarge", f"{path} would hold {size:,} bytes, more than the {MOST_BYTES:,} allowed")


async def _read(place: ToolPlace, path: str) -> _Old:
    workspace = workspace_of(place)
    try:
        content = await in_thread(lambda _: read_file(workspace, path, limit=MOST_BYTES))
    except PathMissing:
        return _Old()
    if b"\0" in content:
        raise NotText(path)
    try:
        return _Old(content, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotText(path) from error


def _applied(path: str, old: _Old, change: Change) -> str:
    """The file's new text.

    Raises:
        ToolError: The change does not fit it; the message says what the model should look at.
    """
    try:
        fitted = apply_edits({} if old.text is None else {path: old.text}, [change])
    except UnusableAnswer as error:
        raise ToolError("DoesNotFit", f"{error.reason}. {error.hint}") from error
    if isinstance(fitted, Rejected):
        raise ToolError("DoesNotFit", f"nothing was written: {path} {fitted.reason}.\n{fitted.hint}".rstrip())
    # What is left out of the contents is as it was.
    return fitted.contents.get(path, old.text) or ""


async def _write(place: ToolPlace, journal: WritePort, path: str, old: _Old, new: str) -> ToolResult:
    after = new.encode("utf-8")
    if after == old.content:
        return ToolResult(f"{path} is like that already: nothing was written")
    reason = await journal.write(place, path, old.content, after)
    if reason:
        raise ToolError("Changed", reason)
    what = "written" if old.content is None else "changed"
    return ToolResult(f"{path} is {what}: it has {counted(_count(new), 'line')}.\n{await _checked(path, old, after)}")


async def _checked(path: str, old: _Old, after: bytes) -> str:
    """What a look at the new text says, of what was not so before."""
    if len(after) > _CHECKED_BYTES:
        return "Its syntax was not checked: it is too long."
    if path.endswith((".json", ".toml")):
        problem = await in_thread(lambda _: _unreadable(path, after))
        return f"Check: it cannot be read: {problem}" if problem else "Its syntax is in order."
    if not path.endswith((".py", ".pyi")):
        return "There is no syntax check for this kind of file."
    findings = await find_new({} if old.content is None else {path: old.content}, {path: after})
    if findings.problem:
        return f"Its syntax was not checked: {findings.problem}."
    if not findings.found:
        return "Its syntax is in order."
    more = len(findings.found) + findings.more - _MOST_FINDINGS
    rows = [f"Check: {each}" for each in findings.found[:_MOST_FINDINGS]]
    return "\n".join(rows + ([f"Check: and {more} more"] if more > 0 else []))


def _unreadable(path: str, content: bytes) -> str:
    try:
        if path.endswith(".json"):
            json.loads(content)
        else:
            tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return str(error) or "it is nested too deeply"
    return ""


def _lines(text: str) -> str:
    text = text.replace("\r\n", "\n")
    return text if not text or text.endswith("\n") else f"{text}\n"


def _count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and bool(text))
