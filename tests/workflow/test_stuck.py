"""A candidate that goes in circles is told so once, its tests are not run again; then another plan has its turn."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from infrastructure.events.catalogue import EditsRejected, Noted
from infrastructure.events.catalogue import TestsRan as Ran
from infrastructure.judge import TestOutcome, TestReport
from infrastructure.sandbox import Command, Execution
from infrastructure.workflow import stuck
from infrastructure.workflow.stuck import failure_mark, gives_up, has_progressed, useless_mark
from infrastructure.workflow.values import PastTry
from tests.workflow import test_anchors
from tests.workflow.scenario import RIGHT, WRONG, Checked, Scenario, code, scripted
from tests.workflow.test_anchors import ADDS, ADDS_AND_SUBTRACTS, ALL, TRADES

TIMES = "def add(a, b):\n    return a * b\n"
UNREADABLE = "def add(a, b:\n    return a + b\n"
UNDEFINED = "def add(a, b):\n    return plus(a, b)\n"


class Showing(Checked):
    """Fails with the text of calc.py, so that another text fails in another way."""

    async def run(self, command: Command) -> Execution:
        ended = await super().run(command)
        text = await asyncio.to_thread((command.tree / "work" / "calc.py").read_text)
        return dataclasses.replace(ended, stderr=ended.stderr and text)


def told(scenario: Scenario, number: int, role: str = "coder") -> str:
    """What a role is asked, at its question of this number, from 1."""
    return scenario.source.asked(role)[number - 1].messages[-1].content


async def run(tmp_path, *answers, sandbox=None, rounds=1, repairs=9):
    source = scripted(coder=[code(each) for each in answers])
    scenario = Scenario(folder=tmp_path, source=source, sandbox=sandbox or Checked())
    return scenario, await scenario.run(repairs=repairs, rounds=rounds)


# ----------------------------------------------------------------------------------- the same edit again


async def test_repair_that_was_undone_and_is_made_again_is_not_tried_again(tmp_path, sandbox):
    scenario, end = await test_anchors.run(tmp_path, sandbox, [ADDS, TRADES, TRADES, ALL])
    assert (end["status"], end["chosen"].attempts) == ("done", 4)
    assert [event.attempt for event in scenario.of(Ran)] == [0, 1, 2, 4]
    again = (
        "it is the patch of attempt 2 again, which failed with test_wish.py::T::test_add (AssertionError: -1 != 3), "
    )
    assert again in told(scenario, 4)
    assert "The tests were not run again; do something else." in told(scenario, 4)
    assert [event.attempt for event in scenario.of(EditsRejected)] == [2, 3]
    assert len(scenario.source.asked("debugger")) == 1


async def test_candidate_that_makes_the_undone_repair_twice_more_ends_with_its_best(tmp_path, sandbox):
    scenario, end = await test_anchors.run(tmp_path, sandbox, [ADDS, TRADES, TRADES, TRADES, ALL])
    assert (end["status"], end["chosen"].attempts) == ("failed", 4)
    assert end["reason"].endswith(" A repair was a patch that had failed before.")
    (ref,) = end["files"]
    assert (await scenario.blobs.get(ref.sha)).decode() == ADDS
    assert len(scenario.of(Ran)) == 3


async def test_way_back_to_the_edit_before_is_told_and_not_tried(tmp_path):
    scenario, end = await run(tmp_path, WRONG, TIMES, WRONG, RIGHT, sandbox=Showing())
    assert (end["status"], end["chosen"].attempts, scenario.sandbox.runs) == ("done", 4, 5)
    assert "it is the patch of attempt 1 again, which failed with check-calc" in told(scenario, 4)
    assert "return a * b" in told(scenario, 4), "it is shown the files as the last try left them"


async def test_going_to_and_fro_ends_the_candidate(tmp_path):
    scenario, end = await run(tmp_path, WRONG, TIMES, WRONG, WRONG, RIGHT, sandbox=Showing())
    assert (end["status"], len(scenario.source.asked("coder")), scenario.sandbox.runs) == ("failed", 4, 3)
    assert "return a * b" in await scenario.patch(end)


async def test_changing_nothing_after_going_in_circles_ends_the_candidate_too(tmp_path):
    scenario, end = await run(tmp_path, WRONG, TIMES, WRONG, TIMES, RIGHT, sandbox=Showing())
    assert (end["status"], len(scenario.source.asked("coder")), scenario.sandbox.runs) == ("failed", 4, 3)


# -------------------------------------------------------------------------------- the same failure again


async def test_different_edits_that_fail_alike_are_told_to_who_diagnoses_and_who_writes(tmp_path):
    scenario, end = await run(tmp_path, WRONG, TIMES, RIGHT)
    assert (end["status"], end["chosen"].attempts) == ("done", 3)
    alike = "Attempts 1 and 2 are different, and the same tests fail with the same messages."
    assert alike in told(scenario, 3)
    assert alike in told(scenario, 2, "debugger")
    assert alike not in told(scenario, 2)
    assert alike not in told(scenario, 1, "debugger")
    assert [event.text for event in scenario.of(Noted) if event.text.startswith(alike)]


async def test_budget_of_a_candidate_that_always_fails_alike_goes_to_another_plan(tmp_path):
    scenario, end = await run(tmp_path, WRONG, TIMES, WRONG + "# 3\n", RIGHT, rounds=2)
    assert (end["status"], end["chosen"].number, end["round"]) == ("done", 2, 2)
    assert [(each.attempts, each.outcome) for each in end["tried"]] == [(3, "failed"), (1, "done")]
    assert end["tried"][0].reason.endswith(" Different attempts failed in the same way.")
    assert "Different attempts failed in the same way." in told(scenario, 1, "reflector")
    assert "Attempts 1" not in told(scenario, 4), "a fresh candidate starts fresh"


async def test_failures_that_differ_are_repaired_as_long_as_repairs_are_left(tmp_path):
    answers = [f"def add(a, b):\n    return {number}\n" for number in range(6)]
    _, end = await run(tmp_path, *answers, RIGHT, sandbox=Showing())
    assert (end["status"], end["chosen"].attempts) == ("done", 7)


async def test_test_more_that_passes_makes_up_for_a_circle(tmp_path, sandbox):
    answers = [ADDS, ADDS + "# 2\n", ADDS_AND_SUBTRACTS, ADDS_AND_SUBTRACTS + "# 4\n", ALL]
    _, end = await test_anchors.run(tmp_path, sandbox, answers)
    assert (end["status"], end["chosen"].attempts) == ("done", 5)


# --------------------------------------------------------------------------- of no use for the same reason


async def test_answers_that_are_useless_for_one_reason_are_told_so_and_then_not_asked_for(tmp_path):
    scenario, end = await run(tmp_path, UNREADABLE, UNREADABLE, UNREADABLE, RIGHT)
    assert (end["status"], len(scenario.source.asked("coder"))) == ("failed", 3)
    same = "Attempt 1 could not be used for the same reason. Write it in another way."
    assert same not in told(scenario, 2)
    assert same in told(scenario, 3)
    assert scenario.sandbox.runs == 1, "only the untouched snapshot was tried"


async def test_useless_answer_of_another_kind_is_no_circle(tmp_path):
    scenario, end = await run(tmp_path, UNREADABLE, UNDEFINED, UNREADABLE, RIGHT)
    assert (end["status"], end["chosen"].attempts) == ("done", 4)
    assert "Attempt 1 could not be used for the same reason." in told(scenario, 4)


async def test_name_that_seems_undefined_is_left_to_the_tests_before_the_candidate_is_ended(tmp_path):
    scenario, end = await run(tmp_path, UNDEFINED, UNDEFINED, UNDEFINED, RIGHT)
    assert [event.attempt for event in scenario.of(Ran)] == [0, 3, 4]
    assert (end["status"], end["chosen"].attempts) == ("done", 4)


async def test_answer_that_cannot_be_read_at_all_counts_as_others_do(tmp_path):
    source = scripted(coder=lambda _: "I cannot do this.")
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run(repairs=9, rounds=1)
    assert (end["status"], end["chosen"].attempts) == ("failed", 3)
    assert end["reason"].startswith("no usable answer")


# ------------------------------------------------------------------------------------------------- pure


def report(crashed: str | None = None, **says: str) -> TestReport:
    return TestReport(outcomes=dict.fromkeys(says, TestOutcome.FAILED), failures=says, crashed=crashed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("AttributeError: <T object at 0x7f12ab> has no x", "AttributeError: <T object at 0x55ffee> has no x"),
        ("TimeoutError: after 1.203 s", "TimeoutError: after 1.3 s"),
        ("SyntaxError: bad (calc.py, line 4)", "SyntaxError: bad (calc.py, line 17)"),
        ("ValueError: calc.py:3: no", "ValueError: calc.py:14: no"),
        ("FileNotFoundError: '/tmp/ab12/x'", "FileNotFoundError: '/tmp/cd34/x'"),
        (
            "calc.py:1: in add\n    assert f(x)\nE   AssertionError",
            "calc.py:9: in add\n    assert f(x)\nE   AssertionError",
        ),
    ],
)
def test_what_differs_by_chance_makes_no_other_failure(one, other):
    assert failure_mark([report(a=one)]) == failure_mark([report(a=other)]) != ""


@pytest.mark.parametrize(
    "other",
    [
        report(a="AssertionError: -1 != 4"),
        report(b="AssertionError: -1 != 3"),
        report(a="AssertionError: -1 != 3", b="AssertionError: -1 != 3"),
        report(a="KeyError: -1"),
        report(a="AssertionError: -1 != 3", crashed="it ran longer than 60 s"),
    ],
)
def test_other_tests_messages_and_values_are_another_failure(other):
    assert failure_mark([report(a="AssertionError: -1 != 3")]) != failure_mark([other]) != ""


def test_bare_assertions_are_told_apart_by_what_they_assert():
    bare = "t.py:3: in test\n    assert {}\nE   AssertionError"
    assert failure_mark([report(a=bare.format("one()"))]) != failure_mark([report(a=bare.format("two()"))])


def test_red_tests_that_say_nothing_cannot_be_compared():
    assert failure_mark([report(a=""), None]) == failure_mark([report()]) == failure_mark([]) == ""


def test_run_that_breaks_off_in_the_same_way_is_the_same_failure():
    assert failure_mark([report("killed after 60.1 s")]) == failure_mark([report("killed after 60 s")]) != ""


def test_reason_is_the_first_line_without_its_numbers():
    same = useless_mark("calc.py: line 3 is no Python\nfirst hint")
    assert same == useless_mark("calc.py:  line 14 is no Python\nanother hint")
    assert same != useless_mark("other.py: line 3 is no Python")
    assert useless_mark(" \n") == ""


def test_what_is_unknown_is_like_nothing():
    past = (PastTry(attempt=1), PastTry(attempt=2, patch="p", failure="f", passed=2), PastTry(attempt=3, useless="u"))
    assert stuck.with_patch(past, "") is stuck.with_failure(past, "") is stuck.with_slip(past, "") is None
    assert stuck.with_patch(past, "p") is stuck.with_failure(past, "f") is past[1]
    assert stuck.with_slip(past, "u") is past[2]
    assert stuck.with_failure(past, "p") is stuck.with_patch(past, "u") is None


def test_progress_is_more_tests_passing_than_ever():
    past = (PastTry(attempt=1, patch="p", passed=2), PastTry(attempt=2, patch="q", passed=1))
    assert [has_progressed(past, passed) for passed in (1, 2, 3)] == [False, False, True]
    assert not has_progressed((), 5), "the first try has nothing to be compared with"


@pytest.mark.parametrize(
    ("repeated", "unchanged", "ends"),
    [(0, 0, False), (1, 0, False), (0, 1, False), (1, 1, True), (2, 0, True), (0, 2, True)],
)
def test_once_is_told_and_twice_ends_it(repeated, unchanged, ends):
    assert gives_up(repeated, unchanged) is ends
