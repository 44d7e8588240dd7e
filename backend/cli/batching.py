"""How a batch looks while it goes on and when it is over: words for its news, one live line, the summary.

Owns the words. On a terminal the live line says how the batch stands, so the lines above it need not.
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

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


class BatchProgress:
    """Shows the news; nothing when asked for quiet. `live` tells that it is drawn below them."""

    def __init__(self, terminal: Terminal | None, *, live: bool = False) -> None:
        self._terminal, self._live = terminal, live
        self.tally: Tally | None = None

    def news(self, news: News | Opened, tally: Tally) -> None:
        """Print what happened, and remember how the batch stands."""
        self.tally = tally
        for line in lines_of(news, tally, live=self._live):
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
    live = terminal.err.is_terminal and not quiet
    progress = BatchProgress(None if quiet else terminal, live=live)
    if not live:
        yield progress
        return
    with Live(progress, console=terminal.err, transient=True, refresh_per_second=4, redirect_stdout=False):
        yield progress


def lines_of(news: News | Opened, tally: Tally, *, live: bool = False) -> tuple[Line, ...]:
    """What to print of one piece of news; `live` where a live line says how the batch stands."""
    match news:
        case Opened():
            return _opened(news)
        case Began():
            begun = Line(f"{news.ticket.label}: {'going on' if news.again else 'begun'}", DIM)
            return () if live else (begun,)
        case Ended():
            return (_ended(news.ticket.label, news.record, "" if live else f" ({standing(tally)})"),)
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
    for size, name, smaller, small in _UNITS:
        if seconds >= size:
            whole, rest = divmod(round(seconds), size)
            return f"{whole} {name} {rest // smaller} {small}"
    return f"{seconds:.0f} s"


def summary(report: BatchReport) -> tuple[Line, ...]:
    """What came of a batch, for people."""
    counts = ", ".join(f"{number:,} {status}" for status, number in report.statuses.items()) or "none"
    lines = [Line(f"{report.records:,} of {report.jobs:,} records: {counts}", GOOD if report.exit_code == 0 else BAD)]
    for each in report.pass_at:
        value, low, high = (f"{100 * share:.1f}" for share in (each.value, each.low, each.high))
        lines.append(Line(f"pass@{each.k}: {value} % (95 % interval {low} to {high} %, {each.jobs:,} jobs)"))
    repairs = f"{report.repairs:,} {'repair' if report.repairs == 1 else 'repairs'}"
    lines.append(
        Line(
            f"{repairs} · {report.model_calls:,} model calls ·"
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
    if report.failed:
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


def _ended(label: str, record: Record, stands: str) -> Line:
    tries = f", {record.attempts} {'try' if record.attempts == 1 else 'tries'}" if record.attempts else ""
    why = f": {shortened(record.reason)}" if record.reason and record.verdict != "passed" else ""
    if record.status == "done" and record.verdict == "failed":
        why = ": it was answered as a question, and nothing shows that its tests pass"
    text = f"{label}: {record.status} in {record.seconds:.1f} s{tries}{stands}{why}"
    style = GOOD if record.verdict == "passed" else BAD if record.verdict == "failed" else WARN
    return Line(text, style)
