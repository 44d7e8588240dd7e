"""The values that sessions consist of. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agents.model import JsonObject, JsonValue, Message
from infrastructure.ids import SessionId

_SIGN = "~"
"""Which no session's id has."""
_EPOCH, _TICK = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)


def placed(place: str) -> tuple[datetime, str] | None:
    """The instant and the session of a `SessionRecord.place`; None where it is none, as a session's id is not."""
    session, sign, ticks = place.rpartition(_SIGN)
    if not sign:
        return None
    try:
        return _EPOCH + int(ticks) * _TICK, session
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session without its messages. Times are aware, in UTC."""

    session: SessionId
    title: str = ""
    workspace: str = ""
    """The folder that tools work in; empty where it has none."""
    agent: str = ""
    """Who speaks now."""
    settings: JsonObject = field(default_factory=dict[str, JsonValue])
    todos: tuple[str, ...] = ()
    parent: str = ""
    """The session it was forked from, after that one's message `forked_after`."""
    forked_after: int = 0
    last: int = 0
    """Number of its last message; they count from 1 without a gap."""
    created: datetime
    updated: datetime

    @property
    def place(self) -> str:
        """Its place in the list of sessions by their last change: a word for `before`, whatever becomes of it."""
        return f"{self.session}{_SIGN}{(self.updated - _EPOCH) // _TICK}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message on its way into a session.

    Attributes:
        message: What is said.
        agent: Who says it.
        key: What the caller calls this write; a key is written once in a session. Empty for none.
        ok: Of a result: whether the tool did what it was asked for.
        upto: Of a summary: the number of the last message that it stands for; 0 for any other message.
    """

    message: Message
    agent: str = ""
    key: str = ""
    ok: bool = True
    upto: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage(Draft):
    """A message that has its place."""

    session: SessionId
    number: int
    at: datetime

    @property
    def answers(self) -> str:
        """The call whose result it is; empty for any other message."""
        return (self.message.tool_call_id or "") if self.message.role == "tool" else ""

    @property
    def calls(self) -> tuple[str, ...]:
        """Ids of the calls it asks for."""
        return tuple(call.id or "" for call in self.message.tool_calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a search found its text: in a message, or in the title, which is number 0."""

    session: SessionId
    title: str
    number: int
    at: datetime
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A change of the agent that speaks. `seq` is its event's number in the session's log."""

    seq: int
    at: datetime
    previous: str
    agent: str
    reason: str = ""
    by: str = "agent"
