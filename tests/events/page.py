"""docs/events.md, made of the catalogue: `python -m tests.events.page` writes it anew.

A meaning is the event's docstring, a field's the docstring below it. What stands above the first heading is written by
hand in the page, and stays.
"""

from __future__ import annotations

import ast
import inspect
import json
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from infrastructure.events.catalogue import AnyEvent, Event

PAGE = Path(__file__).parents[2] / "docs" / "events.md"
COMMON = tuple(Event.model_fields)


def every_event() -> tuple[type[Event], ...]:
    """The catalogue, in its own order."""
    union, *_ = typing.get_args(AnyEvent)
    return typing.get_args(union)


def kind_of(event: type[Event]) -> str:
    return str(event.model_fields["kind"].default)


def page() -> str:
    """The whole page."""
    parts = [PAGE.read_text(encoding="utf-8").partition("\n## ")[0].rstrip() + "\n"]
    families: dict[str, list[type[Event]]] = {}
    for event in every_event():
        families.setdefault(event.__module__, []).append(event)
    for module, events in families.items():
        parts.append(f"## `{module.rpartition('.')[2]}`: {_first_line(import_module(module))}\n")
        parts.append("| Kind | Happened | Fields |")
        parts.append("|---|---|---|")
        parts += [f"| `{kind_of(event)}` | {_about(event)} | {', '.join(_fields(event)) or '–'} |" for event in events]
        parts.append("")
    return "\n".join(parts)


def _fields(event: type[Event]) -> Iterator[str]:
    schema = event.model_json_schema()
    meanings = _meanings(event)
    for name, field in schema["properties"].items():
        if name == "kind" or name in COMMON:
            continue
        optional = "" if name in schema.get("required", ()) else " = " + json.dumps(field.get("default"))
        meaning = f" ({meanings[name]})" if name in meanings else ""
        yield f"`{name}: {_type(field)}{optional}`{meaning}"


def _type(field: dict[str, typing.Any]) -> str:
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    return str(field.get("type", "anything"))


def _meanings(event: type[Event]) -> dict[str, str]:
    """What the docstrings below the fields say, in one sentence."""
    body = ast.parse(inspect.getsource(event)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            text = " ".join(ast.literal_eval(after.value).split()).rstrip(".")
            found[before.target.id] = text.replace("|", "\\|")
    return found


def _about(event: type[Event]) -> str:
    text = inspect.getdoc(event) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def _first_line(module: object) -> str:
    line = (inspect.getdoc(module) or "").partition("\n")[0].rstrip(".")
    return line[0].lower() + line[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
