"""Which session a chat is about: one that was named, the folder's last one, or a new one; and which there are.

Owns the choice and the list. The list needs no engine: it is read beside whoever holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from backend.cli.console import Terminal
from backend.cli.errors import Refused
from backend.cli.hosting import Sessions
from backend.cli.render import shortened
from backend.cli.runs import age
from backend.cli.tokens import Output
from backend.readers import open_readers
from infrastructure.config.settings import Settings
from infrastructure.sessions import approval_table, store
from infrastructure.sessions.errors import UnknownSession
from infrastructure.sessions.records import SessionRecord
from infrastructure.storage.errors import MissingDatabase

_LISTED = 50
_PAGE = 200
_TITLE_WIDTH = 60


async def named_session(sessions: Sessions, asked: str) -> SessionRecord:
    """The session of this id, or the only one whose id begins so.

    Raises:
        Refused: there is none, or there are several.
    """
    with suppress(UnknownSession):
        return await sessions.load(asked)
    found = [each for each in await all_sessions(sessions) if asked and each.session.startswith(asked)]
    if len(found) == 1:
        return await sessions.load(found[0].session)
    if found:
        ids = ", ".join(each.session for each in found[:3])
        raise Refused(f"several sessions begin with {asked!r}: {ids}", "Give more of its id.")
    raise Refused(f"there is no session {asked!r}", "`corral chat --list` lists them; `corral chat --new` begins one.")


async def last_of(sessions: Sessions, workspace: str) -> SessionRecord | None:
    """The session of a folder that changed last."""
    before = ""
    while page := await sessions.list(_PAGE, before):
        for each in page:
            if each.workspace == workspace:
                return await sessions.load(each.session)
        before = page[-1].place
    return None


async def all_sessions(sessions: Sessions) -> list[SessionRecord]:
    """Every session, those that changed last first."""
    found: list[SessionRecord] = []
    while page := await sessions.list(_PAGE, found[-1].place if found else ""):
        found += page
    return found


async def stored_sessions(settings: Settings, limit: int) -> tuple[tuple[SessionRecord, ...], frozenset[str]]:
    """Sessions, those that changed last first, and which of them wait for an answer; whoever holds the engine."""
    try:
        async with open_readers(settings) as readers:
            records = await readers.database.read(partial(store.listed, limit=limit))
            asked = await readers.database.read(partial(approval_table.pending, owner=None))
    except MissingDatabase:
        return (), frozenset()
    return records, frozenset(each.owner for each in asked)


def summary(record: SessionRecord, *, waits: bool) -> dict[str, object]:
    """A session in one JSON object."""
    return {
        "session": record.session,
        "title": record.title,
        "workspace": record.workspace,
        "agent": record.agent,
        "messages": record.last,
        "parent": record.parent or None,
        "waits": waits,
        "created": record.created.isoformat(),
        "updated": record.updated.isoformat(),
    }


def print_sessions(records: Sequence[SessionRecord], waiting: frozenset[str], terminal: Terminal) -> None:
    """A line each, on stdout."""
    if not records:
        terminal.say("no sessions yet; begin one: corral chat")
        return
    now = datetime.now(UTC)
    for each in records:
        title = shortened(each.title, _TITLE_WIDTH) or "(no title)"
        waits = "  waits for your answer" if each.session in waiting else ""
        line = f"{each.session}  {each.last:>4} messages  {age(each.updated, now):>6} ago  {title}{waits}"
        terminal.print_data(line, "yellow" if waits else "")


def list_sessions(settings: Settings, terminal: Terminal, output: Output) -> int:
    """`--list`: the newest sessions, as text or as documents; the exit code."""
    records, waiting = asyncio.run(stored_sessions(settings, _LISTED))
    documents = [summary(each, waits=each.session in waiting) for each in records]
    if output == "json":
        terminal.data(documents)
    elif output == "ndjson":
        for each in documents:
            terminal.data(each)
    else:
        print_sessions(records, waiting, terminal)
    return 0
