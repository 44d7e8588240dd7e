"""Who takes part in comparing, by which tests, and how the one that is taken ends: tables, no sandbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infrastructure.judge.agreement import STATED
from infrastructure.judge.probing import Output, dump_outputs
from infrastructure.judge.reports import TestOutcome as Ended
from infrastructure.judge.reports import TestReport as Report
from infrastructure.judge.reports import dump_report
from infrastructure.judge.verdict import Verdict, left_to_comparing
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.workflow.comparing import (
    Comparison,
    compare,
    demoted,
    is_decided,
    settle,
    to_compare,
    written_tests,
)
from infrastructure.workflow.nodes.choose import in_the_running, looks_at
from infrastructure.workflow.stated import EXAMPLES_TEST, known_shares
from infrastructure.workflow.values import Candidate, Examined, FileRef, Observed, Outcome, Ruling, Written

IDS = "abcdefg"


def report(passed: str, failed: str = "") -> Report:
    return Report(
        outcomes={f"t.py::{name}": Ended.PASSED for name in passed} | {f"t.py::{name}": Ended.FAILED for name in failed}
    )


def ended(number: int, outcome: str, judge: str = "written", *, report: str = "r", failing: int = 0) -> Candidate:
    return Candidate(number, 1, Outcome(outcome), "So.", 1, failing=failing, judge=judge, written_report=report)


async def rows(blobs: MemoryBlobs, *passed: str) -> list[Candidate]:
    """A candidate for each text of the tests that it passes."""
    found: list[Candidate] = []
    for number, each in enumerate(passed, 1):
        sha = await blobs.put(dump_report(report(each, "".join(set(IDS) - set(each)))))
        found.append(ended(number, "unverified" if set(each) == set(IDS) else "failed", report=sha))
    return found


async def before(blobs: MemoryBlobs, green: str = "") -> Written:
    sha = await blobs.put(dump_report(report(green, "".join(set(IDS) - set(green)))))
    return Written(round=1, files=(), plan="", report=sha)


@pytest.mark.parametrize(
    ("candidates", "with_tests", "numbers"),
    [
        ([ended(1, "failed"), ended(2, "unverified")], True, [1, 2]),
        ([ended(1, "failed", "given"), ended(2, "failed")], True, [2]),
        ([ended(1, "done", "given"), ended(2, "failed")], True, []),
        ([ended(1, "lost", "none", report=""), ended(2, "failed", report="")], True, []),
        ([ended(1, "unverified", "none"), ended(2, "unverified", "found"), ended(3, "failed")], False, [1, 2]),
        ([ended(1, "unverified", failing=2), ended(2, "unverified", failing=1)], False, [2]),
        ([ended(1, "failed"), ended(2, "lost", "none", report="")], False, [1]),
        ([ended(1, "failed", "given"), ended(2, "failed", report="")], False, []),
    ],
)
def test_whom_no_test_of_the_judge_speaks_for_or_against_takes_part(candidates, with_tests, numbers):
    assert [each.number for each in to_compare(candidates, with_tests=with_tests)] == numbers


def test_files_and_classes_that_fail_as_a_whole_are_no_tests():
    whole = Report(outcomes={"t.py": Ended.ERROR, "t.py::T": Ended.ERROR, "t.py::skipped": Ended.SKIPPED})
    single = Report(outcomes={"t.py::T::test_a": Ended.PASSED, "t.py::test_b": Ended.FAILED})
    assert written_tests({1: whole, 2: single}) == ("t.py::T::test_a", "t.py::test_b")


@pytest.mark.parametrize(
    ("verdict", "passed", "repairable"),
    [
        (Verdict(status="failed", judge="written", reason="2 red."), "a", False),
        (Verdict(status="failed", judge="written", reason="3 red."), "", True),
        (Verdict(status="failed", judge="given", reason="Broken."), "a", True),
        (Verdict(status="unverified", judge="written", reason="Green."), "a", True),
    ],
)
def test_only_what_passes_some_written_tests_is_left_to_comparing(verdict, passed, repairable):
    left = left_to_comparing(verdict, report(passed, "z"))
    assert left.repairable is repairable
    assert left.status == verdict.status


def test_what_fails_a_test_that_is_believed_is_repaired():
    verdict = Verdict(status="failed", judge="written", reason="2 red.")
    assert left_to_comparing(verdict, report("a", "z"), believed=["t.py::z"]).repairable
    assert not left_to_comparing(verdict, report("a", "z"), believed=["t.py::a"]).repairable


def test_example_that_was_green_before_is_believed_no_more_than_a_written_test():
    red, green, other = (f"{file}::Stated::{name}" for file, name in ((EXAMPLES_TEST, "a"), (EXAMPLES_TEST, "b"), "cd"))
    before = Report(outcomes={red: Ended.FAILED, green: Ended.PASSED, other: Ended.FAILED})
    assert known_shares([red, green, other], before) == {red: STATED}
    documented = f"{EXAMPLES_TEST}::Documented::a"
    assert known_shares([red, documented], before) == {red: STATED}
    assert known_shares([red, green, other], None) == {red: STATED, green: STATED}


async def test_those_that_agree_are_taken_and_others_that_were_good_lose():
    blobs = MemoryBlobs()
    candidates = await rows(blobs, "abcde", "abcde", "abcdefg", "abcde")
    found = await compare(blobs, candidates, written=await before(blobs))
    assert found is not None
    taken = settle(found)
    assert (taken.number, taken.outcome, taken.judge) == (1, Outcome.UNVERIFIED, "written")
    assert taken.reason == (
        "The written tests that 3 of 4 candidates agree on pass; 2 of 7 written tests were left out as probably wrong."
    )
    assert [(each.number, each.outcome) for each in demoted(found, taken)] == [(3, Outcome.LOST)]


async def test_agreement_on_tests_that_were_green_before_proves_nothing():
    blobs = MemoryBlobs()
    candidates = await rows(blobs, "abc", "abc", "abc")
    found = await compare(blobs, candidates, written=await before(blobs, "abc"))
    assert found is not None
    assert settle(found).outcome is Outcome.FAILED


async def test_of_those_compared_only_the_one_that_was_taken_can_be_the_best_also_where_all_failed():
    blobs = MemoryBlobs()
    candidates = await rows(blobs, "ab", "ab", "cdefg")
    candidates = [replace(each, failing=5 if each.number < 3 else 2) for each in candidates]
    earlier = replace(ended(9, "failed", "given", report=""), round=0, failing=9)
    found = await compare(blobs, candidates, written=await before(blobs, "abcdefg"))
    assert found is not None
    taken = settle(found)
    assert taken.outcome is Outcome.FAILED
    left = in_the_running((*candidates, earlier), found, (taken,))
    assert [each.number for each in left] == [taken.number, 9]
    assert in_the_running(candidates, None, ()) == tuple(candidates)


async def test_answer_of_a_person_counts_before_all_tests():
    blobs = MemoryBlobs()
    candidates = await rows(blobs, "abcdefg", "abcdefg", "a")
    examined = Examined(1, "f.py", ("f(1)",), await observed(blobs, "0", "0", "2"))
    for answer, number in (("2", 3), ("0", 1)):
        ruling = Ruling(1, "f.py", "f(1)", answer)
        found = await compare(blobs, candidates, written=await before(blobs), examined=examined, ruling=ruling)
        assert found is not None
        assert (settle(found).number, settle(found).outcome) == (number, Outcome.UNVERIFIED)
    for answer, words in (("7", "f(1) should give 7"), ("", "what f(1) gives is wrong")):
        ruling = Ruling(1, "f.py", "f(1)", answer)
        found = await compare(blobs, candidates, written=await before(blobs), examined=examined, ruling=ruling)
        assert found is not None
        assert settle(found).reason == f"A person said: {words}; no candidate does that."
        assert settle(found).outcome is Outcome.FAILED


async def test_test_of_an_earlier_answer_outweighs_the_written_ones():
    blobs = MemoryBlobs()
    candidates = await rows(blobs, "abcdef", "abcdef", "ag")
    said = Report(outcomes={"answer.py::T::t": Ended.PASSED})
    third = Report(outcomes={**report("ag", "bcdef").outcomes, **said.outcomes})
    others = Report(outcomes={**report("abcdef", "g").outcomes, "answer.py::T::t": Ended.FAILED})
    shas = [await blobs.put(dump_report(each)) for each in (others, others, third)]
    candidates = [ended(number, "failed", report=sha) for number, sha in enumerate(shas, 1)]
    ruling = Ruling(0, "f.py", "f(1)", "2", FileRef("answer.py", "x"))
    found = await compare(blobs, candidates, written=await before(blobs), ruling=ruling)
    assert found is not None
    assert settle(found).number == 3


async def test_tests_that_could_be_loaded_with_no_candidate_are_made_up_for_by_two_that_do_the_same():
    blobs = MemoryBlobs()
    unloaded = await blobs.put(dump_report(Report(outcomes={"t.py": Ended.ERROR})))
    candidates = [ended(number, "failed", report=unloaded) for number in (1, 2, 3)]
    apart, alike = await observed(blobs, "0", "1", "2"), await observed(blobs, "0", "1", "1")
    found = await compare(blobs, candidates, examined=Examined(1, "f.py", ("f(1)",), alike))
    assert found is not None
    taken = settle(found)
    assert (taken.number, taken.outcome, taken.judge) == (2, Outcome.UNVERIFIED, "none")
    assert taken.reason.startswith(
        "No written test could be loaded with any candidate. 2 of 3 candidates give the same"
    )
    found = await compare(blobs, candidates, examined=Examined(1, "f.py", ("f(1)",), apart))
    assert found is not None
    assert settle(found) == candidates[0]


async def test_enough_that_agree_on_tests_that_show_the_change_are_decided():
    blobs = MemoryBlobs()
    written = await before(blobs)
    many = await rows(blobs, *["abcdef"] * 5, "a")
    assert await is_decided(blobs, many, written)
    assert not await is_decided(blobs, many[:1], written)
    assert not await is_decided(blobs, many, await before(blobs, "abcdefg")), "they were green before"
    assert not await is_decided(blobs, [ended(1, "failed", "given", report="")], written)


# ---------------------------------------------------------------------------------------------- looking again


async def observed(blobs: MemoryBlobs, *shown: str) -> tuple[Observed, ...]:
    return tuple(
        [
            Observed(number, await blobs.put(dump_outputs([Output(each, each, gave=not each.startswith("raises"))])))
            for number, each in enumerate(shown, 1)
        ]
    )


async def split(shown: tuple[str, ...] | None) -> Comparison:
    blobs = MemoryBlobs()
    candidates = [ended(number, "unverified", "none", report="") for number in (1, 2)]
    examined = None if shown is None else Examined(1, "f.py", ("f(1)",), await observed(blobs, *shown))
    found = await compare(blobs, candidates, examined=examined)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("shown", "state", "may_ask", "look"),
    [
        (None, {}, True, "examiner"),
        (("0", "1"), {}, True, "ask_which"),
        (("0", "1"), {}, False, ""),
        (("0", "1"), {"ruling": Ruling(1, "f.py", "f(1)", "0")}, True, ""),
        (("0", "0"), {}, True, ""),
        (("0", "raises E"), {}, True, ""),
        ((), {}, True, ""),
    ],
)
async def test_doubt_is_looked_into_by_inputs_then_by_one_question(shown, state, may_ask, look):
    assert looks_at(await split(shown), {"task": "t", **state}, may_ask=may_ask) == look


async def test_person_is_shown_each_answer_once_the_likeliest_first():
    blobs = MemoryBlobs()
    candidates = [ended(number, "unverified", "none", report="") for number in (1, 2, 3)]
    examined = Examined(1, "f.py", ("f(1)",), await observed(blobs, "0", "1", "1"))
    found = await compare(blobs, candidates, examined=examined)
    assert found is not None
    assert (found.telling, found.answers("f(1)")) == (("f(1)",), ("1", "0"))
