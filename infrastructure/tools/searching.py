"""Looking for text in files: `search`.

Owns what is looked through, and how much of it is shown. A regular expression of a model may take for ever, and holds
Python's lock while it does: so it is tried in a process of its own that is killed when its time is up (`matcher.py`).
Literal text is looked for here.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import Field

from agents.model import JsonObject
from infrastructure.processes import run_process
from infrastructure.tools.arguments import Arguments
from infrastructure.tools.paths import chosen_by, files_of, folder_path, told_of_secrets, without_secrets, workspace_of
from infrastructure.tools.texts import counted, plain
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult
from infrastructure.workspace.beneath import open_file
from infrastructure.workspace.errors import PathMissing, PathRefused
from infrastructure.workspace.threads import Stopping, in_thread

MOST_HITS = 100
MOST_BYTES = 24 << 20
"""Of all files that one search looks through."""
FILE_BYTES = 1 << 20
"""A larger file is looked through to here only."""
SECONDS = 5.0
"""For a regular expression, over all files."""
_LINE_CHARACTERS = 200
_ANSWER_BYTES = 4 << 20
"""Of the process that tries an expression: a hit is its path (4 KiB, each byte escaped by six) and 800 characters."""
_BINARY_PROBE = 8_000


class Search(Arguments):
    """Find text in the workspace's files; shows path:line: text."""

    pattern: str = Field(min_length=1, max_length=1_000, description="what to look for")
    regex: bool = Field(default=False, description="whether the pattern is a regular expression")
    glob: str = Field(default="", description="only in these files, such as **/*.py")
    path: str = Field(default="", description="only in this folder or file")
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class _Hit:
    path: str
    line: int
    text: str


@dataclass(slots=True)
class _Searched:
    """The texts that are looked through, and what was left out of them."""

    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    bytes: int = 0
    left_out: int = 0
    secret: Sequence[str] = ()


async def search(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Find lines."""
    wanted = Search.model_validate(arguments)
    workspace, below = workspace_of(place), folder_path(place, wanted.path)
    inside = [path for path in await files_of(workspace) if not below or path == below or path.startswith(f"{below}/")]
    paths = await chosen_by(inside, wanted.glob)
    paths, secret = without_secrets(paths, below)
    if not paths and not secret:
        raise ToolError("PathMissing", "there are no files to look through: leave path and glob out, or use list_files")
    searched = await in_thread(lambda stopping: _read(workspace, paths, stopping))
    searched.secret = secret
    if wanted.regex:
        hits = await _by_regex(wanted, searched)
    else:
        hits = await in_thread(lambda stopping: _literal(wanted, searched, stopping))
    return ToolResult(_told(wanted, hits, searched))


def _read(workspace: Path, paths: Sequence[str], stopping: Stopping) -> _Searched:
    searched = _Searched()
    for path in paths:
        stopping.check()
        if searched.bytes >= MOST_BYTES:
            searched.left_out += 1
            continue
        try:
            with os.fdopen(open_file(workspace, path), "rb") as file:
                content = file.read(FILE_BYTES)
        except (PathRefused, PathMissing, PermissionError):
            continue
        if b"\0" not in content[:_BINARY_PROBE]:
            searched.contents[path] = content
            searched.bytes += len(content)
    return searched


def _literal(wanted: Search, searched: _Searched, stopping: Stopping) -> list[_Hit]:
    """The lines that hold the pattern; a pattern of several lines is found by its first."""
    hits: list[_Hit] = []
    needle = wanted.pattern.casefold() if wanted.ignore_case else wanted.pattern
    for path, content in searched.contents.items():
        stopping.check()
        text = content.decode("utf-8", "replace")
        # Folding can change the length of a text, but not the number of its lines.
        hay = text.casefold() if wanted.ignore_case else text
        lines = text.split("\n") if needle in hay else []
        at, line, counted_to = hay.find(needle), 1, 0
        while at >= 0:
            line += hay.count("\n", counted_to, at)
            hits.append(_Hit(path, line, lines[line - 1][: _LINE_CHARACTERS * 4]))
            if len(hits) > MOST_HITS:
                return hits
            end = hay.find("\n", at)
            if end < 0:
                break
            counted_to, at = at, hay.find(needle, end + 1)
    return hits


async def _by_regex(wanted: Search, searched: _Searched) -> list[_Hit]:
    script = importlib.resources.files("infrastructure.tools").joinpath("matcher.py")
    question = {
        "pattern": wanted.pattern,
        "ignore_case": wanted.ignore_case,
        "most": MOST_HITS + 1,
        "characters": _LINE_CHARACTERS * 4,
        "files": [(path, len(content)) for path, content in searched.contents.items()],
    }
    header = json.dumps(question).encode("ascii") + b"\n"
    done = await run_process(
        (sys.executable, "-I", "-S", "-B", "-W", "ignore", "-c", await in_thread(lambda _: script.read_text("utf-8"))),
        cwd=Path("/"),
        env={"LC_ALL": "C.UTF-8"},
        stdin=b"".join((header, *searched.contents.values())),
        timeout=SECONDS,
        output_limit=_ANSWER_BYTES,
    )
    if done.stopped is not None:
        raise ToolError(
            "TooSlow",
            f"the regular expression was not done after {SECONDS:g} s: nested repetition such as (a+)+ can take for"
            " ever. Use a simpler one, literal text, or a glob that names fewer files",
        )
    if done.exit_code != 0 or done.truncated:
        raise ToolError("SearchFailed", "the regular expression could not be tried: use literal text")
    answer = cast("dict[str, object]", json.loads(done.stdout))
    if answer["problem"]:
        said = f"the pattern is no regular expression: {answer['problem']}. Mend it, or leave regex out"
        raise ToolError("BadArguments", said)
    return [_Hit(*row) for row in cast("list[tuple[str, int, str]]", answer["found"])]


def _told(wanted: Search, hits: Sequence[_Hit], searched: _Searched) -> str:
    lines = [f"{plain(hit.path)}:{hit.line}: {_cut(plain(hit.text).strip())}" for hit in hits[:MOST_HITS]]
    if not hits:
        lines.append(f"nothing found in {counted(len(searched.contents), 'file')}")
        if not wanted.regex and re.search(r"[.\\^$*+?()\[\]|]", wanted.pattern):
            lines.append("the pattern was taken literally: regex=true makes it a regular expression")
    if len(hits) > MOST_HITS:
        lines.append(f"[… more than {MOST_HITS} lines match: name a folder, a glob or a longer pattern]")
    if searched.left_out:
        lines.append(f"[{counted(searched.left_out, 'file')} not looked through: name a folder or a glob]")
    lines += told_of_secrets(searched.secret)
    return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= _LINE_CHARACTERS else f"{text[:_LINE_CHARACTERS]}…"
