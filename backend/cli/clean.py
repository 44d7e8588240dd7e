"""`corral clean`: what old runs left behind goes."""

import asyncio
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from backend.cli.retention import Cleaning, Removed, clean_up, look, plan_cleaning
from backend.cli.run import say_who_holds
from backend.cli.store import open_store
from backend.readers import open_readers
from infrastructure.config.settings import Settings
from infrastructure.storage.errors import MissingDatabase

_NOTHING = Removed()


def clean(
    *,
    dry_run: Annotated[bool, Parameter(help="Only say what would go.")] = False,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Remove old working trees, streamed text, runs, and batches from the list; `retention` in the settings says when.

    A run that can still go on loses nothing. What lies in a batch's own folder stays.
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


async def _clean(settings: Settings, terminal: Terminal) -> Removed:
    async with open_store(settings, verb="clean", on_wait=say_who_holds(terminal)) as store:
        kept = await look(store.runs, store.directory)
        return await clean_up(store, plan_cleaning(kept, settings.retention, datetime.now(UTC)))


async def _would(settings: Settings) -> Removed:
    """What would go, without the lock; contents are only known when the rest is gone."""
    try:
        async with open_readers(settings) as readers:
            kept = await look(readers.runs, readers.directory)
            cleaning = plan_cleaning(kept, settings.retention, datetime.now(UTC))
            texts = await readers.database.read(lambda connection: _texts(connection, cleaning))
            return Removed(
                trees=len(cleaning.trees),
                tree_bytes=sum(kept.folders[name] for name in cleaning.trees),
                texts=texts,
                runs=len(cleaning.runs),
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
    terminal.print_data(f"{does} {_many(removed.batches, 'batch')} from the list; their folders stay")
    if dry_run:
        terminal.print_data("and contents that nothing names after that")
    else:
        terminal.print_data(f"{does} {removed.blob_bytes / 1e6:.1f} MB of contents that nothing names any more")


def _many(number: int, what: str) -> str:
    ending = "" if number == 1 else "es" if what.endswith("ch") else "s"
    return f"{number} {what}{ending}"
