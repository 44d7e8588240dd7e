"""Tool calls that a model printed as text instead of making them.

Owns which of them are recovered. A call is the model's own only where nothing says otherwise: it has the exact name of
an offered tool and whole arguments, and the answer ends with it. In doubt it is refused, with a reason for the model,
which can make the call anew; so is every call behind a refused one, since it may rest on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agents.answers import call_places as places
from agents.answers.call_scan import Found, Scan
from agents.answers.call_spelling import CLOSERS, OPENER
from agents.answers.call_values import Malformed, json_at, skip_blank
from agents.answers.text import shown
from agents.model import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents.answers.call_forms import Draft
    from agents.model import JsonObject, JsonValue, Tool

MAX_READ = 1 << 18
"""Characters of the longest answer in which calls are looked for."""
MAX_CALLS = 16
"""Of the largest answer; more is a loop."""

_SHORT = 24  # characters without blanks under which a call is too common to be taken for an echo
_NAMES_TOLD = 8
_AFTER_REFUSED = "a call before it was refused, and it may rest on that one"
_AFTER_TEXT = "text stands behind it, so it may only be spoken of"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A call that is the model's own.

    Attributes:
        call: What is to be run, as if it had been made and not printed. It has no id.
        dialect: The form it was printed in.
        mended: Whether a slip in its arguments was mended; a person who approves the call should see that.
    """

    call: ToolCall
    dialect: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that is not run.

    Attributes:
        name: As printed; empty where it could not be read.
        reason: One clause without a full stop, safe to show to people.
    """

    name: str
    reason: str

    @property
    def told(self) -> str:
        """What the model is told, so that it can do better."""
        what = f"The call of {shown(self.name)}" if self.name else "A call"
        return (
            f"{what} that you printed as text was not run: {self.reason}. If you want it, make it as a tool call, with"
            " nothing behind it."
        )


@dataclass(frozen=True, slots=True)
class Leaked:
    """What an answer holds besides text.

    Attributes:
        calls: In the order of the answer.
        text: The answer without them; as it was where none was recovered.
        refused: In the order of the answer.
    """

    calls: tuple[Recovered, ...] = ()
    text: str = ""
    refused: tuple[Refused, ...] = ()


def read_tool_calls(text: str, tools: Sequence[Tool], *, heard: Iterable[str] = ()) -> Leaked:
    """Find the calls in an answer that the server took for text. Pure, linear in the text, raises nothing.

    Args:
        text: The answer, thinking included where the server left it there.
        tools: What was offered with the question; nothing else is ever called.
        heard: What others said, such as results of tools and messages of people: a call that stands there word for
            word is an echo and is refused.
    """
    if not tools or not text:
        return Leaked(text=text)
    if len(text) > MAX_READ:
        marked = OPENER.search(text, 0, MAX_READ)
        reason = f"the answer has more than {MAX_READ} characters"
        return Leaked(text=text, refused=(Refused("", reason),) if marked else ())
    offered = {tool.name: tool for tool in tools}
    scan = Scan(text, offered)
    scan.run()
    return _settled(scan, offered, heard) if scan.found else Leaked(text=text)


def _settled(scan: Scan, offered: Mapping[str, Tool], heard: Iterable[str]) -> Leaked:
    """Decide on what was found, in its order: from the first refusal on all is refused."""
    count = sum(len(found.drafts) for found in scan.found)
    overall = _doubt_of_all(scan, count)
    echo = _Echo(heard)
    calls: list[Recovered] = []
    refused: list[Refused] = []
    cut: list[Found] = []
    for number, found in enumerate(scan.found):
        doubt = found.problem or overall or _doubt_of(scan, number)
        for draft in found.drafts:
            settled = doubt or (_AFTER_REFUSED if refused else "") or _settle(draft, offered, echo, scan.text)
            if isinstance(settled, str):
                refused.append(Refused(draft.name, settled))
            else:
                calls.append(Recovered(settled, found.dialect, draft.mended))
        if found.problem and not found.drafts:
            refused.append(Refused(found.name, found.problem))
        if not refused:
            cut.append(found)
    return Leaked(tuple(calls), _without(scan.text, cut), tuple(refused[: MAX_CALLS + 1]))


def _doubt_of_all(scan: Scan, count: int) -> str:
    """Why none of the calls may be run; empty where nothing is against them."""
    if scan.has_file:
        return "the answer also writes files, so it may stand in one of them"
    if count > MAX_CALLS:
        return f"the answer has more than {MAX_CALLS} calls"
    last = scan.found[-1]
    behind = _behind(scan.text, last.end, len(scan.text))
    return _AFTER_TEXT if behind and not places.RESULT.match(behind) else ""


def _doubt_of(scan: Scan, number: int) -> str:
    """Why calls that stand together may be none of the model's own."""
    found = scan.found[number]
    doubt = places.doubt_of(scan.text[found.spoken : found.start], sure=found.sure)
    if doubt or number + 1 == len(scan.found):
        return doubt
    between = _behind(scan.text, found.end, scan.found[number + 1].start)
    return _AFTER_TEXT if between and (not found.sure or "```" in between) else ""


def _behind(text: str, start: int, stop: int) -> str:
    """The text of a stretch without what only ends a call or a turn; at most its beginning."""
    position = start
    while True:
        position = skip_blank(text, position)
        closing = CLOSERS.match(text, position, stop)
        if closing is None and position < stop and text[position] in ",;":
            position += 1
        elif closing is None:
            return text[position:stop]
        else:
            position = closing.end()


class _Echo:
    """What others said, without blanks, made only when it is first needed."""

    def __init__(self, heard: Iterable[str]) -> None:
        self._heard = heard
        self._packed: list[str] | None = None

    def holds(self, text: str) -> bool:
        packed = "".join(text.split())
        if len(packed) < _SHORT:
            return False
        if self._packed is None:
            self._packed = ["".join(each.split()) for each in self._heard]
        return any(packed in each for each in self._packed)


def _settle(draft: Draft, offered: Mapping[str, Tool], echo: _Echo, text: str) -> ToolCall | str:
    """The call that a draft is, or why it is none."""
    tool = offered.get(draft.name)
    if tool is None:
        names = [*offered][:_NAMES_TOLD]
        return f"there is no tool of this name; there are {', '.join(names)}"
    if echo.holds(text[draft.span[0] : draft.span[1]]):
        return "it repeats word for word what somebody else said"
    try:
        arguments = draft.arguments if draft.typed else _typed(draft.arguments, tool)
        _refuse_unfit(arguments, tool)
    except Malformed as error:
        return error.reason
    return ToolCall(draft.name, arguments)


def _typed(texts: JsonObject, tool: Tool) -> JsonObject:
    """Arguments that stood in tags, as the types that the tool's schema names; texts stay as they are."""
    arguments: dict[str, JsonValue] = {}
    for name, given in texts.items():
        schema = _properties(tool).get(name)
        kinds = cast("JsonObject", schema).get("type") if isinstance(schema, dict) else None
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if None in kinds or "string" in kinds or not isinstance(given, str):
            arguments[name] = given
            continue
        try:
            value = json_at(given, skip_blank(given, 0))
        except Malformed as error:
            raise Malformed(f"the argument {name} is no {' or '.join(map(str, kinds))}") from error
        if skip_blank(given, value.end) != len(given):
            raise Malformed(f"the argument {name} is no {' or '.join(map(str, kinds))}")
        arguments[name] = value.value
    return arguments


def _refuse_unfit(arguments: JsonObject, tool: Tool) -> None:
    """Refuse arguments that no tool could take, or that show that the call is not whole."""
    try:
        json.dumps(arguments, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Malformed("it holds half a character (a lone surrogate)") from error
    required = tool.parameters.get("required")
    missing = [name for name in required if name not in arguments] if isinstance(required, list | tuple) else []
    if missing:
        raise Malformed(f"the argument {missing[0]} is missing")
    known = _properties(tool)
    unknown = [name for name in arguments if name not in known]
    if known and unknown and not tool.parameters.get("additionalProperties"):
        raise Malformed(f"the tool has no argument {shown(unknown[0])}; it has {', '.join(known)}")


def _properties(tool: Tool) -> JsonObject:
    properties = tool.parameters.get("properties")
    return cast("JsonObject", properties) if isinstance(properties, dict) else {}


def _without(text: str, cut: Sequence[Found]) -> str:
    """The text without the calls that were recovered."""
    if not cut:
        return text
    parts: list[str] = []
    position = 0
    for found in cut:
        parts.append(text[position : found.start].rstrip())
        rest = _behind(text, found.end, len(text))
        position = len(text) - len(rest)
    parts.append(text[position:].strip())
    return "\n".join(part for part in parts if part.strip())
