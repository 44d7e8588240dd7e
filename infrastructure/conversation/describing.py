"""What a person reads of a call before they say yes. Pure.

Owns that nothing of a call is left away unsaid: every argument is there, and a text that is cut shows its end too.
"""

from __future__ import annotations

import difflib
import json

from agents.model import JsonObject
from infrastructure.tools.texts import bounded

_SHOWN = 4_000
_SHOWN_COMMAND = 10_000
"""More than a command of `run_command` may have."""


def described(tool: str, arguments: JsonObject) -> str:
    """A command, a diff, a file's text, or the arguments; with a command whatever else the call is given."""
    if tool == "apply_edit":
        before, after = (str(arguments.get(name, "")).split("\n") for name in ("search", "replace"))
        path = str(arguments.get("path", ""))
        return bounded("\n".join(difflib.unified_diff(before, after, path, path, lineterm="", n=3)), _SHOWN)
    if tool == "write_file":
        return bounded(f"{arguments.get('path', '')}\n{arguments.get('content', '')}", _SHOWN)
    command = arguments.get("command")
    if not isinstance(command, str):
        return bounded(_written(arguments), _SHOWN)
    others = {name: value for name, value in arguments.items() if name != "command" and value not in (None, "")}
    shown = bounded(command, _SHOWN_COMMAND)
    return f"{shown}\n[with {bounded(_written(others), _SHOWN)}]" if others else shown


def _written(arguments: JsonObject) -> str:
    return json.dumps(arguments, ensure_ascii=False, indent=1, default=dict)
