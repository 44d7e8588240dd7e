"""What a tool call is, and what came of it, each in a line. Pure.

Owns which argument of a call says most. Model text goes in; whoever prints it makes it safe to show.
"""

from __future__ import annotations

import json

from agents.model import JsonObject
from backend.cli.render import shortened

_TELLING = ("path", "command", "pattern", "expression", "agent", "text", "query", "url", "name")
"""Arguments that say what a call is about, the first that there is."""
_WIDE = 100


def call_line(tool: str, arguments: JsonObject | None, most: int = _WIDE) -> str:
    """A call: the tool, and the argument that says most, or all of them as JSON."""
    arguments = arguments or {}
    said = next((value for name in _TELLING if isinstance(value := arguments.get(name), str) and value), "")
    if not said and arguments:
        said = json.dumps(arguments, ensure_ascii=False, default=str)
    return f"{tool} {shortened(said, most)}".rstrip()


def result_line(tool: str, text: str, *, ok: bool, most: int = _WIDE) -> str:
    """What came of a call: its first line, and how many there are; of a failure, as much as fits."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return f"{tool}: nothing" if ok else f"{tool} failed"
    if not ok:
        return f"{tool}: {shortened(text, 2 * most)}"
    more = f" (+{len(lines) - 1} {'line' if len(lines) == 2 else 'lines'})" if len(lines) > 1 else ""
    return f"{tool}: {shortened(lines[0], most)}{more}"
