"""`corral resume`: going on with a run that was interrupted, or asking again what it waits for."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.console import Terminal, open_terminal
from backend.cli.options import NO_OPTIONS, Common, OutputOption, RunArgument, again, settings_of
from backend.cli.outcome import Delivery
from backend.cli.reading import open_run
from backend.cli.run import open_seat, see_through
from backend.cli.tokens import Output
from infrastructure.config.settings import Settings
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver
from infrastructure.storage.runs import RunState

_PAGE = 1000


def resume(
    run: RunArgument,
    /,
    *,
    apply: Annotated[bool, Parameter(help="Put the patch into the folder when it is good.")] = False,
    patch: Annotated[str | None, Parameter(help="Write the patch to this file.")] = None,
    output: OutputOption = "text",
    no_input: Annotated[bool, Parameter(help="Never ask; a run that would have to ends with exit code 5.")] = False,
    common: Common = NO_OPTIONS,
) -> int:
    """Go on with a run that was interrupted or waits for an answer. Exit codes as for `corral run`."""
    terminal = open_terminal()
    work = _resume(
        run,
        settings_of(common),
        terminal,
        output,
        Delivery(apply=apply, patch=patch, again=again(common)),
        no_input=no_input or not terminal.interactive,
        quiet=common.quiet or output == "ndjson",
    )
    return asyncio.run(work)


async def _resume(
    asked: str,
    settings: Settings,
    terminal: Terminal,
    output: Output,
    delivery: Delivery,
    *,
    no_input: bool,
    quiet: bool,
) -> int:
    async with open_run(settings, asked) as (_, record):
        if record.state is RunState.FINISHED:
            raise RunIsOver(record.run, record.status)
    async with open_seat(settings, "resume", terminal) as seat:
        after = await _last_seq(seat, record.run)
        await seat.resume(record.run, no_input=no_input)
        return await see_through(seat, record.run, terminal, output, delivery, quiet=quiet, after=after)


async def _last_seq(seat: Seat, run: RunId) -> int:
    """The number of the last event so far: what comes after it is new."""
    after = 0
    while page := await seat.events_of(run, after, _PAGE):
        after = page[-1].seq
    return after
