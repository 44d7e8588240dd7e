"""How a batch looks: the live line on a terminal, words for every piece of news."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from backend.cli.batching import lines_of, show_batch
from backend.cli.console import Terminal
from backend.cli.render import BAD, GOOD, WARN
from infrastructure.batch import Began, Ended, News, Opened, Record, Rested, Retried, Tally, Waiting, WentOn, read_jobs
from infrastructure.batch.records import told_of
from infrastructure.batch.runner import Ticket
from infrastructure.ids import RunId
from tests.batch.conftest import write_lines


@pytest.fixture
def ticket(tmp_path: Path) -> Ticket:
    (entry,) = read_jobs(write_lines(tmp_path / "jobs", [{"id": "\x1b[31mred", "prompt": "p"}]))
    return Ticket(entry=entry, sample=1, identity="i")


def record(status: str, verdict: str | None, reason: str = "because", judge: str = "given") -> Record:
    told = {"run": "r", "status": status, "judge": judge, "exit_code": 0, "reason": reason, "attempts": 2}
    return Record.model_validate(told | {"identity": "i", "job_id": "j", "verdict": verdict, "seconds": 1.25})


def tally(total: int = 4) -> Tally:
    tally = Tally(total, iter([0.0, 36.0, 72.0]).__next__)
    tally.begin([])
    tally.ended(told_of(record("done", "passed")))
    return tally


def terminal(*, is_terminal: bool) -> tuple[Terminal, io.StringIO]:
    shown = io.StringIO()
    err = Console(file=shown, force_terminal=is_terminal, no_color=True, width=120, legacy_windows=False)
    return Terminal(Console(file=io.StringIO()), err), shown


def test_every_piece_of_news_has_its_words(ticket: Ticket) -> None:
    news = [
        Opened(4, 1, 2, 0), Began(ticket, RunId("r"), again=True), Ended(ticket, record("done", "passed")),
        Rested(ticket), Retried(ticket, "it broke"), Waiting("refused"), WentOn(),
    ]  # fmt: skip
    assert {type(each) for each in news} == {Opened, *get_args(News)}
    assert all(lines_of(each, tally()) for each in news)


@pytest.mark.parametrize(
    ("status", "verdict", "judge", "style", "says"),
    [
        ("done", "passed", "given", GOOD, "done in 1.2 s, 2 tries"),
        ("unverified", "unverified", "written", WARN, ": because"),
        ("failed", "failed", "given", BAD, ": because"),
        ("error", None, "none", WARN, ": because"),
        ("done", "failed", "none", BAD, "answered as a question"),
    ],
)
def test_end_of_a_job_says_how_and_why(
    ticket: Ticket, status: str, verdict: str | None, judge: str, style: str, says: str
) -> None:
    (line,) = lines_of(Ended(ticket, record(status, verdict, judge=judge)), tally())
    assert line.style == style
    assert says in line.text
    assert "1 of 4 · 100 an hour" in line.text


def test_half_written_record_is_told(ticket: Ticket) -> None:
    assert "half written" in lines_of(Opened(4, 0, 2, 17), tally())[1].text


def test_terminal_has_a_live_line_with_rate_and_estimate_and_no_line_a_beginning(ticket: Ticket) -> None:
    on, shown = terminal(is_terminal=True)
    with show_batch(on, quiet=False) as progress:
        progress.news(Began(ticket, RunId("r"), again=False), tally())
        progress.news(Ended(ticket, record("done", "passed")), tally())
    text = shown.getvalue()
    assert "1 done · 0 failed · 0 running · 1 of 4 · 100 an hour · about 1 min 48 s left" in text
    assert "begun" not in text
    assert "\\u001b[31mred (sample 1): done" in text


def test_elsewhere_every_event_is_a_plain_line(ticket: Ticket) -> None:
    on, shown = terminal(is_terminal=False)
    with show_batch(on, quiet=False) as progress:
        progress.news(Began(ticket, RunId("r"), again=False), tally())
    assert shown.getvalue() == "\\u001b[31mred (sample 1): begun\n"


def test_quiet_shows_nothing(ticket: Ticket) -> None:
    for is_terminal in (True, False):
        on, shown = terminal(is_terminal=is_terminal)
        with show_batch(on, quiet=True) as progress:
            progress.news(Waiting("refused"), tally())
        assert shown.getvalue() == ""
