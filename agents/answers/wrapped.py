"""Files and edits inside JSON: how models answer that were trained to call tools.

Owns the names of the fields that are understood. Looked for only where no block of the answer names a file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeGuard, cast

from agents.answers.changes import Change, EditAnswer, FileAnswer
from agents.answers.text import shown
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agents.answers.fences import Block

_PATHS = ("path", "file_path", "filepath", "file", "filename", "filePath", "target_file")
_CONTENTS = ("content", "contents", "code", "file_text", "new_content")
_SEARCHES = ("search", "old_string", "oldString", "old_str", "old_text", "oldText", "find")
_REPLACEMENTS = ("replace", "new_string", "newString", "new_str", "new_text", "newText", "replacement")
_LISTS = ("files", "edits", "changes", "replacements")
_INSIDE = ("arguments", "parameters", "input", "args")
_TAGS = ("<tool_call>", "</tool_call>")
_MAX_DEPTH = 6


def wrapped_changes(text: str, found: tuple[Block, ...], cleaned: Callable[[str], str]) -> tuple[Change, ...]:
    """Return the files and edits that the JSON of an answer holds; nothing where there is none.

    Raises:
        UnusableAnswer: A path may not be used, or a text holds what no file can.
    """
    candidates = ["\n".join(block.lines) for block in found if block.fenced] or [_untagged(text)]
    changes: list[Change] = []
    for candidate in candidates:
        if candidate.lstrip()[:1] in ("{", "["):
            changes.extend(_changes(_parsed(candidate), None, cleaned, 0))
    return tuple(changes)


def _untagged(text: str) -> str:
    bare = text.strip()
    for tag in _TAGS:
        bare = bare.removeprefix(tag).removesuffix(tag).strip()
    return bare


def _parsed(candidate: str) -> object:
    try:
        return cast("object", json.loads(candidate, strict=False))
    except (ValueError, RecursionError):
        return None


def _changes(value: object, path: str | None, cleaned: Callable[[str], str], depth: int) -> Iterator[Change]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _changes(each, path, cleaned, depth + 1)
    elif _is_object(value):
        path = _first(value, _PATHS) or path
        change = None if path is None else _change(value, path, cleaned)
        if change is not None:
            yield change
        else:
            for key in (*_LISTS, *_INSIDE):
                yield from _changes(value.get(key), path, cleaned, depth + 1)


def _change(value: Mapping[str, object], path: str, cleaned: Callable[[str], str]) -> Change | None:
    content, search, new = _first(value, _CONTENTS), _first(value, _SEARCHES), _first(value, _REPLACEMENTS)
    if search is not None and new is not None:
        return EditAnswer(cleaned(path), _ended(search, path), _ended(new, path))
    return None if content is None else FileAnswer(cleaned(path), _ended(content, path))


def _ended(text: str, path: str) -> str:
    r"""Return the text with a line end at its end. A line end is all that a text here may lack of a file's."""
    text = text.replace("\r\n", "\n")
    if "\0" in text or any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise UnusableAnswer(f"the file {shown(path)} holds a character that no file can")
    return text if not text or text.endswith("\n") else f"{text}\n"


def _first(value: Mapping[str, object], keys: tuple[str, ...]) -> str | None:
    return next((text for key in keys if isinstance(text := value.get(key), str)), None)


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)
