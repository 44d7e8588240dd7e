"""Several candidates where only written tests can tell: real tests in the sandbox, wrong ones among them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from langgraph.types import Command

from agents.codegen import options_for
from agents.model import Question
from infrastructure.events.catalogue import ApprovalAsked, CandidatesCompared, Noted
from infrastructure.events.catalogue import TestsRan as Ran
from infrastructure.workflow.values import Outcome
from tests.workflow.scenario import Scenario, code, review, scripted

TASK = "Write median(xs) in calc.py: the middle of a list of numbers."
STUB = "def other():\n    return 1\n"
HEAD = "import unittest\nfrom calc import median\n\n\nclass T(unittest.TestCase):\n"
TEST = "    def test_{name}(self):\n        self.assertEqual(median({given}), {wanted})\n"
ODD, EVEN, UNSORTED = ("odd", "[1, 2, 3]", "2"), ("even", "[1, 2, 3, 4]", "2.5"), ("unsorted", "[3, 1, 2]", "2")
WRONG_TEST = ("wrong", "[1, 2]", "1")
RIGHT = """
# The mean of the two in the middle, where there is none.
def median(xs):
    xs = sorted(xs)
    half = len(xs) // 2
    return xs[half] if len(xs) % 2 else (xs[half - 1] + xs[half]) / 2
"""
RIGHT_TOO = "import statistics\n\n\ndef median(xs):\n    return statistics.median(xs)\n"
LOWER = "def median(xs):\n    return sorted(xs)[(len(xs) - 1) // 2]\n"
UNSORTED_CODE = "def median(xs):\n    return xs[len(xs) // 2]\n"
BROKEN = "def median(xs):\n    return no_such_name\n"
CALLS = json.dumps({"file": "calc.py", "calls": ["median([3, 1, 2])", "median([1, 2])", "median([])", "median([5])"]})


def by_variant(*answers: str) -> Callable[[Question], str]:
    """The first candidate says the first answer, and so on: in which order they are asked does not matter."""
    temperatures = [options_for(variant)["temperature"] for variant in range(len(answers))]
    return lambda question: code(answers[temperatures.index(question.options["temperature"])])


def in_rounds(first: Callable[[Question], str], second: Callable[[Question], str]) -> object:
    """Two candidates a round."""
    rounds = iter((first, first, second, second))

    def say(question: Question) -> str:
        return next(rounds)(question)

    return say


def written(*tests: tuple[str, str, str]) -> object:
    text = HEAD + "\n".join(TEST.format(name=name, given=given, wanted=wanted) for name, given, wanted in tests)
    return lambda _: code(text, "test_of_plan.py")


def scenario(tmp_path, sandbox, **roles) -> Scenario:
    return Scenario(
        folder=tmp_path, source=scripted(**roles), sandbox=sandbox, files={"calc.py": STUB}, test_command="", task=TASK
    )


async def test_right_candidates_are_taken_although_they_fail_a_wrong_test(tmp_path, sandbox):
    run = scenario(
        tmp_path, sandbox, tester=written(ODD, EVEN, UNSORTED, WRONG_TEST),
        coder=by_variant(LOWER, RIGHT, RIGHT_TOO, UNSORTED_CODE),
    )  # fmt: skip
    end = await run.run(candidates=4, rounds=1)
    assert (end["status"], end["judge"], end["chosen"].number) == ("unverified", "written", 3), "the smaller change"
    assert end["reason"].startswith("The written tests that 2 of 4 candidates agree on pass; 1 of 4 written tests were")
    (compared,) = run.of(CandidatesCompared)
    assert (compared.groups[0], len(compared.kept)) == ((3, 2), 3)
    assert compared.dropped == ("test_of_plan.py::T::test_wrong",)
    assert len(run.source.asked("coder")) == 4, "nobody is taught what a wrong test wants"
    assert run.source.asked("debugger") == []
    assert end["tried"][2].outcome is Outcome.UNVERIFIED


async def test_candidate_that_passes_no_written_test_is_repaired(tmp_path, sandbox):
    run = scenario(
        tmp_path, sandbox, tester=written(ODD, EVEN, UNSORTED),
        coder=by_variant(RIGHT_TOO, BROKEN),
    )  # fmt: skip
    end = await run.run(candidates=2, rounds=1)
    assert [each.attempts for each in end["tried"]] == [1, 2], "a repair is asked as the first candidate is"
    assert end["status"] == "unverified"


STATED = "Write median(xs) in calc.py: the middle of a list of numbers, as median([1, 2]) == 1.5 and median([7]) == 7."


async def test_example_that_the_task_states_outweighs_those_that_agree_on_written_tests(tmp_path, sandbox):
    coder = by_variant(LOWER, "# as before\n" + LOWER, RIGHT)
    run = scenario(tmp_path, sandbox, tester=written(ODD, UNSORTED, WRONG_TEST), coder=coder)
    without = await run.run(candidates=3, rounds=1, repairs=0)
    assert without["chosen"].number == 1
    run = scenario(tmp_path / "stated", sandbox, tester=written(ODD, UNSORTED, WRONG_TEST), coder=coder)
    end = await replace(run, task=STATED).run(candidates=3, rounds=1, repairs=0)
    assert (end["status"], end["chosen"].number) == ("unverified", 3)
    (compared,) = run.of(CandidatesCompared)
    assert compared.dropped == ("test_of_plan.py::T::test_wrong",)
    assert [test for test in compared.kept if "examples_of_the_task" in test] == [
        "test_examples_of_the_task.py::Planned::test_median_1",
        "test_examples_of_the_task.py::Planned::test_median_2",
    ]


async def test_candidate_that_fails_an_example_of_the_task_is_repaired(tmp_path, sandbox):
    answers = iter((LOWER, RIGHT_TOO))
    run = scenario(tmp_path, sandbox, coder=lambda _: code(next(answers)))
    end = await replace(run, task=STATED).run(candidates=1, rounds=1, repairs=1)
    assert (end["status"], end["judge"], end["tried"][0].attempts) == ("unverified", "written", 2)


async def test_right_patch_is_not_failed_by_what_the_code_did_before(tmp_path, sandbox):
    """A report of a bug, and a docstring that was wrong all along."""
    stub = LOWER.replace("xs):", 'xs):\n    """\n    >>> median([5])\n    6\n    """')
    run = scenario(tmp_path, sandbox, tester=lambda _: "no tests", coder=lambda _: code(RIGHT))
    for task in ("median([1, 2]) gives 1", "In calc.py median([1, 2]) == 1 and median([1, 4]) == 2.5"):
        here = replace(run, task=task, folder=tmp_path / str(len(task)), files={"calc.py": stub})
        end = await here.run(candidates=1, rounds=1, repairs=0)
        assert end["status"] == "unverified", end["reason"]
        assert end["judge"] == ("written" if "2.5" in task else "none")


async def test_right_patch_is_not_failed_where_its_module_cannot_be_loaded(tmp_path, sandbox):
    stub = "MOST = int(input())\n" + LOWER
    run = scenario(
        tmp_path, sandbox, tester=lambda _: "no tests", coder=lambda _: code("MOST = int(input())\n" + RIGHT)
    )
    run = replace(run, task="Mend median in calc.py: median([1, 2]) == 1.5", files={"calc.py": stub})
    end = await run.run(candidates=1, rounds=1, repairs=0)
    assert (end["status"], end["judge"]) == ("unverified", "none"), end["reason"]


async def test_single_candidate_is_judged_and_repaired_as_before(tmp_path, sandbox):
    run = scenario(tmp_path, sandbox, tester=written(ODD, WRONG_TEST), coder=lambda _: code(RIGHT))
    end = await run.run(candidates=1, rounds=1, repairs=1)
    assert (end["status"], end["reason"].partition(".")[0]) == ("failed", "1 of the written tests do not pass")
    assert run.of(CandidatesCompared) == []


async def test_candidates_that_agree_on_nothing_are_failed_and_planned_anew(tmp_path, sandbox):
    run = scenario(
        tmp_path, sandbox, tester=written(ODD, EVEN, UNSORTED), coder=lambda _: code(BROKEN),
    )  # fmt: skip
    end = await run.run(candidates=2, rounds=2, repairs=0)
    assert (end["status"], end["round"]) == ("failed", 2)
    assert end["reason"].startswith("No written test passes for any of 2 candidates")


# ---------------------------------------------------------------------------------- what they do on common inputs


async def test_without_tests_those_that_do_the_same_are_taken(tmp_path, sandbox):
    run = scenario(tmp_path, sandbox, examiner=lambda _: CALLS, coder=by_variant(LOWER, RIGHT, RIGHT_TOO))
    end = await run.run(candidates=3, rounds=1)
    assert (end["status"], end["judge"], end["chosen"].number) == ("unverified", "none", 3)
    assert end["reason"].endswith("2 of 3 candidates give the same for 4 inputs."), "for [] both raise something"
    (compared,) = run.of(CandidatesCompared)
    assert compared.inputs == 4


async def test_outputs_part_what_tests_cannot_tell_apart(tmp_path, sandbox):
    calls = json.dumps({"file": "calc.py", "calls": ["median([3, 1, 2])", "median([1, 2])", "median([5])"]})
    run = scenario(
        tmp_path, sandbox, tester=written(ODD), examiner=lambda _: calls,
        coder=by_variant(UNSORTED_CODE, RIGHT, RIGHT_TOO),
    )  # fmt: skip
    end = await run.run(candidates=3, rounds=1)
    assert end["chosen"].number == 3
    assert end["reason"] == (
        "The written tests that 2 of 3 candidates agree on pass; 2 of 3 candidates give the same for 3 inputs."
    )
    (compared,) = run.of(CandidatesCompared)
    assert (compared.groups, compared.telling[0]) == (((3, 2), (1,)), "median([1, 2])")
    assert [each.outcome for each in end["tried"]] == ["lost", "lost", "unverified"]
    question = run.source.asked("examiner")[0].messages[1].content
    assert "statistics" not in question, "it never sees the candidates"


async def test_what_cannot_be_tried_is_said_and_the_smallest_change_is_taken(tmp_path, sandbox):
    calls = json.dumps({"file": "no/such.py", "calls": ["median([1])"]})
    run = scenario(tmp_path, sandbox, examiner=lambda _: calls, coder=by_variant(RIGHT, LOWER))
    end = await run.run(candidates=2, rounds=1)
    assert (end["status"], end["chosen"].number) == ("unverified", 2)
    assert any("none gives a value for any call in no/such.py" in note.text for note in run.of(Noted))


# -------------------------------------------------------------------------------------------------- one question


def asking(tmp_path, sandbox, **roles) -> Scenario:
    calls = json.dumps({"file": "calc.py", "calls": ["median([1])", "median([1, 2])"]})
    run = scenario(tmp_path, sandbox, **{"examiner": lambda _: calls, "coder": by_variant(RIGHT, LOWER), **roles})
    run.may_ask = True
    run.__post_init__()
    return run


async def test_person_is_asked_one_question_and_the_answer_decides(tmp_path, sandbox):
    run = asking(tmp_path, sandbox)
    await run.run(candidates=2, rounds=1)
    (asked,) = run.of(ApprovalAsked)
    assert (asked.approval, asked.gate) == ("behaviour:1", "behaviour")
    assert asked.question == "The candidates are split. What should median([1, 2]) give?"
    assert set(asked.answers) == {"1", "1.5"}
    end = await run.run(Command(resume={"approved": True, "reason": "1.5"}))
    assert (end["status"], end["judge"], end["chosen"].number) == ("unverified", "written", 1)
    assert end["reason"].startswith("A person said what median([1, 2]) gives, and this gives it; ")
    test = (await run.blobs.get(end["ruling"].test.sha)).decode()
    assert "self.assertEqual(median([1, 2]), 1.5)" in test
    assert "test_answered" not in await run.patch(end)


async def test_answer_that_no_candidate_gives_is_a_test_of_the_next_round(tmp_path, sandbox):
    run = asking(
        tmp_path, sandbox,
        coder=in_rounds(by_variant(LOWER, UNSORTED_CODE), by_variant(RIGHT, RIGHT_TOO)),
        examiner=lambda _: json.dumps({"file": "calc.py", "calls": ["median([1])", "median([2, 1, 4, 3])"]}),
        reviewer=lambda _: review(),
    )  # fmt: skip
    await run.run(candidates=2, rounds=2)
    assert set(run.of(ApprovalAsked)[0].answers) == {"2", "4"}
    end = await run.run(Command(resume={"approved": False, "reason": "2.5"}))
    assert (end["status"], end["round"]) == ("unverified", 2)
    said = "A person said: median([2, 1, 4, 3]) should give 2.5; no candidate does that."
    assert said in [each.reason for each in end["tried"]]
    assert len([event for event in run.of(Ran) if event.suite == "written"]) == 3, "the answer's test, before and after"
    assert len(run.of(ApprovalAsked)) == 2, "asked once: told again when the answer came"


async def test_nobody_is_asked_where_nobody_may_be_and_the_reason_says_that_it_was_split(tmp_path, sandbox):
    run = asking(tmp_path, sandbox)
    run.may_ask = False
    run.__post_init__()
    end = await run.run(candidates=2, rounds=1)
    assert run.of(ApprovalAsked) == []
    assert (end["status"], end["chosen"].number) == ("unverified", 2)
    assert "it was split: candidate 1 would do too" in end["reason"]
