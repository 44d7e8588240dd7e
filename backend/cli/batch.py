"""`corral batch`: a file of jobs in, a record of each out; the same command again does what is missing."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.batching import BatchProgress, next_lines, show_batch, summary
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.interrupts import interruptible
from backend.cli.options import NO_OPTIONS, Common, OutputOption, settings_of
from backend.cli.render import WARN, Line
from backend.cli.run import MOST_CANDIDATES, open_seat
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
from infrastructure.batch.jobs import MOST_SAMPLES
from infrastructure.config.settings import Settings

MOST_AT_ONCE = 1024


def batch(
    jobs: Annotated[Path, Parameter(help="Jobs, one JSON object a line: id, prompt, tests, …; or HumanEval problems.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for the records, patches and report; made where it is missing.")],
    model: Annotated[str | None, Parameter(help="Model, or lane of the settings, for every role.")] = None,
    samples: Annotated[int, Parameter(help="Solve each job so many times, for pass@k.")] = 1,
    at_once: Annotated[int | None, Parameter(help="Runs side by side; as many as the servers have slots.")] = None,
    candidates: Annotated[int | None, Parameter(help="Solutions to try side by side in each run.")] = None,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Work through a file of jobs. Killed or interrupted, the same command goes on and does only what is missing.

    A job is finished when it is done, unverified, failed or out of budget; errors of the environment run again.
    While no server answers, the batch waits. The report goes to stdout, progress to stderr. Exit codes: 0 all done
    or unverified, 2 usage, settings or jobs that cannot be read, 3 environment, 6 some jobs failed, 130 interrupted.
    """
    terminal = open_terminal()
    settings = settings_of(common)
    wishes = Wishes(
        model=model,
        samples=_within("--samples", samples, MOST_SAMPLES),
        at_once=None if at_once is None else _within("--at-once", at_once, MOST_AT_ONCE),
        candidates=None if candidates is None else _within("--candidates", candidates, MOST_CANDIDATES),
    )
    try:
        entries = read_jobs(jobs, samples=wishes.samples, most_bytes=settings.run.task_bytes)
        place = BatchPlace(_folder(out))
        return asyncio.run(_batch(entries, place, wishes, settings, terminal, output, quiet=common.quiet))
    except BatchError as error:
        raise Refused(str(error), error.hint, error.exit_code) from error


async def _batch(
    entries: tuple[Entry, ...],
    place: BatchPlace,
    wishes: Wishes,
    settings: Settings,
    terminal: Terminal,
    output: Output,
    *,
    quiet: bool,
) -> int:
    async with open_seat(settings, "batch", terminal) as seat:
        if seat.application is not None:
            await seat.application.open_sandbox()  # without one every job would fail
        stop = asyncio.Event()
        with (
            show_batch(terminal, quiet=quiet or output == "ndjson") as progress,
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
    return EngineRuns(engine=seat, places=sum(server.slots for server in settings.servers))


def _stopper(stop: asyncio.Event, progress: BatchProgress) -> Callable[[], None]:
    def on_first() -> None:
        progress.line(Line("stopping every run at a step; Ctrl-C again ends this at once", WARN))
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


def _folder(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise Refused(f"--out: {out} is a file", "Name a folder.")
    return out.resolve()


def _within(option: str, number: int, most: int) -> int:
    if not 1 <= number <= most:
        raise Refused(f"{option}: {number} is not possible", f"Choose 1 to {most}.")
    return number
