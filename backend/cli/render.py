"""An event as a line of text, and a result as a verdict.

Owns the words. Pure: from values to lines, without a terminal; a test holds that every event of the catalogue is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from infrastructure.events import catalogue as events
from infrastructure.tasks import RunResult

GOOD, BAD, WARN, DIM = "green", "red", "yellow", "dim"
_FEW = 5
_LONG = 300


@dataclass(frozen=True, slots=True)
class Line:
    """A line for a person; `style` is a colour, empty for none."""

    text: str
    style: str = ""


def lines_of(event: events.Event) -> tuple[Line, ...]:
    """What to print of an event where every event has its line; nothing for what only a live view shows."""
    where = f"[candidate {event.candidate}] " if event.candidate is not None else ""
    return tuple(Line(where + line.text, line.style) for line in _lines(event))


def verdict(result: RunResult, *, interrupted: bool = False) -> tuple[Line, ...]:
    """How a run ended, or that it was interrupted and can go on; and what it took."""
    word = "interrupted" if interrupted else result.status
    lines = [Line(f"{word}{_because(result)}", _STATUS_STYLES.get(result.status, BAD))]
    if result.status == "unverified":
        lines.append(Line("warning: no given test shows that this is right; read the patch before you use it", WARN))
    lines.append(Line(_took(result), DIM))
    if result.error is not None:
        lines.append(Line(f"error: {result.error.message}", BAD))
        lines += [Line(f"  → {result.error.hint}")] if result.error.hint else []
    if result.simulated:
        lines.append(Line("simulated: the answers came from a simulated Ollama, not from a model", WARN))
    return tuple(lines)


def next_steps(result: RunResult, again: str = "", *, applied: bool = False) -> tuple[Line, ...]:
    """Commands that make sense after this run; `again` are options that they need."""
    if not result.run:
        return ()
    if result.status == "needs_input":
        return (step("resume", result.run, again, "to answer and go on"),)
    if result.patch and not applied:
        return (step("apply", result.run, again, "puts the patch into the folder"),)
    if result.status in ("failed", "error", "budget"):
        return (step("show", result.run, again, "shows what was tried"),)
    return ()


def step(verb: str, run: str, again: str, why: str) -> Line:
    """A command to type next."""
    return Line(f"  → corral {verb} {run}{again}    {why}")


def counted(tests: events.TestsRan) -> str:
    """Test counts as people say them."""
    counts = tests.counts
    parts = [
        f"{number} {word}"
        for number, word in (
            (counts.passed, "passed"),
            (counts.failed, "failed"),
            (counts.errors, "with errors"),
            (counts.skipped, "skipped"),
        )
        if number
    ]
    return ", ".join(parts) or "no tests"


def named(items: Sequence[str], few: int = _FEW) -> str:
    """The first few of many names, and how many more there are."""
    shown = ", ".join(items[:few])
    return shown if len(items) <= few else f"{shown} and {len(items) - few} more"


def shortened(text: str, most: int = _LONG) -> str:
    """One line, cut where it is long."""
    one = " ".join(text.split())
    return one if len(one) <= most else one[: most - 1] + "…"


_STATUS_STYLES = {"done": GOOD, "unverified": WARN, "budget": WARN, "needs_input": WARN, "cancelled": WARN}


def _because(result: RunResult) -> str:
    return f": {shortened(result.reason)}" if result.reason else ""


def _took(result: RunResult) -> str:
    tests = result.tests
    judged = [
        f"{number} {word}"
        for number, word in (
            (tests.passed, "passed"),
            (tests.failed, "failed"),
            (tests.errors, "with errors"),
            (tests.skipped, "skipped"),
        )
        if number
    ]
    parts = [f"tests ({result.judge}): {', '.join(judged)}"] if judged else []
    if result.files:
        parts.append(f"files: {named(result.files)}")
    if result.attempts:
        parts.append(f"{result.attempts} {'try' if result.attempts == 1 else 'tries'}")
    parts.append(f"{result.model_calls} model {'call' if result.model_calls == 1 else 'calls'}")
    parts.append(f"{result.prompt_tokens:,} + {result.completion_tokens:,} tokens")
    parts.append(f"{result.seconds:.1f} s")
    return " · ".join(parts)


# ------------------------------------------------------------------------------------ one event, its lines


@singledispatch
def _lines(event: events.Event) -> Sequence[Line]:
    return [Line(getattr(event, "kind", type(event).__name__), DIM)]


def _nothing(event: events.Event) -> Sequence[Line]:
    return ()


for _quiet in (events.NodeStarted, events.NodeCompleted, events.NodeWaiting, events.CallPlaced, events.TextStreamed):
    _lines.register(_quiet, _nothing)


@_lines.register
def _(event: events.RunCreated) -> Sequence[Line]:
    lines = [Line(f"task: {shortened(event.task)}"), Line(f"repository: {event.repo}", DIM)]
    return [*lines, Line("simulated: no model answers here", WARN)] if event.simulated else lines


@_lines.register
def _(event: events.RunStarted) -> Sequence[Line]:
    return [Line("going on", DIM)] if event.resumed else ()


@_lines.register
def _(event: events.RunInterrupted) -> Sequence[Line]:
    return [Line(f"stopped: {event.reason}", WARN)]


@_lines.register
def _(event: events.RunFinished) -> Sequence[Line]:
    return [Line(f"finished: {event.status}", _STATUS_STYLES.get(event.status, BAD))]


@_lines.register
def _(event: events.BudgetSpent) -> Sequence[Line]:
    return [Line(f"the budget of {event.limit:g} {event.budget} is spent; ending with the best so far", WARN)]


@_lines.register
def _(event: events.Noted) -> Sequence[Line]:
    return [Line(f"note: {shortened(event.text)}")]


@_lines.register
def _(event: events.NodeFailed) -> Sequence[Line]:
    return [Line(f"{event.node}: {event.error_class}: {shortened(event.error_message)}", BAD)]


@_lines.register
def _(event: events.CallQueued) -> Sequence[Line]:
    return [Line(f"{event.role}: queued behind {event.ahead}", DIM)] if event.ahead else ()


@_lines.register
def _(event: events.CallWaiting) -> Sequence[Line]:
    return [Line(f"{event.role}: {event.server} loads the model", DIM)] if event.loading else ()


@_lines.register
def _(event: events.CallRestarted) -> Sequence[Line]:
    return [Line(f"{event.role}: {shortened(event.reason)}", WARN)]


@_lines.register
def _(event: events.CallCompleted) -> Sequence[Line]:
    spent = event.load_seconds + event.prompt_seconds + event.decode_seconds
    cut = ", cut at its length limit" if event.finish == "length" else ""
    return [
        Line(
            f"{event.role}: {event.prompt_tokens:,} + {event.completion_tokens:,} tokens in {spent:.1f} s"
            f" by {event.model} on {event.server}{cut}",
            WARN if cut else DIM,
        )
    ]


@_lines.register
def _(event: events.CallFailed) -> Sequence[Line]:
    return [Line(f"{event.role}: {event.error_class}: {shortened(event.error_message)}", BAD)]


@_lines.register
def _(event: events.CallReplayed) -> Sequence[Line]:
    return [Line(f"{event.role}: took the recorded answer", DIM)]


@_lines.register
def _(event: events.SnapshotTaken) -> Sequence[Line]:
    if not event.repository:
        return [Line(f"snapshot: {event.files} files of a folder that is no git repository, copied", WARN)]
    dirty = ", with uncommitted changes" if event.dirty else ""
    return [Line(f"snapshot: {event.files} files{dirty}")]


@_lines.register
def _(event: events.IntentRead) -> Sequence[Line]:
    return [Line(f"intent: {event.intent}: {shortened(event.summary)}")]


@_lines.register
def _(event: events.FilesChosen) -> Sequence[Line]:
    return [Line(f"files that matter: {named(event.files) or 'none'}")]


@_lines.register
def _(event: events.PlanDrafted) -> Sequence[Line]:
    steps = [Line(f"  {number}. {shortened(step)}") for number, step in enumerate(event.steps, 1)]
    return [Line(f"plan: {shortened(event.summary)}"), *steps]


@_lines.register
def _(event: events.TestsWritten) -> Sequence[Line]:
    return [Line(f"tests written from the plan: {named(event.files)}")]


@_lines.register
def _(event: events.CandidateStarted) -> Sequence[Line]:
    return [Line("started", DIM)] if event.candidate is not None and event.candidate > 1 else ()


@_lines.register
def _(event: events.EditsApplied) -> Sequence[Line]:
    return [Line(f"try {event.attempt}: changed {named(event.files)}")]


@_lines.register
def _(event: events.EditsRejected) -> Sequence[Line]:
    return [Line(f"try {event.attempt}: the answer could not be used: {shortened(event.reason)}", WARN)]


@_lines.register
def _(event: events.TestsRan) -> Sequence[Line]:
    when = "before" if event.attempt == 0 else f"try {event.attempt}"
    whose = "tests" if event.suite == "judge" else "written tests"
    red = bool(event.crashed or event.counts.failed or event.counts.errors)
    lines = [Line(f"{when}: {whose}: {event.crashed or counted(event)}", BAD if red else GOOD)]
    return [*lines, Line(f"  red: {named(event.failing)}", BAD)] if event.failing else lines


@_lines.register
def _(event: events.DiagnosisMade) -> Sequence[Line]:
    return [Line(f"diagnosis: {shortened(event.cause)}"), Line(f"  fix: {shortened(event.fix)}")]


@_lines.register
def _(event: events.CandidateEnded) -> Sequence[Line]:
    why = f": {shortened(event.reason)}" if event.reason else ""
    return [Line(f"{event.outcome}{why}", _STATUS_STYLES.get(event.outcome, DIM))]


@_lines.register
def _(event: events.PatchChosen) -> Sequence[Line]:
    return [Line(f"chosen: {event.status}: {shortened(event.reason)}")]


@_lines.register
def _(event: events.PatchReviewed) -> Sequence[Line]:
    lines = [Line(f"review: {event.verdict}: {shortened(event.summary)}", GOOD if event.verdict == "approve" else WARN)]
    return lines + [Line(f"  objection: {shortened(each)}", WARN) for each in event.objections]


@_lines.register
def _(event: events.LessonDrawn) -> Sequence[Line]:
    return [Line(f"lesson: {shortened(event.lesson)}"), Line(f"  next: {shortened(event.approach)}")]


@_lines.register
def _(event: events.PatchDelivered) -> Sequence[Line]:
    return [Line(f"patch: {named(event.files)} (+{event.added} −{event.removed})")]


@_lines.register
def _(event: events.PatchApplied) -> Sequence[Line]:
    where = f"on the new branch {event.branch}" if event.branch else "in the folder"
    return [Line(f"applied {where}: {named(event.files)}", GOOD)]


@_lines.register
def _(event: events.AnswerGiven) -> Sequence[Line]:
    return ()


@_lines.register
def _(event: events.ApprovalAsked) -> Sequence[Line]:
    return [Line(f"a person is asked about the {event.gate}", WARN)]


@_lines.register
def _(event: events.ApprovalGiven) -> Sequence[Line]:
    why = f": {shortened(event.reason)}" if event.reason else ""
    return [Line(f"answered {'yes' if event.approved else 'no'}{why}")]
