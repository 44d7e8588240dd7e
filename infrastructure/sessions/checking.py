"""What a session takes: bounds of titles, settings, lists of things to do and messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agents.model import JsonObject, JsonValue, Message
from infrastructure.sessions.errors import BadChange, MessageTooLong
from infrastructure.sessions.loaded import as_json, whole, writable

TITLE_SIGNS = 500
TODOS = 200
TODO_SIGNS = 1000
SETTINGS_BYTES = 64 << 10


def checked_message(message: Message, most_bytes: int) -> Message:
    """The message as it is stored.

    Raises:
        BadMessage: it is too long, or cannot be kept.
    """
    message = writable(message)
    size = len(message.content.encode()) + len(message.thinking.encode())
    size += sum(len(as_json(call.arguments)) for call in message.tool_calls)
    if size > most_bytes:
        raise MessageTooLong(size, most_bytes)
    return message


def checked_title(title: str) -> str:
    """The title on one line.

    Raises:
        BadChange: it is too long.
    """
    title = " ".join(whole(title).split())
    if len(title) > TITLE_SIGNS:
        raise BadChange(f"a title has at most {TITLE_SIGNS} characters, not {len(title)}")
    return title


def checked_todos(todos: Sequence[str]) -> tuple[str, ...]:
    """The list without empty items.

    Raises:
        BadChange: it or an item is too long.
    """
    items = tuple(item for item in (whole(each).strip() for each in todos) if item)
    if len(items) > TODOS or any(len(item) > TODO_SIGNS for item in items):
        raise BadChange(f"a list of things to do has at most {TODOS} items of at most {TODO_SIGNS} characters")
    return items


def changed_settings(settings: JsonObject, changes: Mapping[str, JsonValue]) -> JsonObject:
    """The settings with the changes over them; None takes one away.

    Raises:
        BadChange: one is no JSON, or they are too many.
    """
    merged = {name: value for name, value in {**settings, **changes}.items() if value is not None}
    try:
        text = as_json(merged)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadChange(f"a session's settings must be JSON: {error}") from error
    if len(text) > SETTINGS_BYTES:
        raise BadChange(f"a session's settings take at most {SETTINGS_BYTES} bytes, not {len(text)}")
    return json.loads(text)
