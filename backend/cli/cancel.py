"""`corral cancel`: ending a run for good, whoever runs it."""

import asyncio

from backend.cli.console import Terminal, open_terminal
from backend.cli.options import NO_OPTIONS, Common, RunArgument, settings_of
from backend.cli.reading import open_run
from backend.readers import Readers
from infrastructure.config.settings import Settings
from infrastructure.events.log import follow_file
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver
from infrastructure.storage.runs import RunState

PATIENCE_SECONDS = 10.0
"""How long this waits for the process that runs it: an engine looks for requests several times a second."""


def cancel(run: RunArgument, /, *, common: Common = NO_OPTIONS) -> int:
    """Stop a run for good. Its best patch so far is kept."""
    asyncio.run(_cancel(run, settings_of(common), open_terminal()))
    return 0


async def _cancel(asked: str, settings: Settings, terminal: Terminal) -> None:
    async with open_run(settings, asked) as (readers, record):
        if record.state is RunState.FINISHED:
            raise RunIsOver(record.run, record.status)
        holder = await asyncio.to_thread(readers.holder)
        if holder is not None:
            await readers.control.ask_cancel(record.run)
            if await _ended(readers, record.run):
                terminal.say(f"cancelled {record.run}")
            else:
                terminal.warn(f"process {holder.pid} was asked to cancel {record.run} and has not done so yet")
            return
    from backend.bootstrap import open_application  # noqa: PLC0415 - who only asks the holder needs no engine

    async with open_application(settings, verb="cancel") as app:
        await app.engine.cancel(record.run)
    terminal.say(f"cancelled {record.run}")


async def _ended(readers: Readers, run: RunId) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for _ in follow_file(readers.database, run):
                pass
    except TimeoutError:
        return False
    return True
