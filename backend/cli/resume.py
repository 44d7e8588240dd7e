"""`corral resume`: going on with a run that was interrupted, or asking again what it waits for."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.cli.console import open_terminal
from backend.cli.destinations import writable_file
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, RunArgument, again
from backend.cli.outcome import Delivery
from backend.cli.reading import open_run
from backend.cli.seating import SandboxOption, Wanted, check_seat, open_seat, settings_with, wanted_of
from backend.cli.seeing import Answer, Watched, see_through
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import ApprovalAsked, ApprovalGiven
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver
from infrastructure.storage.runs import RunState

_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the command line says to whatever the run asks."""

    approved: bool
    reason: str


def resume(
    run: RunArgument,
    /,
    *,
    yes: Annotated[
        bool, Parameter(help="Say yes to what the run waits for; what it asks later is not answered.")
    ] = False,
    no: Annotated[bool, Parameter(help="Say no to what the run waits for; at a gate that ends it.")] = False,
    reason: Annotated[str | None, Parameter(help="Why, with --yes or --no; it is kept with the run.")] = None,
    apply: Annotated[bool, Parameter(help="Put the patch into the folder when it is good.")] = False,
    patch: Annotated[str | None, Parameter(help="Write the patch to this file; - is stdout.")] = None,
    sandbox: SandboxOption = None,
    output: OutputOption = "text",
    no_input: Annotated[bool, Parameter(help="Never ask; a run that would have to ends with exit code 5.")] = False,
    common: Common = NO_OPTIONS,
) -> int:
    """Go on with a run that was interrupted or waits for an answer.

    At a terminal it asks what the run waits for. Elsewhere, or without being asked, --yes or --no answers it.
    """
    terminal = open_terminal()
    delivery = Delivery(apply=apply, patch=writable_file("--patch", patch), again=again(common))
    settings = settings_with(common, sandbox)
    work = _resume(
        run,
        settings,
        wanted_of(common, settings, sandbox),
        _said(yes=yes, no=no, reason=reason),
        Watched(terminal, output, delivery, quiet=common.quiet),
        may_ask=terminal.interactive and not no_input,
    )
    return asyncio.run(work)


async def _resume(
    asked: str,
    settings: Settings,
    wanted: Wanted,
    said: Said | None,
    watched: Watched,
    *,
    may_ask: bool,
) -> int:
    async with open_run(settings, asked) as (_, record):
        if record.state is RunState.FINISHED:
            raise RunIsOver(record.run, record.status)
    async with open_seat(settings, "resume", watched.terminal, wanted) as seat:
        after, question = await _so_far(seat, record.run)
        answer = None if said is None else _answer(said, question, record.run)
        await check_seat(seat, watched.terminal)
        await seat.resume(record.run, no_input=not may_ask and answer is None)
        return await see_through(seat, record.run, watched, after=after, answer=answer, may_ask=may_ask)


def _said(*, yes: bool, no: bool, reason: str | None) -> Said | None:
    if yes and no:
        raise Refused("--yes and --no were given", "Give one of them.")
    if not yes and not no:
        if reason is not None:
            raise Refused("--reason says why, but not what", "Add --yes or --no.")
        return None
    return Said(approved=yes, reason=reason or "")


def _answer(said: Said, question: str | None, run: RunId) -> Answer:
    if question is None:
        raise Refused(
            f"run {run} does not wait for an answer, so nothing was answered",
            f"`corral show {run}` says where it stands; without --yes and --no this goes on with it.",
        )
    return Answer(approval=question, approved=said.approved, reason=said.reason)


async def _so_far(seat: Seat, run: RunId) -> tuple[int, str | None]:
    """The number of the last event, since what comes after it is new, and the question that nobody has answered."""
    after, question = 0, None
    while page := await seat.events_of(run, after, _PAGE):
        for stored in page:
            if isinstance(stored.event, ApprovalAsked):
                question = stored.event.approval
            elif isinstance(stored.event, ApprovalGiven):
                question = None
        after = page[-1].seq
    return after, question
