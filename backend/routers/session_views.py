"""What the routes about sessions take and answer.

Owns the public shape of a session and its messages. Fields are only ever added.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from agents.conversation.talking import turn_of
from backend.dependencies import SESSION_EXAMPLE
from backend.routers.approval_views import plain
from infrastructure.sessions.loaded import MOST_DEPTH, too_deep, whole
from infrastructure.sessions.records import Found, SessionRecord, StoredMessage
from infrastructure.storage.run_record import RequestKey
from infrastructure.tools.client import ClientTool, client_tools
from infrastructure.tools.local import local_tools

_CLIENT_TOOL: dict[str, JsonValue] = {
    "name": "open_tab",
    "description": "Open a file in the editor.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "risk": "reads",
}
_SESSION: dict[str, JsonValue] = {
    "session": SESSION_EXAMPLE,
    "title": "A flag for JSON",
    "workspace": "/home/you/project",
    "agent": "coder",
    "settings": {"client_tools": [_CLIENT_TOOL]},
    "todos": ["write the test", "add the flag"],
    "parent": "",
    "forked_after": 0,
    "last": 12,
    "created": "2026-01-05T10:00:00Z",
    "updated": "2026-01-05T10:03:21Z",
}
_MESSAGE: dict[str, JsonValue] = {
    "number": 2,
    "role": "assistant",
    "agent": "coder",
    "content": "Let me look.",
    "images": [],
    "thinking": "",
    "tool_calls": [{"id": "0199c0df0a1b-1-0", "name": "read_file", "arguments": {"path": "cli.py"}}],
    "tool_name": None,
    "tool_call_id": None,
    "ok": True,
    "upto": 0,
    "turn": "",
    "at": "2026-01-05T10:00:04Z",
}


class SettingsBody(BaseModel):
    """Settings of a session. Beside those that Corral knows a client may keep its own; null takes one away."""

    model_config = ConfigDict(
        frozen=True, extra="allow", json_schema_extra={"example": {"client_tools": [_CLIENT_TOOL]}}
    )

    client_tools: tuple[ClientTool, ...] | None = None
    """The tools that the client does."""

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, sent: object) -> object:
        if too_deep(sent):
            raise ValueError(f"settings are nested {MOST_DEPTH} deep at most")
        if not _is_finite(sent):
            raise ValueError("a number in settings is too large to be kept, or none")  # written as null, it takes away
        return sent

    @field_validator("client_tools")
    @classmethod
    def _usable(cls, declared: tuple[ClientTool, ...] | None) -> tuple[ClientTool, ...] | None:
        client_tools(declared or (), local_tools().names)
        return declared

    def changes(self) -> dict[str, JsonValue]:
        """What was sent, as it is kept."""
        return self.model_dump(mode="json", exclude_unset=True)


class NewSession(BaseModel):
    """A session to begin."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "example": {"title": "A flag for JSON", "workspace": "/home/you/project", "agent": "coder", "settings": {}}
        },
    )

    title: str = ""
    workspace: str = ""
    """The folder that tools work in, whole; empty where there is none."""
    agent: str = ""
    """Who answers the first message; empty: the orchestrator."""
    settings: SettingsBody = Field(default_factory=SettingsBody)

    @field_validator("workspace")
    @classmethod
    def _absolute(cls, workspace: str) -> str:
        if workspace and not Path(workspace).is_absolute():
            raise ValueError("send the whole path")
        if whole(workspace) != workspace:
            raise ValueError("a session keeps the path as text, and this is none")
        return workspace

    def request(self, key: str) -> RequestKey | None:
        """The request, under the name that the client gave it; None where it gave none."""
        if not key:
            return None
        asked = {"title": self.title, "workspace": self.workspace, "agent": self.agent}
        return RequestKey.of(key, {**asked, "settings": self.settings.changes()})


class SessionChange(BaseModel):
    """What of a session is to change; what is left out stays."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"example": {"agent": "debug"}})

    title: str | None = None
    settings: SettingsBody | None = None
    agent: str | None = None
    """Who speaks from the next message on."""


class Fork(BaseModel):
    """Where a fork begins."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"example": {"upto": 4, "title": "Again"}})

    upto: int | None = Field(default=None, ge=0)
    """The last message that it has; null: all."""
    title: str | None = None


class SessionView(BaseModel):
    """A session without its messages."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _SESSION})

    session: str
    title: str
    workspace: str
    agent: str
    """Who speaks now; empty before anybody has."""
    settings: dict[str, JsonValue]
    todos: tuple[str, ...]
    parent: str
    """The session it was forked from, after that one's message `forked_after`."""
    forked_after: int
    last: int
    """Number of its last message; they count from 1."""
    created: datetime
    updated: datetime


class FoundView(BaseModel):
    """Where a search found its text: in a message, or in the title, which is number 0."""

    model_config = ConfigDict(frozen=True)

    session: str
    title: str
    number: int
    at: datetime
    excerpt: str


class SessionPage(BaseModel):
    """Sessions, those that changed last first; of a search those in which it found something, and where."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"example": {"sessions": [_SESSION], "next": None, "found": []}}
    )

    sessions: tuple[SessionView, ...]
    next: str | None = None
    """What to send as `before` for more; null at the end."""
    found: tuple[FoundView, ...] = ()


class CalledView(BaseModel):
    """A call that a message asks for."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: dict[str, JsonValue]


class MessageView(BaseModel):
    """A message."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _MESSAGE})

    number: int
    role: str
    """user · assistant · tool · system, which is a summary."""
    agent: str
    content: str
    images: tuple[str, ...]
    """Names of its images; `…/images/{name}` has what is in them."""
    thinking: str
    tool_calls: tuple[CalledView, ...]
    tool_name: str | None
    tool_call_id: str | None
    """Of a result: the call that it answers."""
    ok: bool
    """Of a result: whether the tool did what it was asked for."""
    upto: int
    """Of a summary: the number of the last message that it stands for."""
    turn: str
    """Of a person's message: the turn that it began; empty where it began none, as the word of an undo."""
    at: datetime


class HistoryPage(BaseModel):
    """Messages, newest first, and who speaks now."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"example": {"messages": [_MESSAGE], "current_agent": "coder", "next": 2}}
    )

    messages: tuple[MessageView, ...]
    current_agent: str
    next: int | None
    """What to send as `before` for more; null at the first message."""


class Todos(BaseModel):
    """The list of things to do."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_extra={"example": {"todos": ["write the test", "add the flag"]}}
    )

    todos: tuple[str, ...]


def session_view(record: SessionRecord) -> SessionView:
    """A session as it is shown."""
    return SessionView.model_validate(record, from_attributes=True)


def found_page(found: Sequence[Found], sessions: Sequence[SessionRecord]) -> SessionPage:
    """What a search found."""
    return SessionPage(
        sessions=tuple(map(session_view, sessions)),
        found=tuple(FoundView.model_validate(each, from_attributes=True) for each in found),
    )


def history_page(messages: Sequence[StoredMessage], agent: str, limit: int) -> HistoryPage:
    """A page of messages."""
    more = len(messages) == limit and messages[-1].number > 1
    return HistoryPage(
        messages=tuple(map(_message, messages)),
        current_agent=agent,
        next=messages[-1].number if more else None,
    )


def _is_finite(value: object) -> bool:
    """Whether every number in it is one that JSON has."""
    if isinstance(value, dict):
        return all(map(_is_finite, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return all(map(_is_finite, cast("list[object]", value)))
    return not isinstance(value, float) or isfinite(value)


def _message(stored: StoredMessage) -> MessageView:
    message = stored.message
    return MessageView(
        number=stored.number,
        role=message.role,
        agent=stored.agent,
        content=message.content,
        images=message.images,
        thinking=message.thinking,
        tool_calls=tuple(
            CalledView(id=call.id or "", name=call.name, arguments=plain(call.arguments)) for call in message.tool_calls
        ),
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
        ok=stored.ok,
        upto=stored.upto,
        turn=turn_of(stored.key),
        at=stored.at,
    )
