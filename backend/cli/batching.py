"""How a batch looks while it goes on and when it is over: words for its news, one live line, the summary.

Owns the words. What is kept on the screen is the same lines on a terminal and elsewhere; only the live line is added.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from backend.cli.console import Terminal, visible
from backend.cli.render import BAD, DIM, GOOD, WARN, Line, shortened
from infrastructure.batch import (
    BatchPlace,
    BatchReport,
    Began,
    Ended,
    News,
    Opened,
    Record,
    Rested,
    Retried,
    Tally,
    Waiting,
    WentOn,
)

_STYLES = {"done": GOOD, "unverified": WARN, "cancelled": WARN, "needs_input": WARN, "budget": WARN}
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


class BatchProgress:
    """Shows the news; nothing when asked for quiet."""

    def __init__(self, terminal: Terminal | None) -> None:
        self._terminal = terminal
        self.tally: Tally | None = None

    def news(self, news: News | Opened, tally: Tally) -> None:
        """Print what happened, and remember how the batch stands."""
        self.tally = tally
        for line in lines_of(news, tally):
            self.line(line)

    def line(self, line: Line) -> None:
        """Print a line."""
        if self._terminal is not None:
            self._terminal.say(line.text, line.style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live line."""
        if self.tally is not None:
            yield Text(visible(standing(self.tally)), style="bold", no_wrap=True, overflow="ellipsis")


@contextmanager
def show_batch(terminal: Terminal, *, quiet: bool) -> Generator[BatchProgress]:
    """The progress that fits the terminal."""
    progress = BatchProgress(None if quiet else terminal)
    if quiet or not terminal.err.is_terminal:
        yield progress
        return
    with Live(progress, console=terminal.err, transient=True, refresh_per_second=4, redirect_stdout=False):
        yield progress


def lines_of(news: News | Opened, tally: Tally) -> tuple[Line, ...]:
    """What to print of one piece of news."""
    match news:
        case Opened():
            return _opened(news)
        case Began():
            return (Line(f"{news.ticket.label}: {'going on' if news.again else 'begun'}", DIM),)
        case Ended():
            return (_ended(news.ticket.label, news.record, tally),)
        case Rested():
            return (Line(f"{news.ticket.label}: interrupted; the same command goes on with it", WARN),)
        case Retried():
            return (Line(f"{news.ticket.label}: begun again: {shortened(news.reason)}", WARN),)
        case Waiting():
            return (Line(f"waiting, since no server answers: {shortened(news.reason)}. Ctrl-C gives up.", WARN),)
        case WentOn():
            return (Line("a server answers; going on", GOOD),)


def standing(tally: Tally) -> str:
    """How a batch stands, in one line."""
    parts = [
        f"{tally.done:,} done",
        f"{tally.failed:,} failed",
        f"{tally.running:,} running",
        f"{tally.over:,} of {tally.total:,}",
    ]
    if tally.rate_per_hour is not None and tally.eta_seconds is not None:
        parts += [f"{tally.rate_per_hour:,.0f} an hour", f"about {duration(tally.eta_seconds)} left"]
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time as people say it, in at most two units."""
    for size, name in _UNITS:
        if seconds >= size:
            whole, rest = divmod(round(seconds), size)
            smaller = dict(zip([unit for _, unit in _UNITS], [(3600, "h"), (60, "min"), (1, "s")], strict=True))[name]
            return f"{whole} {name} {rest // smaller[0]} {smaller[1]}"
    return f"{seconds:.0f} s"


def summary(report: BatchReport) -> tuple[Line, ...]:
    """What came of a batch, for people."""
    counts = ", ".join(f"{number:,} {status}" for status, number in report.statuses.items()) or "none"
    lines = [Line(f"{report.records:,} of {report.jobs:,} records: {counts}", GOOD if report.exit_code == 0 else BAD)]
    for each in report.pass_at:
        value, low, high = (f"{100 * share:.1f}" for share in (each.value, each.low, each.high))
        lines.append(Line(f"pass@{each.k}: {value} % (95 % interval {low} to {high} %, {each.jobs:,} jobs)"))
    lines.append(
        Line(
            f"{report.repairs:,} repairs · {report.model_calls:,} model calls ·"
            f" {report.prompt_tokens:,} + {report.completion_tokens:,} tokens · {report.seconds:,.1f} s of runs"
        )
    )
    if report.errors:
        lines.append(Line("errors: " + ", ".join(f"{number} {name}" for name, number in report.errors.items()), BAD))
    if report.simulated:
        lines.append(Line("simulated: the answers came from a simulated Ollama, not from a model", WARN))
    return tuple(lines)


def next_lines(report: BatchReport, place: BatchPlace) -> tuple[Line, ...]:
    """What makes sense after it."""
    lines = [Line(f"  → {place.records}    the records; patches in {place.patches.name}/")]
    again = sum(report.statuses.get(status, 0) for status in ("error", "cancelled", "needs_input"))
    if report.missing or again:
        lines.append(Line(f"  → the same command goes on: {report.missing:,} to do, {again:,} to run again"))
    if set(report.statuses) - {"done", "unverified"}:
        lines.append(Line("  → corral show RUN    shows what was tried; a record has its run"))
    if report.statuses.get("unverified"):
        lines.append(Line("warning: no given test shows that the unverified ones are right; read them first", WARN))
    return tuple(lines)


def _opened(opened: Opened) -> tuple[Line, ...]:
    to_do = opened.total - opened.finished
    lines = [
        Line(
            f"{opened.total:,} to solve: {opened.finished:,} finished before, {to_do:,} to do, {opened.at_once} at once"
        )
    ]
    if opened.cut:
        lines.append(Line("a record that a killed command left half written was dropped; its run is looked up", WARN))
    return tuple(lines)


def _ended(label: str, record: Record, tally: Tally) -> Line:
    tries = f", {record.attempts} {'try' if record.attempts == 1 else 'tries'}" if record.attempts else ""
    why = f": {shortened(record.reason)}" if record.reason and record.status != "done" else ""
    text = f"{label}: {record.status} in {record.seconds:.1f} s{tries} ({standing(tally)}){why}"
    return Line(text, _STYLES.get(record.status, BAD))
