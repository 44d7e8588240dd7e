"""A session made of another one's beginning.

Owns what a fork consists of. It is stored in one transaction, calls that the cut left open answered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from agents.model import Message
from infrastructure.events.catalogue import AnyEvent, SessionCreated
from infrastructure.ids import RunId, SessionId, new_id
from infrastructure.sessions import store
from infrastructure.sessions.checking import checked_title
from infrastructure.sessions.errors import BadCut
from infrastructure.sessions.persistence import told_of
from infrastructure.sessions.records import SessionRecord, StoredMessage
from infrastructure.storage.database import Readable

NOT_DONE = "not done: the conversation was forked before this call had a result"
Fork = tuple[SessionRecord, Sequence[tuple[RunId, AnyEvent]], store.Change]
"""The new session, its events, and the work that stores it."""


async def fork_of(database: Readable, source: SessionRecord, upto: int, title: str | None, now: datetime) -> Fork:
    """All of the fork. Its agent is the one that spoke last before the cut.

    Raises:
        BadCut: the source has no message `upto`.
    """
    if not 0 <= upto <= source.last:
        raise BadCut(f"session {source.session!r} has messages 1 to {source.last}, so it cannot be cut after {upto}")
    calls, spoken = await database.read(partial(store.unanswered, session=source.session, upto=upto))
    record = replace(
        source,
        session=SessionId(new_id()),
        title=source.title if title is None else checked_title(title),
        agent=spoken or source.agent,
        parent=source.session,
        forked_after=upto,
        last=upto,
        created=now,
        updated=now,
    )
    answers = [
        StoredMessage(
            message=Message("tool", NOT_DONE, tool_name=call.name, tool_call_id=call.id),
            ok=False,
            session=record.session,
            number=number,
            at=now,
        )
        for number, call in enumerate(calls.values(), upto + 1)
    ]
    created = SessionCreated(
        title=record.title, workspace=record.workspace, agent=record.agent, parent=source.session, forked_after=upto
    )
    events = [(RunId(record.session), created), *(told_of(each) for each in answers)]
    steps = [store.inserted(record), store.copied(source.session, record.session, upto)]
    if answers:
        steps.append(store.appended(answers))

    def work(connection: sqlite3.Connection) -> None:
        for step in steps:
            step(connection)

    return record, events, work
