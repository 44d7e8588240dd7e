"""`corral show`: one run, its task, steps, tests and patch."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import no_patch
from backend.cli.hunking import document, hunks_of, print_hunks
from backend.cli.options import NO_OPTIONS, Common, Document, RunArgument, again, settings_of
from backend.cli.outcome import document_of
from backend.cli.reading import events_of, open_run, result_of
from backend.cli.render import lines_of
from backend.cli.runs import summary
from backend.cli.verdicts import answers, next_steps, step, verdict
from backend.readers import Readers
from infrastructure.events.catalogue import TextStreamed
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.storage.steps import RecordedStep, steps_of
from infrastructure.workspace.hunks import Hunk


def show(
    run: RunArgument,
    /,
    *,
    patch: Annotated[bool, Parameter(help="Only the patch, for `git apply` or a file.")] = False,
    steps: Annotated[
        bool, Parameter(help="Only the steps that asked a model or a tool, as `corral replay RUN --from` takes them.")
    ] = False,
    hunks: Annotated[
        bool, Parameter(help="Only the patch, hunk by hunk with the numbers that `corral apply RUN --only` takes.")
    ] = False,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Show one run: its task, steps, tests and patch."""
    part = "patch" if patch else "hunks" if hunks else "steps" if steps else ""
    asyncio.run(_show(run, common, open_terminal(), part, as_document=output != "text"))
    return 0


async def _show(
    asked: str,
    common: Common,
    terminal: Terminal,
    part: Literal["", "patch", "hunks", "steps"],
    *,
    as_document: bool,
) -> None:
    async with open_run(settings_of(common), asked) as (readers, record):
        if part == "patch":
            _print_patch(record, terminal, as_document=as_document)
        elif part == "hunks":
            _print_hunks(hunks_of(_patch(record)), terminal, as_document=as_document)
        elif part == "steps":
            _print_steps(await _steps(readers, record), terminal, as_document=as_document)
        elif as_document:
            await _print_document(readers, record, terminal)
        else:
            await _print_text(readers, record, terminal, again(common))


def _print_patch(record: RunRecord, terminal: Terminal, *, as_document: bool) -> None:
    if as_document:
        terminal.data({"run": record.run, "patch": _patch(record)})
    else:
        terminal.patch(_patch(record))


def _print_hunks(hunks: tuple[Hunk, ...], terminal: Terminal, *, as_document: bool) -> None:
    if as_document:
        terminal.data(document(hunks))
    else:
        print_hunks(hunks, terminal)


def _patch(record: RunRecord) -> str:
    result = result_of(record)
    if result is None or not result.patch:
        raise no_patch(record.run, over=record.state is RunState.FINISHED)
    return result.patch


async def _steps(readers: Readers, record: RunRecord) -> tuple[RecordedStep, ...]:
    return steps_of(await readers.calls.of_run(record.run), await readers.recordings.tools_of(record.run))


def _print_steps(steps: tuple[RecordedStep, ...], terminal: Terminal, *, as_document: bool) -> None:
    if as_document:
        terminal.data([asdict(each) for each in steps])
        return
    for each in steps:
        tokens = f"{each.tokens:,} tokens" if each.tokens else ""
        terminal.print_data(f"{each.step:20}  {', '.join(each.asked):32}  {tokens:>16}  {each.seconds:8.2f} s")


async def _print_document(readers: Readers, record: RunRecord, terminal: Terminal) -> None:
    events = [
        document_of(stored)
        async for stored in events_of(readers, record.run)
        if not isinstance(stored.event, TextStreamed)
    ]
    terminal.data({**summary(record), "result": result_of(record), "events": events})


async def _print_heading(readers: Readers, record: RunRecord, terminal: Terminal) -> None:
    terminal.print_data(f"run {record.run}: {record.status or record.state}", "bold")
    if original := (await readers.recordings.of_run(record.run)).replay_of:
        terminal.print_data(f"a replay of {original}: nothing was asked or run for it")


async def _print_text(readers: Readers, record: RunRecord, terminal: Terminal, options: str) -> None:
    await _print_heading(readers, record, terminal)
    async for stored in events_of(readers, record.run):
        for line in lines_of(stored.event):
            terminal.print_data(line.text, line.style)
    result = result_of(record)
    if result is not None:
        if result.answer:
            terminal.raw(f"\n{result.answer.rstrip()}\n")
        if result.patch:
            terminal.raw("\n")
            terminal.patch(result.patch)
            terminal.raw("\n")
        for line in (*verdict(result), *next_steps(result, options)):
            terminal.print_data(line.text, line.style)
    elif record.state is RunState.WAITING:
        terminal.print_data(record.reason)
        for line in answers(record.run, options, waiting=record.reason):
            terminal.print_data(line.text)
    elif record.state is RunState.INTERRUPTED:
        terminal.print_data(f"interrupted: {record.reason}")
        terminal.print_data(step("resume", record.run, options, "goes on from there").text)
