"""Seeing a run through at a terminal or in a pipe: shown, asked about, concluded.

Owns what `run` and `resume` share once a run is going, and who answers its questions.
"""

from dataclasses import dataclass

from backend.attach.seat import Seat
from backend.cli.asking import ask_approval
from backend.cli.console import Terminal
from backend.cli.outcome import Delivery, conclude, document_of
from backend.cli.progress import Progress, shown
from backend.cli.render import Line
from backend.cli.seating import UnheldGuest
from backend.cli.tokens import Output
from backend.cli.watching import Asker, watch
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.events.log import Stored
from infrastructure.ids import RunId


@dataclass(frozen=True, slots=True)
class Watched:
    """Where a run is shown, in which form, and where its patch goes."""

    terminal: Terminal
    output: Output
    delivery: Delivery
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the command line says to one question."""

    approval: str
    approved: bool
    reason: str = ""


async def see_through(
    seat: Seat,
    run: RunId,
    watched: Watched,
    *,
    after: int = 0,
    chosen_model: str = "",
    answer: Answer | None = None,
    may_ask: bool = True,
) -> int:
    """Watch a run that was begun to its end, and conclude it.

    Args:
        seat: Where it goes on.
        run: The run.
        watched: How it is shown.
        after: Events up to this number were seen before.
        chosen_model: The model, where nobody named one.
        answer: What is said to the question that the run waits with.
        may_ask: Whether the person at the terminal may be asked.

    Returns:
        The exit code.
    """
    terminal, output = watched.terminal, watched.output
    unheld = UnheldGuest(seat, terminal)

    def on_stored(stored: Stored) -> None:
        unheld.see(stored.event)
        if output == "ndjson":
            terminal.data(document_of(stored))

    with shown(terminal, quiet=watched.quiet or output == "ndjson", pulse=output == "text") as progress:
        progress.line(Line(f"run {run}", "bold"))
        if chosen_model:
            progress.line(Line(f"model: {chosen_model}, since none was named; --model names another"))
        ask = _asker(terminal, progress) if may_ask and terminal.interactive else None
        result = await watch(
            seat,
            run,
            progress,
            after=after,
            ask=ask if answer is None else _answering(answer, ask),
            on_nobody=None if ask is not None else lambda: seat.resume(run, no_input=True),
            on_stored=on_stored,
        )
    return await conclude(result, seat, terminal, output, watched.delivery)


def _asker(terminal: Terminal, progress: Progress) -> Asker:
    """Asks the person at this terminal."""

    async def ask(asked: ApprovalAsked) -> tuple[bool, str] | None:
        return await ask_approval(asked, terminal, progress)

    return ask


def _answering(answer: Answer, otherwise: Asker | None) -> Asker:
    """Gives the prepared answer to its question; another one is for the person, if there is one."""

    async def ask(asked: ApprovalAsked) -> tuple[bool, str] | None:
        if asked.approval == answer.approval:
            return answer.approved, answer.reason
        return None if otherwise is None else await otherwise(asked)

    return ask
