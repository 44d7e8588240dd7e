"""`corral follow`: a run's events as they come, from any process."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import INTERRUPTED, Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, RunArgument, again, settings_of
from backend.cli.outcome import document_of
from backend.cli.reading import follow_run, is_left, open_run, result_of
from backend.cli.render import lines_of
from backend.cli.tokens import Output
from backend.cli.verdicts import answers, step, verdict
from infrastructure.events.log import Stored
from infrastructure.storage.runs import RunState


def follow(
    run: RunArgument,
    /,
    *,
    after: Annotated[int, Parameter(help="Only events with a greater number; 0.")] = 0,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Follow a run's events on stdout until it is finished or rests, whichever process runs it.

    Ctrl-C stops the following, not the run.
    """
    if output == "json":
        raise Refused(
            "events are a stream, not one document", "Use --output ndjson, or `corral show RUN --output json`."
        )
    terminal = open_terminal()
    try:
        asyncio.run(_follow(run, common, terminal, output, after))
    except KeyboardInterrupt:
        terminal.say("no longer followed; the run itself goes on")
        return INTERRUPTED
    return 0


async def _follow(asked: str, common: Common, terminal: Terminal, output: Output, after: int) -> None:
    async with open_run(settings_of(common), asked) as (readers, record):
        async for stored in follow_run(readers, record.run, after):
            _print(stored, terminal, output)
        record = await readers.runs.get(record.run)
        result = result_of(record)
        if await is_left(readers, record):
            terminal.warn("its process has ended, and nobody goes on with it")
        if result is not None and output == "text":
            for line in verdict(result):
                terminal.say(line.text, line.style)
        if record.state is RunState.WAITING:
            for line in answers(record.run, again(common), waiting=record.reason):
                terminal.say(line.text)
        elif record.state is not RunState.FINISHED:
            terminal.say(step("resume", record.run, again(common), "goes on from there").text)


def _print(stored: Stored, terminal: Terminal, output: Output) -> None:
    if output == "ndjson":
        terminal.data(document_of(stored))
        return
    for line in lines_of(stored.event):
        terminal.print_data(line.text, line.style)
