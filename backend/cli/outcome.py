"""What is printed and done when a run has ended: its patch or answer, the verdict, the document, the delivery.

Owns the end that `run` and `resume` share.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from backend.attach.seat import Seat
from backend.cli.applying import apply_result
from backend.cli.console import Terminal
from backend.cli.destinations import STDOUT
from backend.cli.errors import FAILED, Refused, explain
from backend.cli.render import Line
from backend.cli.tokens import Output
from backend.cli.verdicts import next_steps, step, verdict
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.storage.control import ControlStore
from infrastructure.storage.errors import StorageError
from infrastructure.storage.runs import RunState
from infrastructure.tasks import ErrorInfo, RunResult
from infrastructure.workspace import Conflict, WorkspaceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where a patch goes, beside the record of its run.

    Attributes:
        apply: Into the folder.
        patch: Into this file; `-` and None mean standard output, in text form.
        again: Options that a command about the same run needs as well.
    """

    apply: bool = False
    patch: str | None = None
    again: str = ""


def document_of(stored: Stored) -> dict[str, object]:
    """An event as a line of NDJSON."""
    return {
        "run": stored.run,
        "seq": stored.seq,
        "at": stored.at.isoformat(),
        "execution": stored.execution,
        "correlation": stored.correlation,
        "causation": stored.causation,
        **stored.event.model_dump(mode="json"),
    }


async def conclude(result: RunResult, seat: Seat, terminal: Terminal, output: Output, delivery: Delivery) -> int:
    """Deliver and print a result, and return the exit code.

    A delivery that fails changes the exit code and is told in `error`; the run's own status stays.
    """
    resumable = (await seat.record_of(result.run)).state is RunState.INTERRUPTED
    applied = False
    try:
        applied = await _deliver(result, seat, terminal, delivery)
    except (Refused, WorkspaceError, StorageError) as error:
        known = explain(error)
        told = {"class": known.error_class, "message": known.message, "hint": known.hint}
        result = result.model_copy(update={"exit_code": known.exit_code, "error": ErrorInfo.model_validate(told)})
    if output == "text":
        _print(result, terminal, delivery)
    else:
        terminal.data(result)
    for line in (*verdict(result, interrupted=resumable), *_next(result, delivery.again, resumable, applied=applied)):
        terminal.say(line.text, line.style)
    return result.exit_code


def conflict_lines(conflict: Conflict) -> list[str]:
    """The files that stand in the way, and why."""
    return [f"{file.path}: {file.reason}" for file in conflict.files]


async def _deliver(result: RunResult, seat: Seat, terminal: Terminal, delivery: Delivery) -> bool:
    """Write the patch's file and apply it, as asked; whether it was applied."""
    if not result.patch:
        if delivery.patch not in (None, STDOUT):
            terminal.say(f"there is no patch, so {delivery.patch} was not written")
        return False
    if delivery.patch not in (None, STDOUT):
        await _write_patch(str(delivery.patch), result.patch)
        terminal.say(f"the patch is in {delivery.patch}")
    if not delivery.apply:
        return False
    if result.status not in ("done", "unverified"):
        terminal.warn(f"not applied, since the run ended as {result.status}")
        return False
    applied = await apply_result(result, seat.directory, ControlStore(seat.directory.control))
    if isinstance(applied, Conflict):
        raise Refused(
            f"the patch was not applied: {'; '.join(conflict_lines(applied))}",
            f"The patch is kept. Put the files back, then: corral apply {result.run}{delivery.again}; "
            f"or take it on a branch: corral apply {result.run} --branch NAME{delivery.again}",
            FAILED,
        )
    await seat.note_applied(RunId(result.run), applied.files)
    terminal.say(f"applied: {', '.join(applied.files) or 'nothing was left to change'}", "green")
    return True


async def _write_patch(file: str, patch: str) -> None:
    try:
        await asyncio.to_thread(Path(file).write_text, patch, encoding="utf-8", newline="")
    except OSError as error:
        raise Refused(f"the patch could not be written: {file}: {error.strerror}", "It is kept with the run.") from None


def _print(result: RunResult, terminal: Terminal, delivery: Delivery) -> None:
    if result.answer:
        terminal.raw(result.answer.rstrip("\n") + "\n")
    if result.patch and delivery.patch in (None, STDOUT):
        terminal.patch(result.patch)


def _next(result: RunResult, again: str, resumable: bool, *, applied: bool) -> tuple[Line, ...]:
    if resumable:
        return (step("resume", result.run, again, "goes on from there"),)
    return next_steps(result, again, applied=applied)
