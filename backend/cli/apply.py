"""`corral apply`: a run's patch into the folder it came from, or on a new branch."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from backend.cli.applying import apply_result
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import FAILED, Refused
from backend.cli.hunking import ask_hunks, hunks_of, picked
from backend.cli.options import NO_OPTIONS, Common, RunArgument, again, settings_of
from backend.cli.outcome import conflict_lines
from backend.cli.reading import open_run, result_of
from backend.cli.verdicts import doubt
from backend.store import open_store
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import PatchApplied
from infrastructure.storage.runs import RunRecord
from infrastructure.tasks import RunResult
from infrastructure.workspace import Applied, Conflict


def apply(
    run: RunArgument,
    /,
    *,
    branch: Annotated[str | None, Parameter(help="A new git branch for it; the folder itself stays as it is.")] = None,
    hunks: Annotated[bool, Parameter(help="Show each hunk and ask whether it is taken.", negative=())] = False,
    only: Annotated[
        str | None, Parameter(help="Only these hunks, such as 1,3-5; `corral show RUN --hunks` numbers them.")
    ] = None,
    common: Common = NO_OPTIONS,
) -> int:
    """Put a run's patch into the folder it came from, or on a new branch.

    Where a file of the patch has changed since the run began, nothing is changed. Doing it again is harmless.
    """
    terminal = open_terminal()
    if hunks and only is not None:
        raise Refused("--hunks and --only do not go together", "--hunks asks about each; --only says which.")
    if hunks and not terminal.interactive:
        raise Refused(
            "--hunks asks about each hunk, and there is no terminal",
            f"`corral show {run} --hunks` numbers them; `corral apply {run} --only 1,3-5` takes some.",
        )
    return asyncio.run(_apply(run, _Wanted(branch, hunks, only), common, terminal))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Where it goes, and how much of it."""

    branch: str | None
    ask: bool
    only: str | None

    async def numbers(self, result: RunResult, terminal: Terminal) -> tuple[int, ...] | None:
        """The hunks that are wanted; None for all."""
        if not result.patch or (self.only is None and not self.ask):
            return None
        known = hunks_of(result.patch)
        if self.only is not None:
            return picked(self.only, known, result.run)
        return await ask_hunks(known, terminal) or ()

    def options(self, numbers: Sequence[int] | None) -> str:
        """What makes the same choice again."""
        return "" if numbers is None else f" --only {','.join(map(str, numbers))}"


async def _apply(asked: str, wanted: _Wanted, common: Common, terminal: Terminal) -> int:
    settings = settings_of(common)
    async with open_run(settings, asked) as (readers, record):
        result = result_of(record)
        if result is None:
            raise Refused(f"run {record.run} has not ended", f"`corral resume {record.run}` goes on with it.")
        if result.patch and (why := doubt(result)):
            terminal.warn(f"{why} (the run ended as {result.status})")
        numbers = await wanted.numbers(result, terminal)
        if numbers == ():
            terminal.say("no hunk was taken, so nothing was changed")
            return 0
        applied = await apply_result(result, readers.directory, readers.control, branch=wanted.branch, hunks=numbers)
        held = await asyncio.to_thread(readers.holder) is not None
    if isinstance(applied, Conflict):
        _refuse(applied, result, terminal, f"{wanted.options(numbers)}{again(common)}")
        return FAILED
    _say(applied, terminal)
    # The receipt is written already. The event is for whoever looks at the run; another engine's log is its own.
    if not held and (applied.files or applied.branch):
        await _log(applied, numbers or (), record, settings)
    return 0


async def _log(applied: Applied, hunks: tuple[int, ...], record: RunRecord, settings: Settings) -> None:
    async with open_store(settings, verb="apply") as store:
        event = PatchApplied(files=applied.files, branch=applied.branch, hunks=hunks)
        await store.log.append(record.run, record.execution, event)


def _refuse(conflict: Conflict, result: RunResult, terminal: Terminal, options: str) -> None:
    terminal.problem("nothing was changed, since these files are not as they were when the run began:")
    for line in conflict_lines(conflict):
        terminal.say(f"    {line}")
    terminal.say(f"  → Put them back, or take it on a branch: corral apply {result.run} --branch NAME{options}")


def _say(applied: Applied, terminal: Terminal) -> None:
    where = f" on the branch {applied.branch}" if applied.branch else ""
    if applied.files:
        terminal.say(f"applied{where}: {', '.join(applied.files)}", "green")
    if applied.already:
        terminal.say(f"as wanted before{where}: {', '.join(applied.already)}")
    if applied.carried:
        terminal.say(f"with changes of yours that were not committed: {', '.join(applied.carried)}", "yellow")
    if applied.branch and applied.carried:  # git switches over no change that is not committed, though it is there too
        terminal.say(f"  → commit these, or git stash --include-untracked; then git switch {applied.branch}")
    elif applied.branch:
        terminal.say(f"  → git switch {applied.branch}")
