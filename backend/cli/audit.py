"""`corral audit`: who decided what, and when."""

import asyncio
from typing import Annotated

import orjson
from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, settings_of
from backend.cli.render import shortened
from backend.readers import open_readers
from infrastructure.config.settings import Settings
from infrastructure.events.audit import AuditEntry, read_audit
from infrastructure.storage.errors import MissingDatabase

_BESIDE = frozenset({"kind", "by", "node", "candidate", "round"})
"""Fields of an event that the line shows elsewhere, or not at all."""


def audit(
    *,
    run: Annotated[str | None, Parameter(help="Only of this run or session; its whole id.")] = None,
    limit: Annotated[int, Parameter(help="At most so many, the newest; 50.")] = 50,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """List decisions, newest first: approvals, rules, applied patches, changed settings.

    They are kept when the runs that they were about are removed.
    """
    if limit < 1:
        raise Refused(f"--limit: {limit} is not possible", "Choose 1 or more.")
    terminal = open_terminal()
    entries = asyncio.run(_read(settings_of(common), run, limit))
    if output == "json":
        terminal.data([document(entry) for entry in entries])
    elif output == "ndjson":
        for entry in entries:
            terminal.data(document(entry))
    else:
        _print(entries, terminal)
    return 0


def document(entry: AuditEntry) -> dict[str, object]:
    """A decision in one JSON object."""
    return {
        "at": entry.at.isoformat(),
        "run": entry.run,
        "seq": entry.seq,
        "by": entry.by,
        "correlation": entry.correlation,
        **orjson.loads(entry.body),
    }


async def _read(settings: Settings, run: str | None, limit: int) -> tuple[AuditEntry, ...]:
    try:
        async with open_readers(settings) as readers:
            return await read_audit(readers.database, run=run, limit=limit)
    except MissingDatabase:
        return ()


def _print(entries: tuple[AuditEntry, ...], terminal: Terminal) -> None:
    if not entries:
        terminal.say("no decisions yet; a run with --approve plan asks for one")
        return
    for entry in entries:
        when = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        fields: dict[str, object] = orjson.loads(entry.body)
        said = ", ".join(f"{name} {value}" for name, value in fields.items() if name not in _BESIDE and value)
        by = f"{entry.by}: " if entry.by else ""
        terminal.print_data(f"{when}  {entry.run:36}  {entry.kind:18}  {by}{shortened(said)}")
