"""What a call would change, as a person should see it before saying yes: a diff against the file as it is now.

Owns the diff. It is for the eye: what is done is what the arguments say, and the approval is bound to those.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from agents.model import JsonObject
from infrastructure.workspace.beneath import read_file
from infrastructure.workspace.errors import PathMissing, WorkspaceError

_CONTEXT = 3
_MOST_BYTES = 2 << 20


def diff_before(tool: str, arguments: JsonObject, workspace: str) -> str:
    """What a write would change; empty where the call is no write, or what it would do cannot be foreseen. Blocking."""
    path = arguments.get("path")
    if not workspace or not isinstance(path, str) or tool not in ("write_file", "apply_edit"):
        return ""
    path = path.removeprefix(f"{workspace.rstrip('/')}/")
    try:
        before = _text(Path(workspace), path)
    except (WorkspaceError, UnicodeDecodeError, OSError, ValueError):
        return ""
    after = _after(tool, arguments, before)
    return "" if after is None else unified(path, before, after)


def unified(path: str, before: str | None, after: str) -> str:
    """A unified diff; `before` is None for a new file. Says so where nothing changes."""
    old = [] if before is None else _lines(before)
    named = "/dev/null" if before is None else f"a/{path}"
    lines = list(difflib.unified_diff(old, _lines(after), named, f"b/{path}", lineterm="", n=_CONTEXT))
    return "\n".join(lines) if lines else f"{path} would stay as it is"


def _lines(text: str) -> list[str]:
    """Its lines, ended by line feeds only: other characters that end lines for some are part of what is shown."""
    lines = text.split("\n")
    return lines[:-1] if not lines[-1] else lines


def _text(workspace: Path, path: str) -> str | None:
    try:
        return read_file(workspace, path, limit=_MOST_BYTES).decode("utf-8")
    except PathMissing:
        return None


def _after(tool: str, arguments: JsonObject, before: str | None) -> str | None:
    """The file's text after the call; None where that cannot be said."""
    if tool == "write_file":
        content = arguments.get("content")
        return content if isinstance(content, str) else None
    search, replace = arguments.get("search"), arguments.get("replace")
    if before is None or not isinstance(search, str) or not isinstance(replace, str) or before.count(search) != 1:
        return None
    return before.replace(search, replace)
