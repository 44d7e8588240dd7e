"""How a run ends, by what the roles say: the graph over scripted models and a decided test command."""

from __future__ import annotations

import pytest
from langgraph.types import Command

from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import BudgetSpent, CandidateEnded, EditsRejected, Noted, PatchDelivered
from tests.workflow.scenario import (
    CHECK,
    RIGHT,
    STUB,
    WRONG,
    Moment,
    Scenario,
    code,
    intent,
    plan,
    review,
    scripted,
)


def steps(scenario: Scenario) -> list[str]:
    return [event.node for event in scenario.events if event.kind == "node.started"]


async def test_right_answer_is_done_at_once(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted())
    end = await scenario.run()
    assert (end["status"], end["judge"], end["reason"]) == ("done", "given", f"{CHECK} was red and passes now.")
    assert "+    return a + b" in await scenario.patch(end)
    assert [ref.path for ref in end["files"]] == ["calc.py"]
    assert end["chosen"].attempts == 1
    assert steps(scenario) == [
        "take_snapshot", "intent", "run_baseline", "researcher", "planner", "tester",
        "coder", "write", "apply", "run_tests", "choose", "reviewer", "deliver",
    ]  # fmt: skip
    assert (scenario.folder / "repo" / "calc.py").read_text() == STUB, "the user's tree is not touched"
    assert [path.name for path in (tmp_path / "trees").glob("candidate*")] == [], "throw-away trees are gone"


async def test_red_answer_is_repaired_with_the_diagnosis_and_the_failing_tests(tmp_path):
    source = scripted(coder=[code(WRONG), code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts, end["round"]) == ("done", 2, 1)
    repair = source.asked("coder")[1].messages[1].content
    assert "It subtracts." in repair
    assert "calc.py does not add" in repair
    assert "return a - b" in repair


async def test_two_repairs_then_a_new_plan_that_knows_the_lesson(tmp_path):
    source = scripted(coder=[code(WRONG), code(WRONG + "# 2\n"), code(WRONG + "# 3\n"), code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["round"], end["chosen"].number, end["chosen"].attempts) == ("done", 2, 2, 1)
    assert [(each.number, each.round, each.outcome, each.attempts) for each in end["tried"]] == [
        (1, 1, "failed", 3),
        (2, 2, "done", 1),
    ]
    assert "Subtracting was wrong." in source.asked("planner")[1].messages[1].content
    assert "return a - b" not in source.asked("coder")[3].messages[1].content, "a fresh candidate starts fresh"


async def test_all_rounds_red_is_failed_and_the_last_patch_is_kept(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(WRONG)))
    end = await scenario.run(repairs=1, rounds=2)
    assert end["status"] == "failed"
    assert end["reason"] == "None of the given tests passes. A repair changed nothing."
    assert [(each.number, each.attempts) for each in end["tried"]] == [(1, 2), (2, 2)]
    assert "return a - b" in await scenario.patch(end)
    assert len(scenario.source.asked("reflector")) == 1


@pytest.mark.parametrize(("repairs", "rounds", "asked"), [(0, 1, 1), (2, 1, 3), (0, 3, 3), (1, 2, 4)])
async def test_repairs_and_rounds_bound_how_often_the_coder_is_asked(tmp_path, repairs, rounds, asked):
    source = scripted(coder=lambda _: code(WRONG))
    await Scenario(folder=tmp_path, source=source).run(repairs=repairs, rounds=rounds)
    assert len(source.asked("coder")) == asked


async def test_question_is_answered_and_nothing_is_built(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(intent=[intent("question")]), task="What does calc.py do?")
    end = await scenario.run()
    assert (end["status"], end["judge"], end["answer"]) == ("done", "none", "It adds two numbers.")
    assert steps(scenario) == ["take_snapshot", "intent", "responder"]
    assert "raise NotImplementedError" in scenario.source.asked("responder")[0].messages[1].content


async def test_question_that_gets_an_empty_answer_is_failed(tmp_path):
    source = scripted(intent=[intent("question")], responder=lambda _: " \n")
    end = await Scenario(folder=tmp_path, source=source, task="Why?").run()
    assert end["status"] == "failed"
    assert end["reason"].startswith("no usable answer")


async def test_reviewer_that_objects_opens_one_more_round_and_its_result_is_preferred(tmp_path):
    source = scripted(
        coder=[code(RIGHT), code(RIGHT + "# documented\n")],
        reviewer=[review("calc.py: add has no comment"), review("still not nice")],
    )
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].number, end["round"]) == ("done", 2, 2)
    assert "# documented" in await scenario.patch(end)
    assert "add has no comment" in source.asked("reflector")[0].messages[1].content
    assert len(source.asked("reviewer")) == 1, "an objection is heard once"


async def test_objection_is_no_reason_to_lose_a_patch_that_passed(tmp_path):
    source = scripted(coder=[code(RIGHT), code(WRONG)], reviewer=[review("not nice")])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run(repairs=0)
    assert (end["status"], end["chosen"].number) == ("done", 1)


async def test_objection_in_the_last_round_is_told_and_the_patch_delivered(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(reviewer=[review("not nice")]))
    end = await scenario.run(rounds=1)
    assert (end["status"], end["review"].objections) == ("done", ["not nice"])


async def test_patch_that_turns_a_passing_test_red_is_failed(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(WRONG)), files={"calc.py": RIGHT})
    end = await scenario.run(repairs=0, rounds=1)
    assert (end["status"], end["reason"]) == ("failed", f"{CHECK} passed before and does not now.")


async def test_answer_that_changes_nothing_is_told_so_once_and_never_tried(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(RIGHT)), files={"calc.py": RIGHT})
    end = await scenario.run(repairs=5, rounds=1)
    assert (end["status"], end["patch"], len(end["files"])) == ("failed", "", 0)
    assert end["reason"] == "The answer changed nothing."
    first, second = scenario.source.asked("coder")
    assert "it changes nothing: every file is as it was" not in first.messages[1].content
    assert "it changes nothing: every file is as it was" in second.messages[1].content
    assert scenario.sandbox.runs == 1, "only the untouched snapshot was tried"
    assert [event.reason for event in scenario.of(EditsRejected)] == ["it changed nothing: every file is as it was"] * 2
    assert not scenario.source.asked("debugger"), "there is no new red test to diagnose"


async def test_answer_that_changes_something_after_one_that_did_not_is_tried_as_ever(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=[code(STUB), code(RIGHT)]))
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)


async def test_repair_that_changes_nothing_is_shown_the_red_tests_again_and_they_are_not_run_again(tmp_path):
    source = scripted(coder=[code(WRONG), code(WRONG), code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 3)
    again = source.asked("coder")[2].messages[1].content
    for said in ("every file is as the last try left it", "It subtracts.", "calc.py does not add", "return a - b"):
        assert said in again
    assert len(source.asked("debugger")) == 1
    assert scenario.sandbox.runs == 4, (
        "the snapshot, the first try, the third, and the snapshot again before it is done"
    )


async def test_repairs_that_change_nothing_twice_end_the_candidate_as_the_tests_left_it(tmp_path):
    source = scripted(coder=lambda _: code(WRONG))
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run(repairs=9, rounds=1)
    assert (end["status"], len(source.asked("coder"))) == ("failed", 3)
    assert end["reason"] == "None of the given tests passes. A repair changed nothing."
    assert end["chosen"].failing == 1
    assert "return a - b" in await scenario.patch(end)


async def test_repair_that_puts_everything_back_changes_nothing_and_keeps_the_try_before(tmp_path):
    source = scripted(coder=[code(WRONG), code(STUB), code(STUB)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run(repairs=9, rounds=1)
    assert "puts every file back as it was before the task" in source.asked("coder")[2].messages[1].content
    assert "return a - b" in await scenario.patch(end)
    assert scenario.sandbox.runs == 2


async def test_tests_green_before_and_after_are_unverified(tmp_path):
    source = scripted(coder=lambda _: code(RIGHT + "# more\n"))
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": RIGHT})
    end = await scenario.run()
    assert (end["status"], end["judge"]) == ("unverified", "given")
    assert end["reason"] == "No test broke, and none shows the change."


async def test_without_any_test_the_result_is_unverified_and_the_run_says_so(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(), test_command="")
    end = await scenario.run()
    assert (end["status"], end["judge"]) == ("unverified", "none")
    assert any("no tests were given or found" in note.text for note in scenario.of(Noted))


# ------------------------------------------------------------------------------------------ budget

CALLS = ["intent", "planner", "tester", "tester", "coder", "debugger", "coder", "reviewer"]
"""Who is asked in a run that is repaired once; the tester is asked again, since its answer is unusable."""


@pytest.mark.parametrize("calls", range(1, len(CALLS)))
async def test_budget_of_calls_ends_the_run_wherever_it_is_spent(tmp_path, calls):
    source = scripted(coder=[code(WRONG), code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(calls=calls))
    end = await scenario.run()
    assert [role for role, _ in source.calls] == CALLS[:calls]
    spent = scenario.of(BudgetSpent)
    assert [(event.budget, event.limit) for event in spent] == [("calls", calls)]
    if calls == len(CALLS) - 1:
        assert end["status"] == "done", "what passed is good although the budget did not suffice for a review"
    else:
        assert end["status"] == "budget"
        assert end["reason"].startswith("the budget of calls is spent")
    written = "coder" in CALLS[:calls]
    assert bool(end["patch"]) is written, "the best so far is kept"


async def test_answer_that_was_paid_for_is_still_tried_when_the_budget_ends_with_it(tmp_path):
    source = scripted()
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(calls=5))
    end = await scenario.run()
    assert (end["status"], [role for role, _ in source.calls][-1]) == ("done", "coder")


async def test_budget_of_tokens_is_counted_over_prompt_and_answer(tmp_path):
    source = scripted(coder=lambda _: code(WRONG))
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(tokens=1500))
    end = await scenario.run()
    assert end["status"] == "budget"
    assert "tokens" in end["reason"]
    assert scenario.scope.budget.tokens >= 1500


async def test_budget_of_seconds_is_checked_before_each_call(tmp_path):
    clock = Moment()

    def slow(_):
        clock.now += 100
        return code(WRONG)

    scenario = Scenario(folder=tmp_path, source=scripted(coder=slow), clock=clock, budget=BudgetSettings(seconds=150))
    end = await scenario.run()
    assert end["status"] == "budget"
    assert "seconds" in end["reason"]
    assert end["chosen"].attempts == 2, "the second answer came late, and was tried"


async def test_question_whose_budget_is_spent_ends_as_budget(tmp_path):
    source = scripted(intent=[intent("question")])
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(calls=1))
    end = await scenario.run()
    assert (end["status"], end["patch"]) == ("budget", "")


async def test_spent_budget_does_not_open_a_gate(tmp_path):
    """The budget is gone before the review, and the patch still waits for a person."""
    scenario = Scenario(folder=tmp_path, source=scripted(), budget=BudgetSettings(calls=5))
    values = await scenario.run(approve=("patch",))
    assert "status" not in values
    end = await scenario.run(Command(resume={"approved": False}))
    assert (end["status"], bool(end["patch"])) == ("cancelled", True)


# ------------------------------------------------------------------------------------------- gates


async def test_gates_that_nobody_asked_for_are_not_there(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted())
    await scenario.run()
    assert not {"approve_plan", "approve_patch"} & set(steps(scenario))


@pytest.mark.parametrize(("approved", "status"), [(True, "done"), (False, "cancelled")])
async def test_plan_waits_for_a_person(tmp_path, approved, status):
    scenario = Scenario(folder=tmp_path, source=scripted())
    await scenario.run(approve=("plan",))
    assert steps(scenario)[-1] == "approve_plan"
    assert scenario.kinds()[-2:] == ["approval.asked", "node.waiting"]
    end = await scenario.run(Command(resume={"approved": approved}))
    assert end["status"] == status
    assert end.get("patch", "") != "" or not approved
    if not approved:
        assert end["reason"] == "the plan was turned down"


@pytest.mark.parametrize(("approved", "status"), [(True, "done"), (False, "cancelled")])
async def test_patch_waits_for_a_person_and_is_kept_whatever_they_say(tmp_path, approved, status):
    scenario = Scenario(folder=tmp_path, source=scripted())
    await scenario.run(approve=("patch",))
    asked = scenario.events[-2]
    assert (asked.kind, asked.approval, asked.gate) == ("approval.asked", "patch:1", "patch")
    assert "+    return a + b" in asked.question
    end = await scenario.run(Command(resume={"approved": approved, "reason": "so"}))
    assert end["status"] == status
    assert "+    return a + b" in await scenario.patch(end)


async def test_patch_that_failed_is_not_put_before_a_person(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(WRONG)))
    end = await scenario.run(approve=("patch",), repairs=0, rounds=1)
    assert end["status"] == "failed"


# ---------------------------------------------------------------------------------- useless answers

USELESS = {
    "prose": "Sure! It depends.",
    "nothing": "",
    "half a fence": "File: `calc.py`\n```python\ndef add(a, b):\n    return",
    "an endless line": "and so on " * 20_000,
    "a path outside": code("root::0:0\n", "../../etc/passwd"),
    "an absolute path": code("root::0:0\n", "/etc/passwd"),
    "git's own folder": code("[core]\n\tfsmonitor = sh\n", ".git/config"),
    "a place that is not there": (
        "File: `calc.py`\n```\n<<<<<<< SEARCH\nnothing like it at all\n=======\nx = 1\n>>>>>>> REPLACE\n```\n"
    ),
    "no Python": code("def add(a, b:\n    return a + b\n"),
    "half a character": code("x = '\ud800'\n"),
}


@pytest.mark.parametrize("answer", USELESS.values(), ids=USELESS)
async def test_useless_answer_of_the_coder_ends_as_failed_with_a_reason(tmp_path, answer):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: answer))
    end = await scenario.run(repairs=1, rounds=1)
    assert end["status"] == "failed"
    assert end["reason"]
    assert end["patch"] == ""
    assert [each.attempts for each in end["tried"]] == [2]
    assert len(scenario.of(EditsRejected)) == 2
    assert all(event.reason for event in scenario.of(EditsRejected))
    assert not scenario.of(PatchDelivered)
    assert not (tmp_path / "etc").exists()


async def test_rejected_answer_is_asked_for_again_with_the_reason(tmp_path):
    source = scripted(coder=[USELESS["a place that is not there"], code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert "could not be used" in source.asked("coder")[1].messages[1].content
    assert not source.asked("debugger"), "there are no red tests to diagnose"


CONTROL = ["intent", "researcher", "planner", "tester", "debugger", "reviewer", "reflector"]
GARBAGE = {
    "prose": "I think so.",
    "nothing": "",
    "another object": '{"foo": [1, 2]}',
    "a list": "[1, 2, 3]",
    "half an object": '{"summary": "It',
    "wrong types": '{"summary": 7, "kind": [], "files": 3, "steps": {}, "verdict": "maybe", "cause": null, "fix": 1}',
    "deep": "[" * 5000,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_from_every_control_role_still_lets_the_run_finish(tmp_path, garbage):
    source = scripted(
        **{role: lambda _: garbage for role in CONTROL},
        coder=[code(WRONG), code(WRONG), code(RIGHT)],
    )
    files = {"calc.py": STUB, "one.py": "", "two.py": "", "three.py": "", "four.py": ""}
    scenario = Scenario(folder=tmp_path, source=source, files=files)
    end = await scenario.run(repairs=1)
    assert (end["status"], end["round"]) == ("done", 2)
    for role in CONTROL:
        assert source.asked(role), role
        said = {"intent": "intent", "researcher": "choice of files", "planner": "plan", "tester": "no tests",
                "debugger": "diagnosis", "reviewer": "review", "reflector": "lesson"}[role]  # fmt: skip
        assert any(said in note.text for note in scenario.of(Noted)), role


async def test_files_that_the_plan_invents_are_no_trouble(tmp_path):
    source = scripted(planner=[plan("nowhere.py", "../outside.py", "calc.py")])
    end = await Scenario(folder=tmp_path, source=source).run()
    assert end["status"] == "done"


async def test_tests_that_judge_the_run_cannot_be_changed_by_it(tmp_path):
    cheat = code("print('fine')\n", "test_calc.py") + code(WRONG)
    scenario = Scenario(
        folder=tmp_path, source=scripted(coder=lambda _: cheat), files={"calc.py": STUB, "test_calc.py": "x = 1\n"}
    )
    end = await scenario.run(repairs=0, rounds=1)
    assert end["status"] == "failed"
    assert [ref.path for ref in end["files"]] == ["calc.py"]
    assert any("test_calc.py judges this run" in note.text for note in scenario.of(Noted))


async def test_answer_that_changes_only_what_judges_it_is_told_that_this_is_no_change(tmp_path):
    cheat = code("print('fine')\n", "test_calc.py")
    files = {"calc.py": STUB, "test_calc.py": "x = 1\n"}
    scenario = Scenario(folder=tmp_path, source=scripted(coder=[cheat, code(RIGHT)]), files=files)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert "tests that judge this run stay as they are" in scenario.source.asked("coder")[1].messages[1].content


# --------------------------------------------------------------------------------------- candidates


async def test_several_candidates_get_different_questions(tmp_path):
    source = scripted(coder=lambda _: code(WRONG))
    await Scenario(folder=tmp_path, source=source).run(candidates=3, repairs=0, rounds=1)
    asked = source.asked("coder")
    assert len({str(question.options) + question.messages[1].content for question in asked}) == 3


async def test_numbers_of_candidates_go_on_over_rounds(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(WRONG)))
    end = await scenario.run(candidates=2, repairs=0, rounds=2)
    assert [(each.number, each.round) for each in end["tried"]] == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert sorted(event.candidate for event in scenario.of(CandidateEnded)) == [1, 2, 3, 4]


async def test_budget_spent_in_several_candidates_at_once_ends_them_all(tmp_path):
    source = scripted(coder=lambda _: code(WRONG))
    scenario = Scenario(folder=tmp_path, source=source, budget=BudgetSettings(calls=6))
    end = await scenario.run(candidates=3)
    assert end["status"] == "budget"
    assert [each.number for each in end["tried"]] == [1, 2, 3]
    assert len(source.calls) == 6
