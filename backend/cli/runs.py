"""`corral runs`: which runs there are."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, settings_of
from backend.cli.render import shortened
from backend.readers import open_readers
from infrastructure.config.settings import Settings
from infrastructure.storage.errors import MissingDatabase
from infrastructure.storage.runs import RunRecord

_TASK_WIDTH = 60
_STYLES = {"done": "green", "failed": "red", "error": "red"}


def runs(
    *,
    limit: Annotated[int, Parameter(help="At most so many, the newest; 20.")] = 20,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """List the runs, newest first."""
    if limit < 1:
        raise Refused(f"--limit: {limit} is not possible", "Choose 1 or more.")
    terminal = open_terminal()
    records = asyncio.run(_list(settings_of(common), limit))
    if output == "json":
        terminal.data([summary(record) for record in records])
    elif output == "ndjson":
        for record in records:
            terminal.data(summary(record))
    else:
        _print(records, terminal)
    return 0


def summary(record: RunRecord) -> dict[str, object]:
    """A run in one JSON object."""
    return {
        "run": record.run,
        "state": record.state,
        "status": record.status,
        "judge": record.judge,
        "task": record.task,
        "repo": record.repo,
        "created": record.created.isoformat(),
        "started": record.started.isoformat() if record.started else None,
        "ended": record.ended.isoformat() if record.ended else None,
        "reason": record.reason,
    }


def age(instant: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that is not zero."""
    passed = max(timedelta(), now - instant)
    for name, seconds in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed.total_seconds() >= seconds:
            return f"{int(passed.total_seconds() // seconds)} {name}"
    return f"{int(passed.total_seconds())} s"


async def _list(settings: Settings, limit: int) -> tuple[RunRecord, ...]:
    try:
        async with open_readers(settings) as readers:
            return await readers.runs.list(limit)
    except MissingDatabase:
        return ()


def _print(records: tuple[RunRecord, ...], terminal: Terminal) -> None:
    if not records:
        terminal.say('no runs yet; start one: corral run "add a --json option" --repo .')
        return
    now = datetime.now(UTC)
    for record in records:
        word = record.status or record.state
        line = f"{record.run}  {word:11}  {age(record.created, now):>6} ago  {shortened(record.task, _TASK_WIDTH)}"
        terminal.print_data(line, _STYLES.get(word, ""))
