"""`corral batch`: a file of jobs in, a record of each out; the same command again does what is missing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.batching import BatchProgress, next_lines, show_batch, summary
from backend.cli.console import Terminal, open_terminal
from backend.cli.destinations import writable_folder
from backend.cli.errors import Refused
from backend.cli.interrupts import interruptible
from backend.cli.options import NO_OPTIONS, Common, OutputOption
from backend.cli.render import WARN, Line
from backend.cli.run import read_candidates
from backend.cli.seating import SandboxOption, Wanted, check_seat, open_seat, settings_with, wanted_of
from backend.cli.tokens import Output
from infrastructure.batch import (
    BatchError,
    BatchPlace,
    BatchRegistry,
    BatchReport,
    Ended,
    EngineRuns,
    Entry,
    News,
    Opened,
    Order,
    Tally,
    Wishes,
    read_jobs,
    work_on,
)
from infrastructure.batch.identity import holders_of
from infrastructure.batch.jobs import MOST_SAMPLES
from infrastructure.config.settings import Settings

MOST_AT_ONCE = 1024
UNKNOWN_SLOTS = 4
"""Runs for a server that does not say its slots: enough that the pool finds out."""


def batch(
    jobs: Annotated[Path, Parameter(help="Jobs, one JSON object a line: id, prompt, tests, …; or HumanEval problems.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for the records, patches and report; made where it is missing.")],
    model: Annotated[str | None, Parameter(help="Model, or lane of the settings, for every role.")] = None,
    samples: Annotated[int, Parameter(help="Solve each job so many times, for pass@k.")] = 1,
    at_once: Annotated[int | None, Parameter(help="Runs side by side; as many as the servers have slots.")] = None,
    candidates: Annotated[
        int | Literal["auto"] | None,
        Parameter(help="Solutions to try side by side in each run, or auto: as many as find an idle slot."),
    ] = None,
    sandbox: SandboxOption = None,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Work through a file of jobs. Killed or interrupted, the same command goes on and does only what is missing.

    A run of a job passes when tests that were there before the code were red and are green. It is unverified when
    nothing broke and no given test shows that it is right, and failed when no candidate passed, a budget ran out, or a
    job with tests was answered in words. Errors of the environment are no verdict: the same command runs them again.
    pass@k is over the runs with a verdict, of which only passed ones count. While no server answers, the batch waits.
    The report goes to stdout, progress to stderr.
    """
    terminal = open_terminal()
    settings = settings_with(common, sandbox)
    wanted = replace(wanted_of(common, settings, sandbox), told=partial(holders_of, models=[model]))
    wishes = Wishes(
        model=model,
        samples=_within("--samples", samples, MOST_SAMPLES),
        at_once=None if at_once is None else _within("--at-once", at_once, MOST_AT_ONCE),
        candidates=read_candidates(candidates),
    )
    try:
        entries = read_jobs(jobs, samples=wishes.samples, most_bytes=settings.run.task_bytes)
        place = BatchPlace(writable_folder("--out", out))
        return asyncio.run(_batch(entries, place, wishes, settings, wanted, terminal, output, quiet=common.quiet))
    except BatchError as error:
        raise Refused(str(error), error.hint, error.exit_code) from error


async def _batch(
    entries: tuple[Entry, ...],
    place: BatchPlace,
    wishes: Wishes,
    settings: Settings,
    wanted: Wanted,
    terminal: Terminal,
    output: Output,
    *,
    quiet: bool,
) -> int:
    async with open_seat(settings, "batch", terminal, wanted) as seat:
        await check_seat(seat, terminal)  # without one every job would fail
        stop = asyncio.Event()
        with (
            show_batch(terminal, quiet=quiet or output == "ndjson", pulse=output == "text") as progress,
            interruptible(_stopper(stop, progress)),
        ):
            order = Order(
                entries=entries,
                place=place,
                wishes=wishes,
                settings=settings,
                on_news=_teller(progress, terminal, output),
                stop=stop,
            )
            report = await work_on(order, _runs(seat, settings), BatchRegistry(seat.directory))
        return _conclude(report, place, terminal, output)  # before it stays for guests


def _runs(seat: Seat, settings: Settings) -> EngineRuns:
    return EngineRuns(engine=seat, places=sum(server.slots or UNKNOWN_SLOTS for server in settings.servers))


def _stopper(stop: asyncio.Event, progress: BatchProgress) -> Callable[[], None]:
    def on_first() -> None:
        progress.line(Line("stopping every run; Ctrl-C again ends this at once", WARN))
        stop.set()

    return on_first


def _teller(progress: BatchProgress, terminal: Terminal, output: Output) -> Callable[[News | Opened, Tally], None]:
    def tell(news: News | Opened, tally: Tally) -> None:
        progress.news(news, tally)
        if output == "ndjson" and isinstance(news, Ended):
            terminal.data(news.record)

    return tell


def _conclude(report: BatchReport, place: BatchPlace, terminal: Terminal, output: Output) -> int:
    if output == "text":
        for line in summary(report):
            terminal.print_data(line.text, line.style)
    else:
        terminal.data(report)
    for line in next_lines(report, place):
        terminal.say(line.text, line.style)
    return report.exit_code


def _within(option: str, number: int, most: int) -> int:
    if not 1 <= number <= most:
        raise Refused(f"{option}: {number} is not possible", f"Choose 1 to {most}.")
    return number
