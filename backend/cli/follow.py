"""`corral follow`: a run's events as they come, from any process."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, RunArgument, again, settings_of
from backend.cli.outcome import document_of
from backend.cli.reading import events_of, open_run, result_of
from backend.cli.render import lines_of, step, verdict
from backend.cli.tokens import Output
from infrastructure.events.log import Stored, follow_file
from infrastructure.storage.runs import RunState


def follow(
    run: RunArgument,
    /,
    *,
    after: Annotated[int, Parameter(help="Only events with a greater number; 0.")] = 0,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Follow a run's events on stdout until it is finished or rests. Ctrl-C stops the following, not the run."""
    if output == "json":
        raise Refused(
            "events are a stream, not one document", "Use --output ndjson, or `corral show RUN --output json`."
        )
    asyncio.run(_follow(run, common, open_terminal(), output, after))
    return 0


async def _follow(asked: str, common: Common, terminal: Terminal, output: Output, after: int) -> None:
    async with open_run(settings_of(common), asked) as (readers, record):
        alive = await asyncio.to_thread(readers.holder)
        orphaned = record.state in (RunState.RUNNING, RunState.QUEUED) and alive is None
        if orphaned:
            events = events_of(readers, record.run, after)
        else:
            events = follow_file(readers.database, record.run, after, ends_when_interrupted=True)
        async for stored in events:
            _print(stored, terminal, output)
        record = await readers.runs.get(record.run)
        result = result_of(record)
        if orphaned:
            terminal.warn("its process has ended, and nobody goes on with it")
        if result is not None and output == "text":
            for line in verdict(result):
                terminal.say(line.text, line.style)
        if record.state is not RunState.FINISHED:
            terminal.say(step("resume", record.run, again(common), "goes on from there").text)


def _print(stored: Stored, terminal: Terminal, output: Output) -> None:
    if output == "ndjson":
        terminal.data(document_of(stored))
        return
    for line in lines_of(stored.event):
        terminal.print_data(line.text, line.style)
