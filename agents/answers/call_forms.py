"""The forms in which models print tool calls, each read from where it begins.

Owns how name and arguments are taken out of each form. Whether a call that was read is one that the model means is not
decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from agents.answers.call_spelling import (
    ARGS,
    DEEPSEEK,
    DEEPSEEK_END,
    DEEPSEEK_NEXT,
    FENCE,
    FENCE_END,
    FUNCTION,
    FUNCTIONARY,
    HARMONY,
    HARMONY_END,
    INVOKE,
    INVOKED,
    KEYS,
    KIMI,
    KIMI_END,
    NAME,
    PARAMETERS,
    REACT,
    WRAPPERS,
    Tags,
)
from agents.answers.call_values import CUT_OFF, Malformed, NoCall, json_at, keywords_at, skip_blank
from agents.answers.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from agents.model import JsonObject, JsonValue

_NAMED_JSON_KEYS = ("name", "tool_name", "function", "tool", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "action_input", "tool_input", "input")
_OTHER_KEYS = frozenset({"id", "type", "index", "call_id", "tool_call_id"})


@dataclass(frozen=True, slots=True)
class Draft:
    """A call as it was printed.

    Attributes:
        name: As written, without the prefix of its dialect.
        arguments: As written.
        span: Where name and arguments stand in the text.
        typed: False where every argument is a text whose type the tool's schema tells.
        mended: Whether a slip was mended.
        by_arguments: False where its form is one that data has as well: a name and parameters.
    """

    name: str
    arguments: JsonObject
    span: tuple[int, int]
    typed: bool = True
    mended: bool = False
    by_arguments: bool = True


@dataclass(frozen=True, slots=True)
class Read:
    """Calls that stand together in one form, and where they end."""

    drafts: tuple[Draft, ...]
    end: int


def read_form(text: str, found: re.Match[str]) -> Read:
    """Read the call or calls that begin at a match of `OPENER`.

    Raises:
        Malformed: They do not follow their form, or are cut off.
    """
    dialect = found.lastgroup or ""
    if dialect in WRAPPERS:
        return _wrapped(text, found.end(), re.compile(WRAPPERS[dialect][1]))
    return _UNWRAPPED[dialect](text, found.start() if dialect in {"function", "invoke", "args"} else found.end())


def read_payload(text: str, position: int) -> Read:
    """Read the calls that begin at a position without any mark: JSON, tags, or Python's form of a call.

    Raises:
        Malformed: There is no call here, or none that is whole.
    """
    position = skip_blank(text, position)
    start = text[position : position + 1]
    if not start:
        raise Malformed(CUT_OFF)
    if start == "{":
        return _objects(text, position)
    if start == "[":
        inside = skip_blank(text, position + 1)
        return _array(text, position) if text.startswith(("{", "]"), inside) else _python_list(text, position)
    for pattern, reader in ((FUNCTION, _function), (INVOKE, _invoke), (ARGS, _with_args)):
        if pattern.match(text, position):
            return reader(text, position)
    return _named_call(text, position)


def read_python(text: str, position: int) -> Read:
    """Read calls in Python's form, one a line or parted by semicolons.

    Raises:
        Malformed: No call, or an argument that is no literal.
    """
    drafts: list[Draft] = []
    while True:
        name = NAME.match(text, position)
        if name is None or not text.startswith("(", name.end()):
            break
        draft = _python_call(text, position)
        drafts.append(draft)
        position = draft.span[1]
        following = skip_blank(text, position)
        position = skip_blank(text, following + 1) if text.startswith(";", following) else following
    if not drafts:
        raise Malformed("there is no call in it")
    return Read(tuple(drafts), drafts[-1].span[1])


def draft_of(value: JsonValue, span: tuple[int, int], *, mended: bool = False) -> Draft | None:
    """The call that a JSON object is; None where it is none: other keys, no name, no arguments."""
    if not isinstance(value, dict):
        return None
    members = value
    inner = members.get("function")
    if isinstance(inner, dict):  # {"type": "function", "function": {"name": …, "arguments": …}}
        return draft_of(inner, span, mended=mended) if set(members) - {"function"} <= _OTHER_KEYS else None
    names = [key for key in _NAMED_JSON_KEYS if key in members]
    arguments = [key for key in _ARGUMENT_KEYS if key in members]
    if len(names) != 1 or len(arguments) != 1 or set(members) - {*names, *arguments} - _OTHER_KEYS:
        return None
    name, given = members[names[0]], members[arguments[0]]
    if not isinstance(name, str):
        return None
    return Draft(name, _object_of(given), span, mended=mended, by_arguments=arguments[0] == "arguments")


def is_call_like(text: str, position: int, names: Collection[str]) -> bool:
    """Whether JSON that is broken seems to have been meant as a call of one of these tools."""
    head = text[position : position + 300]
    found = re.search(rf"[\"'](?:{'|'.join(_NAMED_JSON_KEYS)})[\"']\s*:\s*[\"']([\w.\-]+)[\"']", head)
    return found is not None and (found.group(1) in names or any(f'"{key}"' in head for key in _ARGUMENT_KEYS[:2]))


def _object_of(given: JsonValue) -> JsonObject:
    if isinstance(given, str):  # as OpenAI's servers send them: JSON inside a string
        inner = json_at(given, skip_blank(given, 0))
        if skip_blank(given, inner.end) != len(given) or inner.mended:
            raise Malformed("its arguments are a text and no object")
        given = inner.value
    if not isinstance(given, dict):
        raise Malformed("its arguments are no object")
    return cast("JsonObject", given)


def _wrapped(text: str, position: int, closer: re.Pattern[str]) -> Read:
    position = skip_blank(text, position)
    fence = FENCE.match(text, position)
    start = fence.end() if fence else position
    try:
        read = read_payload(text, start)
    except Malformed:
        read = _with_brace(text, start, closer)
        if read is None:
            raise
    end = read.end
    surplus = skip_blank(text, end)
    while text.startswith("}", surplus):  # one brace too many, and then the end of the wrapper
        surplus = skip_blank(text, surplus + 1)
    if surplus > skip_blank(text, end) and closer.match(text, surplus):
        read = Read(tuple(replace(draft, mended=True) for draft in read.drafts), surplus)
        end = surplus
    if fence:
        fence_end = FENCE_END.match(text, end)
        end = fence_end.end() if fence_end else end
    closing = closer.match(text, skip_blank(text, end))
    return Read(read.drafts, closing.end() if closing else end)


def _with_brace(text: str, start: int, closer: re.Pattern[str]) -> Read | None:
    """The call whose own last brace was forgotten before the end of its wrapper; its arguments are whole."""
    closing = closer.search(text, start)
    if closing is None or not text.startswith("{", start):
        return None
    body = text[start : closing.start()].rstrip()
    try:
        value = json_at(body + "}", 0)
        span = (start, start + len(body))
        draft = draft_of(value.value, span, mended=True) if value.end == len(body) + 1 else None
    except Malformed:
        return None
    return None if draft is None else Read((draft,), span[1])


def _objects(text: str, position: int) -> Read:
    """One object, or several that stand behind each other."""
    drafts: list[Draft] = []
    while True:
        value = json_at(text, position)
        drafts.append(_sure(draft_of(value.value, (position, value.end), mended=value.mended)))
        end = value.end
        position = skip_blank(text, end)
        if text.startswith((";", ","), position):
            position = skip_blank(text, position + 1)
        if not text.startswith("{", position):
            return Read(tuple(drafts), end)


def _array(text: str, position: int) -> Read:
    value = json_at(text, position)
    items = cast("list[JsonValue]", value.value)
    span = (position, value.end)
    return Read(tuple(_sure(draft_of(item, span, mended=value.mended)) for item in items), value.end)


def _sure(draft: Draft | None) -> Draft:
    if draft is None:
        raise Malformed("it is no object with a name and arguments, or it has keys besides them")
    return draft


def _python_list(text: str, position: int) -> Read:
    drafts: list[Draft] = []
    position = skip_blank(text, position + 1)
    while not text.startswith("]", position):
        drafts.append(_python_call(text, position))
        position = skip_blank(text, drafts[-1].span[1])
        if text.startswith(",", position):
            position = skip_blank(text, position + 1)
        elif not text.startswith("]", position):
            raise Malformed(_unexpected(text, position, "a comma or ]"))
    return Read(tuple(drafts), position + 1)


def _python_call(text: str, position: int) -> Draft:
    name = NAME.match(text, position)
    if name is None or not text.startswith("(", name.end()):
        raise Malformed(_unexpected(text, position, "a call"))
    given = keywords_at(text, name.end())
    return Draft(name.group(), _object_of(given.value), (position, given.end), mended=given.mended)


def _unexpected(text: str, position: int, wanted: str) -> str:
    here = text[position : position + 20]
    return f"{wanted} is missing before {shown(here)}" if here else CUT_OFF


def _named_call(text: str, position: int) -> Read:
    """A bare name and then its arguments: in round brackets, as a JSON object, as keys and values, or none."""
    name = NAME.match(text, position)
    if name is None:
        raise NoCall("its form is not known")
    if text.startswith("(", name.end()):
        return read_python(text, position)
    following = skip_blank(text, name.end())
    if text.startswith("{", following):
        return _with_json(text, position, name.group(), following)
    if text.startswith(("<arg_key>", "</tool_call>"), following):
        return _with_tags(text, position, name.group(), following, KEYS)
    if following >= len(text):
        raise Malformed(CUT_OFF)
    raise NoCall("its form is not known")


def _with_json(text: str, start: int, name: str, position: int) -> Read:
    fence = FENCE.match(text, position)
    begin = skip_blank(text, fence.end() if fence else position)
    if not text.startswith("{", begin):
        raise Malformed(CUT_OFF if begin >= len(text) else "its arguments are no object")
    value = json_at(text, begin)
    end = value.end
    if fence and (closing := FENCE_END.match(text, end)):
        end = closing.end()
    return Read((Draft(name, _object_of(value.value), (start, value.end), mended=value.mended),), end)


def _with_tags(text: str, start: int, name: str, position: int, tags: Tags) -> Read:
    """Arguments, each in a tag of its own. A tag inside a value makes its end unclear, which is refused."""
    arguments: dict[str, JsonValue] = {}
    while True:
        position = skip_blank(text, position)
        ending = tags.end.match(text, position)
        if ending is not None:
            return Read((Draft(name, arguments, (start, position), typed=False),), ending.end())
        opening = tags.opening.match(text, position)
        if opening is None:
            raise Malformed(CUT_OFF if position >= len(text) else "where one of its arguments ends is unclear")
        closing = tags.closing.search(text, opening.end())
        if closing is None:
            raise Malformed(CUT_OFF)
        value = text[opening.end() : closing.start()]
        if tags.inner.search(value):
            raise Malformed(f"the argument {opening.group(1)} holds tags of a call, so where it ends is unclear")
        if opening.group(1) in arguments:
            raise Malformed(f"the argument {opening.group(1)} comes twice")
        arguments[opening.group(1)] = value.removeprefix("\n").removesuffix("\n")
        position = closing.end()


def _function(text: str, position: int) -> Read:
    opening = cast("re.Match[str]", FUNCTION.match(text, position))
    following = skip_blank(text, opening.end())
    if not text.startswith("{", following):
        return _with_tags(text, position, opening.group(1), following, PARAMETERS)
    read = _with_json(text, position, opening.group(1), following)
    end = skip_blank(text, read.end)
    return Read(read.drafts, end + len("</function>") if text.startswith("</function>", end) else read.end)


def _invoke(text: str, position: int) -> Read:
    opening = INVOKE.match(text, position)
    if opening is None:
        raise Malformed("its name cannot be read")
    return _with_tags(text, position, opening.group(1), opening.end(), INVOKED)


def _with_args(text: str, position: int) -> Read:
    opening = ARGS.match(text, position)
    if opening is None:
        raise Malformed("its form is not known")
    return _with_json(text, position, opening.group(1), skip_blank(text, opening.end()))


def _deepseek(text: str, position: int) -> Read:
    drafts: list[Draft] = []
    while True:
        read = _headed(text, position, DEEPSEEK)
        drafts.extend(read.drafts)
        following = DEEPSEEK_NEXT.match(text, skip_blank(text, read.end))
        if following is None:
            return Read(tuple(drafts), _past(DEEPSEEK_END, text, read.end))
        position = following.end()


def _kimi(text: str, position: int) -> Read:
    read = _headed(text, position, KIMI)
    return Read(read.drafts, _past(KIMI_END, text, read.end))


def _harmony(text: str, position: int) -> Read:
    read = _headed(text, position, HARMONY)
    return Read(read.drafts, _past(HARMONY_END, text, read.end))


def _headed(text: str, position: int, head: re.Pattern[str]) -> Read:
    """A name in the head of its dialect, then a JSON object."""
    found = head.match(text, position)
    if found is None:
        raise Malformed(CUT_OFF if skip_blank(text, position) >= len(text) else "its form is not known")
    name = next(group for group in found.groups() if group)
    return _with_json(text, position, name, found.end())


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found and found.group().strip() else position


_UNWRAPPED: Mapping[str, Callable[[str, int], Read]] = {
    "deepseek": _deepseek,
    "kimi": _kimi,
    "harmony": _harmony,
    "function": _function,
    "invoke": _invoke,
    "functionary": lambda text, position: _headed(text, position, FUNCTIONARY),
    "react": lambda text, position: _headed(text, position, REACT),
    "args": _with_args,
}
