"""`corral apply`: a run's patch into the folder it came from, or on a new branch."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from backend.cli.applying import apply_result
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import FAILED, Refused
from backend.cli.options import NO_OPTIONS, Common, RunArgument, again, settings_of
from backend.cli.outcome import conflict_lines
from backend.cli.reading import open_run, result_of
from backend.cli.store import open_store
from backend.cli.verdicts import doubt
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
    common: Common = NO_OPTIONS,
) -> int:
    """Put a run's patch into the folder it came from, or on a new branch.

    Where a file of the patch has changed since the run began, nothing is changed. Doing it again is harmless.
    """
    return asyncio.run(_apply(run, branch, common, open_terminal()))


async def _apply(asked: str, branch: str | None, common: Common, terminal: Terminal) -> int:
    settings = settings_of(common)
    async with open_run(settings, asked) as (readers, record):
        result = result_of(record)
        if result is None:
            raise Refused(f"run {record.run} has not ended", f"`corral resume {record.run}` goes on with it.")
        if result.patch and (why := doubt(result)):
            terminal.warn(f"{why} (the run ended as {result.status})")
        applied = await apply_result(result, readers.directory, readers.control, branch=branch)
        held = await asyncio.to_thread(readers.holder) is not None
    if isinstance(applied, Conflict):
        _refuse(applied, result, terminal, again(common))
        return FAILED
    _say(applied, terminal)
    # The receipt is written already. The event is for whoever looks at the run; another engine's log is its own.
    if not held and (applied.files or applied.branch):
        await _log(applied, record, settings)
    return 0


async def _log(applied: Applied, record: RunRecord, settings: Settings) -> None:
    async with open_store(settings, verb="apply") as store:
        event = PatchApplied(files=applied.files, branch=applied.branch)
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
    if applied.branch:
        terminal.say(f"  → git switch {applied.branch}")
