"""A session and its messages. The text itself is the session's; an event says that it is there."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class SessionCreated(Event):
    """A session began; `parent` is the one it was forked from, after its message `forked_after`."""

    kind: Literal["session.created"] = "session.created"
    title: str = ""
    workspace: str = ""
    agent: str = ""
    parent: str = ""
    forked_after: int = 0


class SessionUpdated(Event):
    """Its title, settings or list of things to do changed; `fields` names which."""

    kind: Literal["session.updated"] = "session.updated"
    fields: tuple[str, ...]


class SessionDeleted(Event):
    """It is gone, with its messages."""

    kind: Literal["session.deleted"] = "session.deleted"


class MessageAdded(Event):
    """A message was appended."""

    kind: Literal["message.added"] = "message.added"
    number: int
    """Its place in the session, from 1."""
    role: str
    agent: str = ""
    calls: tuple[str, ...] = ()
    """Ids of the tool calls it asks for."""
