"""A repair may not trade one green test for another: what it broke is told, and it is undone."""

from __future__ import annotations

import pytest

from infrastructure.events.catalogue import EditsRejected
from infrastructure.events.catalogue import TestsRan as Ran
from infrastructure.judge import TestOutcome, TestReport
from infrastructure.workflow.anchors import Passing, broken_text
from tests.workflow.scenario import Scenario, code, scripted

HEAD = "import unittest\nimport calc\n\n\nclass T(unittest.TestCase):\n"
TESTS = (
    HEAD
    + "    def test_add(self):\n        self.assertEqual(calc.add(1, 2), 3)\n\n"
    + "    def test_sub(self):\n        self.assertEqual(calc.sub(3, 2), 1)\n\n"
    + "    def test_mul(self):\n        self.assertEqual(calc.mul(3, 2), 6)\n"
)
GIVEN = "def add(a, b):\n    {}\n\n\ndef sub(a, b):\n    {}\n\n\ndef mul(a, b):\n    {}\n"
NOT = "raise NotImplementedError"
STUB = GIVEN.format(NOT, NOT, NOT)
ADDS = GIVEN.format("return a + b", NOT, NOT)
ADDS_AND_SUBTRACTS = GIVEN.format("return a + b", "return a - b", NOT)
TRADES = GIVEN.format("return a - b", "return a - b", NOT)
ALL = GIVEN.format("return a + b", "return a - b", "return a * b")


async def run(tmp_path, sandbox, answers, **settings):
    outside = tmp_path / "wish" / "test_wish.py"
    outside.parent.mkdir()
    outside.write_text(TESTS)
    scenario = Scenario(
        folder=tmp_path, source=scripted(coder=[code(each) for each in answers]), sandbox=sandbox,
        files={"calc.py": STUB}, test_command="", task="Do it in calc.py",
    )  # fmt: skip
    settings = {"repairs": len(answers) - 1, "rounds": 1, "tests": (str(outside),), **settings}
    return scenario, await scenario.run(**settings)


async def test_repair_that_breaks_what_passed_is_undone_and_the_coder_told(tmp_path, sandbox):
    scenario, end = await run(tmp_path, sandbox, [ADDS, TRADES, ALL])

    assert (end["status"], end["chosen"].attempts) == ("done", 3)
    (undone,) = scenario.of(EditsRejected)
    assert undone.attempt == 2
    assert undone.reason.startswith(
        "it broke what passed before it: test_wish.py::T::test_add (AssertionError: -1 != 3)"
    )
    told = scenario.source.asked("coder")[2].messages[-1].content
    assert "test_wish.py::T::test_add" in told
    assert "keep these passing" in told
    assert ADDS in told, "it is shown the files as they were before the repair"
    assert TRADES not in told
    assert len(scenario.source.asked("debugger")) == 1, "what was broken is known: nobody is asked for it"


async def test_candidate_ends_with_its_best_attempt_and_not_with_its_last(tmp_path, sandbox):
    scenario, end = await run(tmp_path, sandbox, [ADDS, ADDS_AND_SUBTRACTS, TRADES])

    assert end["status"] == "failed"
    (ref,) = end["files"]
    assert (await scenario.blobs.get(ref.sha)).decode() == ADDS_AND_SUBTRACTS
    assert "+    return a + b" in await scenario.patch(end)
    assert end["chosen"].failing == 1
    assert end["reason"].endswith("A repair that broke what passed was undone.")
    assert [len(event.failing) for event in scenario.of(Ran)] == [3, 2, 1, 2]


async def test_repair_that_keeps_what_passed_stands_although_it_is_red_still(tmp_path, sandbox):
    scenario, end = await run(tmp_path, sandbox, [ADDS, ADDS_AND_SUBTRACTS])
    assert (end["status"], end["chosen"].failing) == ("failed", 1)
    assert not scenario.of(EditsRejected)


async def test_first_attempt_has_nothing_to_lose(tmp_path, sandbox):
    _, end = await run(tmp_path, sandbox, ["import no_such_thing\n" + STUB, ALL])
    assert end["status"] == "done"


async def test_test_written_from_the_plan_is_an_anchor_too(tmp_path, sandbox):
    scenario = Scenario(
        folder=tmp_path,
        source=scripted(
            tester=lambda _: code(TESTS, "test_of_plan.py"), coder=[code(each) for each in (ADDS, TRADES, ALL)]
        ),
        sandbox=sandbox, files={"calc.py": STUB}, test_command="", task="Do it in calc.py",
    )  # fmt: skip
    end = await scenario.run(repairs=2, rounds=1)
    assert (end["status"], end["judge"]) == ("unverified", "written")
    assert [event.attempt for event in scenario.of(EditsRejected)] == [2]


# ------------------------------------------------------------------------------------------------- pure

PASSED, FAILED, _ERROR, SKIPPED, *_ = TestOutcome


def report(**outcomes: TestOutcome) -> TestReport:
    return TestReport(outcomes=outcomes, failures=dict.fromkeys(outcomes, "ValueError: x"))


@pytest.mark.parametrize(
    ("judge", "written", "broken"),
    [
        (report(a=PASSED), report(w=PASSED), ()),
        (report(a=FAILED), report(w=PASSED), ("a",)),
        (report(a=SKIPPED), report(w=PASSED), ("a",)),
        (report(), report(w=PASSED), ("a",)),
        (report(a=PASSED, b=FAILED), report(w=FAILED), ("w",)),
        (report(a=PASSED), None, ()),
        (None, None, ()),
    ],
)
def test_anchor_is_broken_where_it_ran_and_does_not_pass(judge, written, broken) -> None:
    anchors = Passing(judge=report(a=PASSED, b=FAILED), written=report(w=PASSED)).names()
    assert anchors == {"judge": ("a",), "written": ("w",)}
    assert Passing(judge=judge, written=written).broken(anchors) == broken


def test_many_broken_anchors_are_told_in_bounds() -> None:
    many = {f"t{number}": FAILED for number in range(9)}
    said = broken_text(Passing(judge=report(**many), written=None), tuple(many))
    assert said.startswith("broke what passed before it: t0 (ValueError: x), t1")
    assert said.endswith(", and 4 more")
