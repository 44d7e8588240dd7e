"""How a batch looks while it goes on and when it is over: words for its news, one live line, the summary.

Owns the words. On a terminal the live line says how the batch stands, so the lines above it need not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from backend.cli.console import Terminal, visible
from backend.cli.progress import ticking
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

PULSE_SECONDS = 60.0
"""So long may nothing be said where there is no live line."""
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


class BatchProgress:
    """Shows the news; nothing when asked for quiet. `live` tells that it is drawn below them."""

    def __init__(
        self, terminal: Terminal | None, *, live: bool = False, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal, self._live, self._now = terminal, live, now
        self._said = now()
        self.tally: Tally | None = None

    def news(self, news: News | Opened, tally: Tally) -> None:
        """Print what happened, and remember how the batch stands."""
        self.tally = tally
        for line in lines_of(news, tally, live=self._live):
            self.line(line)

    def line(self, line: Line) -> None:
        """Print a line."""
        self._said = self._now()
        if self._terminal is not None:
            self._terminal.say(line.text, line.style)

    def tick(self) -> None:
        """Say how the batch stands, if nothing was said for long enough."""
        if self.tally is not None and self._now() - self._said >= PULSE_SECONDS:
            self.line(Line(standing(self.tally), DIM))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live line."""
        if self.tally is not None:
            yield Text(visible(standing(self.tally)), style="bold", no_wrap=True, overflow="ellipsis")


@contextmanager
def show_batch(terminal: Terminal, *, quiet: bool, pulse: bool = False) -> Generator[BatchProgress]:
    """The progress that fits the terminal. `pulse` breaks a long silence where there is no live line."""
    live = terminal.err.is_terminal and not quiet
    progress = BatchProgress(None if quiet else terminal, live=live)
    if not live:
        with ticking(progress.tick) if pulse else nullcontext():
            yield progress
        return
    with Live(progress, console=terminal.err, transient=True, refresh_per_second=4, redirect_stdout=False):
        yield progress


VERDICTS: Mapping[str, str] = {
    "passed": "tests that were there before the code were red and are green",
    "unverified": "nothing broke, and no given test shows that it is right",
    "failed": "no candidate passed, a budget ran out, or a job with tests was answered in words",
    "no verdict": "the environment failed, or it was stopped: the same command runs it again",
    "not run": "not begun, or not at its end: the same command goes on",
}
"""What becomes of a run of a batch, in the order in which it is told."""


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
    verdicts = tally.verdicts
    parts = [f"{verdicts['passed']:,} passed"]
    parts += [f"{verdicts['unverified']:,} unverified"] if verdicts["unverified"] else []
    parts += [f"{verdicts['failed']:,} failed"]
    parts += [f"{verdicts[None]:,} no verdict"] if verdicts[None] else []
    parts += [f"{tally.running:,} running", f"{tally.over:,} of {tally.total:,}"]
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
    """What came of a batch, for people: each count with what it means, then the figures."""
    ended = f"{report.records:,} of {report.jobs:,} runs came to their end"
    lines = [Line(ended, GOOD if report.exit_code == 0 else BAD), *_by_verdict(report)]
    for each in report.pass_at:
        value, low, high = (f"{100 * share:.1f}" for share in (each.value, each.low, each.high))
        lines.append(Line(f"pass@{each.k}: {value} % (95 % interval {low} to {high} %, {_many(each.jobs, 'job')})"))
    lines.append(
        Line(
            f"{_many(report.repairs, 'repair')} · {_many(report.model_calls, 'model call')} ·"
            f" {report.prompt_tokens:,} + {report.completion_tokens:,} tokens · {report.seconds:,.1f} s of runs",
            DIM,
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
    if report.missing or report.no_verdict:
        to_do = f"{report.missing:,} to do, {report.no_verdict:,} to run again"
        lines.append(Line(f"  → the same command goes on: {to_do}"))
    if report.failed:
        lines.append(Line("  → corral show RUN    shows what was tried; a record has its run"))
    if report.unverified:
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
    how = record.verdict or f"no verdict ({record.status})"
    style = GOOD if record.verdict == "passed" else BAD if record.verdict == "failed" else WARN
    return Line(f"{label}: {how} in {record.seconds:.1f} s{tries}{stands}{why}", style)


def _by_verdict(report: BatchReport) -> list[Line]:
    numbers = (report.passed, report.unverified, report.failed, report.no_verdict, report.missing)
    styles = (GOOD, WARN, BAD, WARN, WARN)
    return [
        Line(f"  {number:>7,} {name:10}  {meaning}", style)
        for number, style, (name, meaning) in zip(numbers, styles, VERDICTS.items(), strict=True)
        if number
    ]


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
