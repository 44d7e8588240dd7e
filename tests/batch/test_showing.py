"""How a batch looks: the live line on a terminal, words for every piece of news."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from backend.cli.batching import VERDICTS, lines_of, show_batch, summary
from backend.cli.console import Terminal
from backend.cli.render import BAD, GOOD, WARN
from infrastructure.batch import Began, Ended, News, Opened, Record, Rested, Retried, Tally, Waiting, WentOn, read_jobs
from infrastructure.batch.records import told_of
from infrastructure.batch.report import BatchReport, report_on
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
        ("done", "passed", "given", GOOD, "passed in 1.2 s, 2 tries"),
        ("unverified", "unverified", "written", WARN, ": because"),
        ("failed", "failed", "given", BAD, ": because"),
        ("error", None, "none", WARN, "no verdict (error) in 1.2 s, 2 tries"),
        ("error", None, "none", WARN, ": because"),
        ("budget", "failed", "given", BAD, "failed in 1.2 s"),
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
    assert "1 passed · 0 failed · 0 running · 1 of 4 · 100 an hour · about 1 min 48 s left" in text
    assert "begun" not in text
    assert "\\u001b[31mred (sample 1): passed" in text


def test_elsewhere_every_event_is_a_plain_line(ticket: Ticket) -> None:
    on, shown = terminal(is_terminal=False)
    with show_batch(on, quiet=False) as progress:
        progress.news(Began(ticket, RunId("r"), again=False), tally())
    assert shown.getvalue() == "\\u001b[31mred (sample 1): begun\n"


def report(*statuses: str, jobs: int = 0) -> BatchReport:
    made = [record(status, VERDICTS_OF.get(status)) for status in statuses]
    records = [told_of(each.model_copy(update={"job_id": str(number)})) for number, each in enumerate(made)]
    return report_on(records, batch="b", name="n", out="o", jobs=jobs or len(records), interrupted=False)


VERDICTS_OF = {"done": "passed", "unverified": "unverified", "failed": "failed", "budget": "failed"}


def test_summary_tells_each_count_with_what_it_means_and_only_those_there_are() -> None:
    lines = [line.text for line in summary(report("done", "done", "unverified", "budget", "error", jobs=7))]
    assert lines[0] == "5 of 7 runs came to their end"
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["2", "passed"], ["1", "unverified"], ["1", "failed"], ["1", "no"], ["2", "not"],
    ]  # fmt: skip
    assert [line.partition("  ")[2].strip().partition("  ")[2].strip() for line in lines[1:6]] == [*VERDICTS.values()]
    assert lines[6].startswith("pass@1: ")
    few = [line.text for line in summary(report("done"))]
    assert few[1].split()[:2] == ["1", "passed"]
    assert few[2].startswith("pass@1: 100.0 %")
    assert few[3].startswith("1 repair · 0 model calls · ")


def test_pass_at_k_and_counts_tell_the_same() -> None:
    told = report("done", "unverified", "failed", "error")
    assert (told.passed, told.unverified, told.failed, told.no_verdict) == (1, 1, 1, 1)
    (at_one,) = told.pass_at
    assert (at_one.value, at_one.jobs) == (pytest.approx(1 / 3, abs=1e-6), 3)


def test_quiet_shows_nothing(ticket: Ticket) -> None:
    for is_terminal in (True, False):
        on, shown = terminal(is_terminal=is_terminal)
        with show_batch(on, quiet=True) as progress:
            progress.news(Waiting("refused"), tally())
        assert shown.getvalue() == ""
