"""`corral run`: a task in, a tested patch out."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.asking import ask_approval
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.interrupts import interruptible
from backend.cli.options import NO_OPTIONS, Common, OutputOption, again, settings_of
from backend.cli.outcome import Delivery, conclude, document_of
from backend.cli.progress import Progress, shown
from backend.cli.render import Line
from backend.cli.task import read_task
from backend.cli.tokens import Output
from backend.cli.watching import watch
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.ids import RunId
from infrastructure.storage.lock import Holder
from infrastructure.tasks import TaskSpec

GATES = ("plan", "patch")
MOST_CANDIDATES = 16


def run(
    task: Annotated[str | None, Parameter(help="What to do, in quotes; - reads it from standard input.")] = None,
    /,
    *,
    file: Annotated[str | None, Parameter(help="File that holds the task; - is standard input.")] = None,
    repo: Annotated[Path, Parameter(help="Repository, or any folder, to work on; the current one.")] = Path(),
    test_command: Annotated[str | None, Parameter(help="Command whose tests judge the result.")] = None,
    tests: Annotated[
        tuple[Path, ...], Parameter(help="Test file that judges the result; again for another.", negative_iterable=())
    ] = (),
    model: Annotated[str | None, Parameter(help="Model, or lane of the settings, for every role.")] = None,
    candidates: Annotated[int | None, Parameter(help="Solutions to try side by side; the best is taken.")] = None,
    approve: Annotated[str | None, Parameter(help="Ask before going on: plan, patch, or plan,patch.")] = None,
    apply: Annotated[bool, Parameter(help="Put the patch into the folder when it is good.")] = False,
    patch: Annotated[str | None, Parameter(help="Write the patch to this file.")] = None,
    output: OutputOption = "text",
    no_input: Annotated[bool, Parameter(help="Never ask; a run that would have to ends with exit code 5.")] = False,
    common: Common = NO_OPTIONS,
) -> int:
    """Give a task, get a tested patch.

    The patch, or the answer to a question, goes to stdout, everything else to stderr.
    """
    terminal = open_terminal()
    settings = settings_of(common)
    spec = TaskSpec(
        task=read_task(task, file, settings.run.task_bytes),
        repo=_folder(repo),
        model=model,
        test_command=test_command,
        tests=tuple(_test_file(test) for test in tests),
        candidates=_count(candidates),
        approve=read_gates(approve),
        no_input=no_input or not terminal.interactive,
    )
    delivery = Delivery(apply=apply, patch=patch, again=again(common))
    return asyncio.run(_run(spec, settings, terminal, output, delivery, quiet=common.quiet or output == "ndjson"))


async def _run(
    spec: TaskSpec, settings: Settings, terminal: Terminal, output: Output, delivery: Delivery, *, quiet: bool
) -> int:
    async with open_seat(settings, "run", terminal) as seat:
        run = await seat.start(spec)
        chosen = await _chosen_model(seat, run, spec, settings)
        return await see_through(seat, run, terminal, output, delivery, quiet=quiet, chosen_model=chosen)


async def see_through(
    seat: Seat,
    run: RunId,
    terminal: Terminal,
    output: Output,
    delivery: Delivery,
    *,
    quiet: bool,
    after: int = 0,
    chosen_model: str = "",
) -> int:
    """Watch a run that was begun to its end, and conclude it; the exit code."""
    with shown(terminal, quiet=quiet) as progress:
        progress.line(Line(f"run {run}", "bold"))
        if chosen_model:
            progress.line(Line(f"model: {chosen_model}, since none was named; --model names another"))
        result = await watch(
            seat,
            run,
            progress,
            after=after,
            ask=asker(terminal, progress) if terminal.interactive else None,
            on_stored=(lambda stored: terminal.data(document_of(stored)))
            if output == "ndjson"
            else lambda stored: None,
        )
    return await conclude(result, seat, terminal, output, delivery)


def asker(
    terminal: Terminal, progress: Progress
) -> Callable[[ApprovalAsked], "asyncio.Future[tuple[bool, str] | None]"]:
    """Asks the person at this terminal."""
    return lambda asked: asyncio.ensure_future(ask_approval(asked, terminal, progress))


def open_seat(settings: Settings, verb: str, terminal: Terminal) -> Seat:
    """A seat at the engine that tells the person where it is."""

    def on_guest(holder: Holder) -> None:
        terminal.say(f"the engine is held by `corral {holder.verb}` (process {holder.pid}); this joins it as a guest")

    @contextmanager
    def on_stay(runs: int, leave: Callable[[], None]) -> Generator[None]:
        many = "a run of a guest" if runs == 1 else f"{runs} runs of guests"
        with interruptible(leave):  # before it is said: who reads it may press Ctrl-C at once
            terminal.say(f"staying for {many}; Ctrl-C hands the engine to one of them", "yellow")
            yield

    return Seat(
        settings,
        verb=verb,
        on_guest=on_guest,
        on_hold=lambda: terminal.say("the holder is gone; this process holds the engine now"),
        on_stay=on_stay,
    )


def say_who_holds(terminal: Terminal) -> Callable[[Holder | None], None]:
    """Says for whom this command waits."""

    def say(holder: Holder | None) -> None:
        who = f"`corral {holder.verb}` (process {holder.pid})" if holder else "another Corral"
        terminal.say(f"{who} works on this data directory; waiting for it to end. Ctrl-C gives up.", "yellow")

    return say


def read_gates(text: str | None) -> tuple[Literal["plan", "patch"], ...] | None:
    """The gates of a list with commas.

    Raises:
        Refused: one is unknown.
    """
    if text is None:
        return None
    gates = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [gate for gate in gates if gate not in GATES]
    if unknown or not gates:
        raise Refused(
            f"--approve: there is no gate {', '.join(unknown) or text!r}", "Write plan, patch, or plan,patch."
        )
    return cast("tuple[Literal['plan', 'patch'], ...]", gates)


def _folder(repo: Path) -> Path:
    if not repo.is_dir():
        there = "is a file" if repo.exists() else "is not there"
        raise Refused(f"{repo} {there}", "Name an existing folder with --repo.")
    return repo.resolve()


def _test_file(test: Path) -> Path:
    if not test.is_file():
        raise Refused(f"there is no test file {test}", "Name an existing file with --tests.")
    return test.resolve()


def _count(candidates: int | None) -> int | None:
    if candidates is not None and not 1 <= candidates <= MOST_CANDIDATES:
        raise Refused(f"--candidates: {candidates} is not possible", f"Choose 1 to {MOST_CANDIDATES}.")
    return candidates


async def _chosen_model(seat: Seat, run: RunId, spec: TaskSpec, settings: Settings) -> str:
    """The model that was chosen because nobody named one; empty where somebody did."""
    if spec.model or settings.model:
        return ""
    record = await seat.record_of(run)
    return TaskSpec.model_validate_json(record.request_json).model or ""
