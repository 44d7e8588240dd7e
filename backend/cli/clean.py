"""`corral clean`: what old runs left behind goes."""

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.attach.seat import LOOK_SECONDS
from backend.cleaning import VERB, clean_alone
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import ENVIRONMENT, Refused
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from backend.cli.seating import held_by
from backend.readers import open_readers
from backend.retention import Cleaning, Removed, look, plan_cleaning
from backend.security.token import open_keys
from infrastructure.config.settings import Settings
from infrastructure.events.table import count_old
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import MissingDatabase
from infrastructure.storage.lock import EngineLock, Holder, read_holder

PATIENCE = 10.0
"""Seconds for which whoever holds the engine may answer nothing: it has yet to open its door, or to end."""
CLEANING_SECONDS = 3600.0
"""For the holder to clean; one that takes longer is thought to hang."""
_NOTHING = Removed()


def clean(
    *,
    dry_run: Annotated[bool, Parameter(help="Only say what would go.")] = False,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Remove old working trees, streamed text, runs, and batches from the list; `retention` in the settings says when.

    A run that can still go on loses nothing. What lies in a batch's own folder stays. Where another command holds the
    engine, that one cleans, by the settings of this one; otherwise the databases are made smaller too.
    """
    terminal = open_terminal()
    settings = settings_of(common)
    removed = _NOTHING
    if settings.paths.data.exists():
        removed = asyncio.run(_would(settings) if dry_run else _clean(settings, terminal))
    if output == "text":
        _print(removed, terminal, dry_run=dry_run)
    else:
        terminal.data({"dry_run": dry_run, **asdict(removed)})
    return 0


async def _clean(settings: Settings, terminal: Terminal, patience: float = PATIENCE) -> Removed:
    """Clean, or have the holder of the engine do it. It is not waited for its end: many that wait would pile up."""
    directory, loop = DataDirectory(settings.paths.data), asyncio.get_running_loop()
    since = loop.time()
    with EngineLock(directory.lock, verb=VERB, may_be_nameless=True) as lock:
        while not await asyncio.to_thread(lock.try_acquire):
            holder = await asyncio.to_thread(read_holder, directory.lock)
            if holder is not None and holder.address:
                with suppress(HolderGone):
                    return await _at_holder(holder, settings, terminal)
            if loop.time() - since > patience:
                raise _no_answer(holder)
            await asyncio.sleep(LOOK_SECONDS)
        return await clean_alone(settings, lock)


async def _at_holder(holder: Holder, settings: Settings, terminal: Terminal) -> Removed:
    """What the holder has removed.

    Raises:
        HolderGone: it does not answer, or not yet.
        HolderRefused: it cannot clean now.
        Refused: it cannot clean at all.
    """
    keys = await asyncio.to_thread(open_keys, DataDirectory(settings.paths.data).token)
    try:
        told = await Guest(holder.address, keys.token).ask(
            "POST", "/api/v1/clean", settings.retention.model_dump(mode="json"), seconds=CLEANING_SECONDS
        )
    except HolderRefused as refused:
        if refused.error_class != "NoPage":
            raise
        raise Refused(
            f"the engine is held by {held_by(holder)}, an older Corral, which cannot clean while it works",
            "End it, or start it anew with this version, and clean again.",
            ENVIRONMENT,
        ) from refused
    terminal.say(f"the engine is held by {held_by(holder)}, which has cleaned beside its work")
    return Removed(**{each.name: told.get(each.name, 0) for each in fields(Removed)})


def _no_answer(holder: Holder | None) -> Refused:
    who = "another Corral" if holder is None else held_by(holder)
    where = "" if holder is None or not holder.address else f" at {holder.address}"
    return Refused(
        f"the engine is held by {who}, which does not answer{where}; nothing was removed",
        "Clean again when it has ended, or where it runs: in its own container, if it has one.",
        ENVIRONMENT,
    )


async def _would(settings: Settings) -> Removed:
    """What would go, without the lock; contents are only known when the rest is gone."""
    try:
        async with open_readers(settings) as readers:
            kept = await look(readers.runs, readers.directory)
            cleaning = plan_cleaning(kept, settings.retention, datetime.now(UTC))
            texts = await readers.database.read(lambda connection: _texts(connection, cleaning))
            events = await readers.database.read(lambda connection: count_old(connection, cleaning.events_before))
            return Removed(
                trees=len(cleaning.trees),
                tree_bytes=sum(kept.folders[name] for name in cleaning.trees),
                texts=texts,
                runs=len(cleaning.runs),
                events=events,
                batches=len(cleaning.batches),
            )
    except MissingDatabase:
        return _NOTHING


def _texts(connection: sqlite3.Connection, cleaning: Cleaning) -> int:
    sql = (
        "SELECT COUNT(*) FROM events JOIN runs USING (run)"
        " WHERE kind = 'call.text' AND runs.state = 'finished' AND runs.ended < ?"
    )
    row: tuple[int] = connection.execute(sql, (cleaning.text_before.isoformat(timespec="microseconds"),)).fetchone()
    return row[0]


def _print(removed: Removed, terminal: Terminal, *, dry_run: bool) -> None:
    does = "would remove" if dry_run else "removed"
    terminal.print_data(f"{does} {_many(removed.trees, 'working tree')} ({removed.tree_bytes / 1e6:.1f} MB)")
    terminal.print_data(f"{does} {_many(removed.texts, 'piece')} of streamed text")
    terminal.print_data(f"{does} {_many(removed.runs, 'run')} with events, patch and checkpoints")
    terminal.print_data(f"{does} {_many(removed.events, 'event')} of the program itself and of deleted sessions")
    terminal.print_data(f"{does} {_many(removed.batches, 'batch')} from the list; their folders stay")
    if dry_run:
        terminal.print_data("and contents that nothing names after that")
        return
    terminal.print_data(f"{does} {removed.blob_bytes / 1e6:.1f} MB of contents that nothing names any more")
    if removed.shrunk_bytes:
        terminal.print_data(f"made the databases {removed.shrunk_bytes / 1e6:.1f} MB smaller")


def _many(number: int, what: str) -> str:
    ending = "" if number == 1 else "es" if what.endswith("ch") else "s"
    return f"{number} {what}{ending}"
