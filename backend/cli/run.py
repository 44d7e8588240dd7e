"""`corral run`: a task in, a tested patch out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.console import Terminal, open_terminal
from backend.cli.destinations import writable_file
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, again
from backend.cli.outcome import Delivery
from backend.cli.seating import SandboxOption, Wanted, check_seat, held_by, open_seat, settings_with, wanted_of
from backend.cli.seeing import Watched, see_through
from backend.cli.task import read_task
from infrastructure.config.settings import Candidates, Settings
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
    candidates: Annotated[
        int | Literal["auto"] | None,
        Parameter(help="Solutions to try side by side, or auto: as many as find an idle slot; the best is taken."),
    ] = None,
    approve: Annotated[
        str | None, Parameter(help="Ask before going on. [choices: plan, patch; both with a comma]")
    ] = None,
    sandbox: SandboxOption = None,
    apply: Annotated[bool, Parameter(help="Put the patch into the folder when it is good.")] = False,
    patch: Annotated[str | None, Parameter(help="Write the patch to this file; - is stdout.")] = None,
    output: OutputOption = "text",
    no_input: Annotated[
        bool, Parameter(help="Never ask; a run that would have to ends with exit code 5. `corral resume` answers.")
    ] = False,
    common: Common = NO_OPTIONS,
) -> int:
    """Give a task, get a tested patch.

    The patch, or the answer to a question, goes to stdout, everything else to stderr. Whether a result is to be
    trusted is in its status: `done` is shown by tests that were there before the code, `unverified` is not.
    """
    terminal = open_terminal()
    settings = settings_with(common, sandbox)
    spec = TaskSpec(
        task=read_task(task, file, settings.run.task_bytes),
        repo=_folder(repo),
        model=model,
        test_command=test_command,
        tests=tuple(_test_file(test) for test in tests),
        candidates=read_candidates(candidates),
        approve=read_gates(approve),
        no_input=no_input or not terminal.interactive,
    )
    delivery = Delivery(apply=apply, patch=writable_file("--patch", patch), again=again(common))
    watched = Watched(terminal, output, delivery, quiet=common.quiet)
    return asyncio.run(_run(spec, settings, wanted_of(common, settings, sandbox), watched))


async def _run(spec: TaskSpec, settings: Settings, wanted: Wanted, watched: Watched) -> int:
    async with open_seat(settings, "run", watched.terminal, wanted) as seat:
        await check_seat(seat, watched.terminal)
        run = await seat.start(spec)
        chosen = await _chosen_model(seat, run, spec, settings)
        return await see_through(seat, run, watched, chosen_model=chosen)


def say_who_holds(terminal: Terminal) -> Callable[[Holder | None], None]:
    """Says for whom this command waits."""

    def say(holder: Holder | None) -> None:
        who = held_by(holder) if holder else "another Corral"
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


def read_candidates(candidates: Candidates | None) -> Candidates | None:
    """How many solutions are tried.

    Raises:
        Refused: it is no number of them.
    """
    if isinstance(candidates, int) and not 1 <= candidates <= MOST_CANDIDATES:
        raise Refused(f"--candidates: {candidates} is not possible", f"Choose 1 to {MOST_CANDIDATES}, or auto.")
    return candidates


async def _chosen_model(seat: Seat, run: RunId, spec: TaskSpec, settings: Settings) -> str:
    """The model that was chosen because nobody named one; empty where somebody did."""
    if spec.model or settings.model:
        return ""
    record = await seat.record_of(run)
    return TaskSpec.model_validate_json(record.request_json).model or ""
