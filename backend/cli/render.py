"""An event as lines of text.

Owns the words. Pure: from values to lines, without a terminal; a test holds that every event of the catalogue is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from infrastructure.events import catalogue as events
from infrastructure.workflow.budget import budget_words

GOOD, BAD, WARN, DIM = "green", "red", "yellow", "dim"
STATUS_STYLES = {"done": GOOD, "unverified": WARN, "budget": WARN, "needs_input": WARN, "cancelled": WARN}
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


def counted(passed: int, failed: int, errors: int, skipped: int) -> str:
    """Test counts as people say them; those that are zero are left out."""
    broken = "error" if errors == 1 else "errors"
    words = ((passed, "passed"), (failed, "failed"), (errors, broken), (skipped, "skipped"))
    return ", ".join(f"{number} {word}" for number, word in words if number)


def named(items: Sequence[str], few: int = _FEW) -> str:
    """The first few of many names, and how many more there are."""
    shown = ", ".join(items[:few])
    return shown if len(items) <= few else f"{shown} and {len(items) - few} more"


def shortened(text: str, most: int = _LONG) -> str:
    """One line, cut where it is long."""
    one = " ".join(text.split())
    return one if len(one) <= most else one[: most - 1] + "…"


# ------------------------------------------------------------------------------------ one event, its lines


@singledispatch
def _lines(event: events.Event) -> Sequence[Line]:
    return [Line(getattr(event, "kind", type(event).__name__), DIM)]


def _nothing(event: events.Event) -> Sequence[Line]:
    return ()


for _quiet in (
    events.NodeStarted,
    events.NodeCompleted,
    events.NodeWaiting,
    events.CallPlaced,
    events.CallBegan,
    events.CallFailed,  # the step that asked fails of it
    events.MessageAdded,
    events.SessionCreated,
    events.SessionUpdated,
    events.AgentStarted,
    events.AgentCompleted,
    events.ToolStarted,
    events.TextStreamed,
):
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
    return [Line(f"finished: {event.status}", STATUS_STYLES.get(event.status, BAD))]


@_lines.register
def _(event: events.BudgetSpent) -> Sequence[Line]:
    return [
        Line(f"the budget of {event.limit:g} {budget_words(event.budget)} is spent; ending with the best so far", WARN)
    ]


@_lines.register
def _(event: events.Noted) -> Sequence[Line]:
    return [Line(f"note: {shortened(event.text)}")]


@_lines.register
def _(event: events.NodeFailed) -> Sequence[Line]:
    # Why, the verdict says, with what to do; the candidate's own step has told of a failed `coder` already.
    return () if event.node == "coder" else [Line(f"{event.node} failed", BAD)]


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
def _(event: events.PromptTrimmed) -> Sequence[Line]:
    return [Line(f"{event.role}: shown less, to fit the window: {shortened('; '.join(event.cuts))}", DIM)]


@_lines.register
def _(event: events.CallDoubted) -> Sequence[Line]:
    counted = f"{event.server} read {event.prompt_tokens:,} tokens of about {event.estimated_tokens:,}"
    return [Line(f"{event.role}: {counted}; it may have cut the prompt", WARN)]


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
    counts = event.counts
    said = counted(counts.passed, counts.failed, counts.errors, counts.skipped) or "no tests"
    lines = [Line(f"{when}: {whose}: {event.crashed or said}", BAD if red else GOOD)]
    return [*lines, Line(f"  red: {named(event.failing)}", BAD)] if event.failing else lines


@_lines.register
def _(event: events.DiagnosisMade) -> Sequence[Line]:
    return [Line(f"diagnosis: {shortened(event.cause)}"), Line(f"  fix: {shortened(event.fix)}")]


@_lines.register
def _(event: events.CandidateEnded) -> Sequence[Line]:
    why = f": {shortened(event.reason)}" if event.reason else ""
    return [Line(f"{event.outcome}{why}", STATUS_STYLES.get(event.outcome, DIM))]


@_lines.register
def _(event: events.CandidatesCompared) -> Sequence[Line]:
    groups = " | ".join(", ".join(map(str, group)) for group in event.groups)
    tried = f", tried on {event.inputs} inputs" if event.inputs else ""
    sure = f"{event.sure:.0%} sure{', split' if event.split else ''}"
    said = (
        f"compared{tried}: candidates {groups}: {event.chosen} is taken, {sure}"
        if groups
        else "compared: none is right"
    )
    lines = [Line(said, WARN if event.split else "")]
    dropped = named(event.dropped)
    return [*lines, Line(f"  written tests left out as probably wrong: {dropped}", DIM)] if dropped else lines


@_lines.register
def _(event: events.PatchChosen) -> Sequence[Line]:
    return [Line(f"chosen: {event.status}: {shortened(event.reason)}")]


@_lines.register
def _(event: events.PatchReviewed) -> Sequence[Line]:
    lines = [Line(f"review: {event.verdict}: {shortened(event.summary)}", GOOD if event.verdict == "approve" else WARN)]
    # Files, risks and findings are told once, at the end, of the patch that is handed over.
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
    hunk = "hunk" if len(event.hunks) == 1 else "hunks"
    part = f", {hunk} {', '.join(map(str, event.hunks))} of the patch" if event.hunks else ""
    return [Line(f"applied {where}: {named(event.files)}{part}", GOOD)]


@_lines.register
def _(event: events.AnswerGiven) -> Sequence[Line]:
    return ()


@_lines.register
def _(event: events.ApprovalAsked) -> Sequence[Line]:
    if event.gate == "behaviour":
        return [Line(f"a person is asked: {shortened(event.question)}", WARN)]
    return [Line(f"a person is asked about the {event.gate}", WARN)]


@_lines.register
def _(event: events.ApprovalGiven) -> Sequence[Line]:
    why = f": {shortened(event.reason)}" if event.reason else ""
    return [Line(f"answered {'yes' if event.approved else 'no'}{why}")]


# ------------------------------------------------------------------------- conversations, and the program itself


@_lines.register
def _(event: events.ApprovalDecided) -> Sequence[Line]:
    if event.decision == "expired":
        return [Line("nobody answered in time", WARN)]
    by = f" by {event.by}" if event.by else ""
    return [Line(f"decided: {event.decision}{by}" + (f": {shortened(event.reason)}" if event.reason else ""))]


@_lines.register
def _(event: events.SessionDeleted) -> Sequence[Line]:
    return [Line("the conversation was deleted", DIM)]


@_lines.register
def _(event: events.TurnEnded) -> Sequence[Line]:
    return [Line("the turn was stopped", WARN)] if event.outcome == "cancelled" else ()


@_lines.register
def _(event: events.AgentFailed) -> Sequence[Line]:
    return [Line(f"{event.agent}: {event.error_class}: {shortened(event.error_message)}", BAD)]


@_lines.register
def _(event: events.AgentSwitched) -> Sequence[Line]:
    why = f": {shortened(event.reason)}" if event.reason else ""
    return [Line(f"{event.agent} goes on for {event.previous}{why}")]


@_lines.register
def _(event: events.ToolRequested) -> Sequence[Line]:
    return [Line(f"{event.tool} is wanted" + (f": {event.danger}" if event.danger else ""))]


@_lines.register
def _(event: events.ToolApprovalRequired) -> Sequence[Line]:
    return [Line(f"{event.tool} waits for a yes" + (f": {shortened(event.why)}" if event.why else ""), WARN)]


@_lines.register
def _(event: events.ToolCompleted) -> Sequence[Line]:
    return [Line(f"{event.tool}: done in {event.seconds:.1f} s", DIM)]


@_lines.register
def _(event: events.ToolFailed) -> Sequence[Line]:
    return [Line(f"{event.tool}: {event.error_class}: {shortened(event.error_message)}", BAD)]


@_lines.register
def _(event: events.SystemStarted) -> Sequence[Line]:
    return [Line(f"Corral {event.version} began: {event.verb}", DIM)]


@_lines.register
def _(event: events.SystemStopped) -> Sequence[Line]:
    return [Line(f"stopped: {event.reason}", WARN) if event.reason else Line("stopped", DIM)]


@_lines.register
def _(event: events.ConfigReloaded) -> Sequence[Line]:
    return [Line(f"other settings hold: {named(event.changed)}")]


@_lines.register
def _(event: events.ConfigRefused) -> Sequence[Line]:
    return [Line(f"the settings file cannot be used: {shortened('; '.join(event.problems))}", BAD)]


@_lines.register
def _(event: events.ServerEjected) -> Sequence[Line]:
    return [Line(f"{event.server} gets no more calls: {shortened(event.reason)}", WARN)]


@_lines.register
def _(event: events.ServerReturned) -> Sequence[Line]:
    return [Line(f"{event.server} gets calls again", GOOD)]
