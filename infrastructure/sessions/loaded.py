"""A session in memory, and the decision where a message goes in it. No I/O.

Owns the numbers: a message gets its place before it is stored, and is seen by readers once it is as durable as the
mode promises.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from agents.conversation.ports import History
from agents.model import Message, ToolCall
from infrastructure.events.log import Stored
from infrastructure.sessions.errors import BadCut, BadMessage, CallReused, UnknownCall
from infrastructure.sessions.pairing import in_pairs, open_calls
from infrastructure.sessions.records import Draft, SessionRecord, StoredMessage

MOST_DEPTH = 100
"""Of what a client sends to be kept, in lists and objects."""


@dataclass(slots=True)
class LoadedSession:
    """One session as far as it is in memory: the messages since the last summary, and every key and result."""

    record: SessionRecord
    messages: list[StoredMessage] = field(default_factory=list[StoredMessage])
    """Those that were acknowledged; a summary is first, and stands for all up to its `upto`."""
    keys: dict[str, int] = field(default_factory=dict[str, int])
    results: dict[str, int] = field(default_factory=dict[str, int])
    open: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    waiting: dict[int, asyncio.Future[tuple[Stored, ...]]] = field(
        default_factory=dict[int, "asyncio.Future[tuple[Stored, ...]]"]
    )
    """Placed and not yet acknowledged: the writes that are on their way."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while title, settings or list of things to do are changed."""
    holds: int = 0
    """How many want it to stay in memory."""
    leaving: bool = False
    """It is being deleted."""
    placed: int = field(init=False)
    """The last number that was given away."""
    _history: History | None = None
    _in_order: History | None = None

    def __post_init__(self) -> None:
        self.placed = self.record.last

    @property
    def history(self) -> History:
        """What a model is shown."""
        if self._history is None:
            summary = next((each for each in self.messages if each.upto), None)
            first = summary.upto if summary else 1
            self._history = History(messages=in_pairs(self.messages), first=first)
        return self._history

    @property
    def in_order(self) -> History:
        """The messages as they were appended, with their numbers."""
        if self._in_order is None:
            self._in_order = History(
                messages=tuple([each.message for each in self.messages]),
                first=self.messages[0].number if self.messages else 1,
                numbers=tuple([each.number for each in self.messages]),
            )
        return self._in_order

    def place(self, draft: Draft, at: datetime) -> StoredMessage | int:
        """Give the message a number, or say under which one it is there already.

        Raises:
            UnknownCall: it is the result of a call that nobody asked for.
            CallReused: it asks under an id that was used.
            BadCut: it is a summary of what cannot be cut there.
            BadMessage: a call has no id.
        """
        if (known := self._known(draft)) is not None:
            return known
        self._check(draft)
        self.placed += 1
        stored = StoredMessage(
            message=draft.message,
            agent=draft.agent,
            key=draft.key,
            ok=draft.ok,
            upto=draft.upto,
            session=self.record.session,
            number=self.placed,
            at=at,
        )
        if draft.key:
            self.keys[draft.key] = stored.number
        if stored.answers:
            self.results[stored.answers] = stored.number
            del self.open[stored.answers]
        self.open |= {call.id or "": call for call in draft.message.tool_calls}
        return stored

    def acknowledge(self, stored: StoredMessage) -> None:
        """Let readers see a message; called in the order of the numbers."""
        if stored.upto:
            kept = [each for each in self.messages if each.number > stored.upto and not each.upto]
            self.messages[:] = [stored, *kept]
        else:
            self.messages.append(stored)
        self._history = self._in_order = None
        updated = max(self.record.updated, stored.at)
        self.record = replace(self.record, last=stored.number, updated=updated)

    def _known(self, draft: Draft) -> int | None:
        if draft.key and draft.key in self.keys:
            return self.keys[draft.key]
        if draft.message.role == "tool":
            return self.results.get(draft.message.tool_call_id or "")
        return None

    def _check(self, draft: Draft) -> None:
        session = self.record.session
        if draft.message.role == "tool" and draft.message.tool_call_id not in self.open:
            raise UnknownCall(session, draft.message.tool_call_id or "")
        asked: set[str] = set()
        for call in draft.message.tool_calls:
            if not call.id:
                raise BadMessage(f"a call of {call.name!r} has no id; give each call one that is new in its session")
            if call.id in asked or call.id in self.open or call.id in self.results:
                raise CallReused(session, call.id)
            asked.add(call.id)
        if draft.upto:
            self._check_cut(draft.upto)

    def _check_cut(self, upto: int) -> None:
        before = next((each.upto for each in self.messages if each.upto), 0)
        if not before < upto <= self.record.last:
            raise BadCut(f"a summary goes up to a message after {before} and not after {self.record.last}, not {upto}")
        calls = open_calls(each for each in self.messages if each.number <= upto)
        if calls:
            raise BadCut(f"the call {next(iter(calls))!r} before message {upto} has its result after it, or none yet")


def writable(message: Message) -> Message:
    """The message as it can be stored: half characters, which a model's text can contain, become question marks.

    Raises:
        BadMessage: the arguments of a call are no JSON, or a tool's message has no call.
    """
    if message.role == "tool" and not message.tool_call_id:
        raise BadMessage("a tool's message names no call; set tool_call_id")
    if message.tool_calls and message.role != "assistant":
        raise BadMessage(f"only an assistant asks for tools, not {message.role!r}")
    calls = tuple(_writable(call) for call in message.tool_calls)
    content, thinking = whole(message.content), whole(message.thinking)
    if (content, thinking, calls) == (message.content, message.thinking, message.tool_calls):
        return message
    return replace(message, content=content, thinking=thinking, tool_calls=calls)


def whole(text: str) -> str:
    """The text with half characters replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_json(value: Mapping[str, object] | Sequence[object]) -> str:
    """The value as JSON text that can be stored.

    Raises:
        TypeError, ValueError: it is none.
    """
    return whole(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain))


def too_deep(value: object) -> bool:
    """Whether the value is nested deeper than what is kept: what writes JSON gives up at some 250, inside an answer."""
    level: list[object] = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).values()
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {**cast("Mapping[str, object]", value)}
    raise TypeError(f"a {type(value).__name__} is no JSON")


def _writable(call: ToolCall) -> ToolCall:
    try:
        return replace(call, name=whole(call.name), arguments=json.loads(as_json(call.arguments)))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadMessage(f"the arguments of the call {call.name!r} cannot be kept as JSON: {error}") from error
