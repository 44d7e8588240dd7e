"""Every router, as a table: from a state to the next node."""

from __future__ import annotations

from itertools import product

import pytest

from agents.codegen import Intent, Plan, Research
from infrastructure.workflow import routing
from infrastructure.workflow.routing import best
from infrastructure.workflow.state import by_number, first_said
from infrastructure.workflow.values import Baseline, Candidate, CandidateStart, Outcome, Written

PLAN = Plan(summary="Write it.", files=["a.py", "b.py"], steps=["Write."])
BASELINE = Baseline(judge="none")


def intent(kind: str) -> Intent:
    return Intent(summary="s", kind=kind)


def ended(number: int, outcome: str = "failed", *, failing: int = 0, round_number: int = 1) -> Candidate:
    return Candidate(number, round_number, Outcome(outcome), "so", 1, failing=failing)


START = CandidateStart(
    task="t", kind="code", run="r", repo="/", number=1, variant=0, round=1, plan=PLAN, files=(), baseline=BASELINE,
    written=None, repairs=2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "node"),
    [
        ({"intent": intent("question")}, "responder"),
        ({"intent": intent("code")}, "run_baseline"),
        ({"intent": intent("tests")}, "run_baseline"),
        ({}, "run_baseline"),
    ],
)
def test_only_a_question_is_answered_in_words(state, node):
    assert routing.after_intent({"task": "t", **state}) == node


@pytest.mark.parametrize(
    ("state", "node"),
    [
        ({"status": "done"}, "__end__"),
        ({"status": "failed"}, "__end__"),
        ({}, "deliver"),
        ({"spent": "calls"}, "deliver"),
    ],
)
def test_answer_is_the_end_and_want_of_one_is_delivered(state, node):
    assert routing.after_responder({"task": "t", **state}) == node


@pytest.mark.parametrize(
    ("state", "node"),
    [
        ({"plan": PLAN}, "tester"),
        ({"plan": PLAN, "approve": ("patch",)}, "tester"),
        ({"plan": PLAN, "approve": ("plan",)}, "approve_plan"),
        ({"plan": PLAN, "approve": ["plan", "patch"]}, "approve_plan"),
        ({"approve": ("plan",)}, "tester"),
    ],
)
def test_plan_is_shown_only_where_a_person_asked_for_that(state, node):
    assert routing.after_planner({"task": "t", **state}) == node


@pytest.mark.parametrize(("state", "node"), [({}, "tester"), ({"declined": "plan"}, "deliver")])
def test_plan_that_is_turned_down_ends_the_run(state, node):
    assert routing.after_approve_plan({"task": "t", **state}) == node


FULL = {"task": "t", "plan": PLAN, "intent": intent("code"), "baseline": BASELINE}


@pytest.mark.parametrize("missing", ["plan", "intent", "baseline"])
def test_without_a_plan_an_intent_or_a_judge_nothing_is_tried(missing):
    assert routing.after_tester({key: value for key, value in FULL.items() if key != missing}) == "choose"


@pytest.mark.parametrize(
    ("more", "numbers", "variants", "rounds"),
    [
        ({}, [1], [0], [1]),
        ({"candidates": 3}, [1, 2, 3], [0, 1, 2], [1, 1, 1]),
        ({"candidates": 2, "round": 2, "tried": (ended(1), ended(2))}, [3, 4], [0, 1], [2, 2]),
    ],
)
def test_each_candidate_is_sent_its_own_start(more, numbers, variants, rounds):
    sends = routing.after_tester({**FULL, **more})
    assert {send.node for send in sends} == {"coder"}
    starts = [send.arg for send in sends]
    assert [start.number for start in starts] == numbers
    assert [start.variant for start in starts] == variants
    assert [start.round for start in starts] == rounds


@pytest.mark.parametrize(("more", "tried"), [({}, 4), ({"at_once": 0}, 4), ({"at_once": 1}, 1), ({"at_once": 9}, 8)])
def test_auto_tries_as_many_as_pay_where_that_is_known(more, tried):
    sends = routing.after_tester({**FULL, "candidates": "auto", **more})
    assert len(sends) == tried
    assert all(send.arg.optional for send in sends)
    assert len(routing.after_tester({**FULL, "candidates": 2, **more})) == 2


@pytest.mark.parametrize(("kind", "sent"), [("code", "code"), ("tests", "tests"), ("question", "code")])
def test_candidate_knows_what_the_task_asks_for(kind, sent):
    assert routing.after_tester({**FULL, "intent": intent(kind)})[0].arg.kind == sent


def test_candidate_sees_the_files_of_plan_and_research_once_each():
    state = {**FULL, "research": Research(files=["b.py", "c.py"])}
    assert routing.after_tester(state)[0].arg.files == ("a.py", "b.py", "c.py")


@pytest.mark.parametrize(("round_number", "used"), [(1, True), (2, False)])
def test_tests_of_an_earlier_plan_are_not_used(round_number, used):
    written = Written(round=1, files=(), plan="p", report="r")
    sent = routing.after_tester({**FULL, "written": written, "round": round_number})[0].arg
    assert (sent.written is written) is used


def choose_by_hand(outcome, objected, spent, more_rounds, gate) -> str:
    end = "approve_patch" if gate else "deliver"
    if outcome in ("done", "unverified"):
        return end if objected or spent else "reviewer"
    return "reflector" if more_rounds and not spent else "deliver"


@pytest.mark.parametrize(
    ("outcome", "objected", "spent", "more_rounds", "gate"),
    list(
        product(
            ["done", "unverified", "failed", "lost", None], [False, True], ["", "calls"], [False, True], [False, True]
        )
    ),
)
def test_good_goes_to_review_once_and_red_to_a_new_plan_while_there_is_one(outcome, objected, spent, more_rounds, gate):
    state = {
        "task": "t", "objected": objected, "spent": spent, "round": 1, "rounds": 2 if more_rounds else 1,
        "approve": ("patch",) if gate else (),
    }  # fmt: skip
    if outcome:
        state["chosen"] = ended(1, outcome)
    assert routing.after_choose(state) == choose_by_hand(outcome, objected, spent, more_rounds, gate)


@pytest.mark.parametrize(
    ("objected", "round_number", "gate", "node"),
    [
        (True, 1, False, "reflector"),
        (True, 1, True, "reflector"),
        (True, 2, False, "deliver"),
        (True, 2, True, "approve_patch"),
        (False, 1, False, "deliver"),
        (False, 1, True, "approve_patch"),
    ],
)
def test_objection_opens_a_round_while_one_is_left(objected, round_number, gate, node):
    state = {
        "task": "t",
        "objected": objected,
        "round": round_number,
        "rounds": 2,
        "approve": ("patch",) if gate else (),
    }
    assert routing.after_reviewer(state) == node


@pytest.mark.parametrize(("spent", "node"), [("", "apply"), ("calls", "__end__")])
def test_candidate_without_an_answer_for_want_of_budget_ends(spent, node):
    assert routing.after_write({"start": START, "spent": spent, "reply": "of an earlier attempt"}) == node


@pytest.mark.parametrize(
    ("rejected", "attempt", "spent", "node"),
    [
        ("", 1, "", "run_tests"),
        ("", 3, "calls", "run_tests"),
        ("no fence", 1, "", "write"),
        ("no fence", 2, "", "write"),
        ("no fence", 3, "", "__end__"),
        ("no fence", 1, "calls", "__end__"),
    ],
)
def test_answer_that_does_not_fit_is_asked_for_again_while_tries_are_left(rejected, attempt, spent, node):
    state = {"start": START, "rejected": rejected, "attempt": attempt, "spent": spent}
    assert routing.after_apply(state) == node


@pytest.mark.parametrize(("unchanged", "attempt", "node"), [(1, 1, "write"), (1, 3, "__end__"), (2, 2, "__end__")])
def test_answer_that_changes_nothing_is_asked_for_again_once(unchanged, attempt, node):
    state = {"start": START, "rejected": "it changes nothing", "attempt": attempt, "unchanged": unchanged}
    assert routing.after_apply(state) == node


@pytest.mark.parametrize(
    ("outcome", "attempt", "spent", "repairable", "node"),
    [
        ("done", 1, "", True, "__end__"),
        ("unverified", 1, "", True, "__end__"),
        ("", 1, "", True, "__end__"),
        ("failed", 1, "", True, "debugger"),
        ("failed", 2, "", True, "debugger"),
        ("failed", 3, "", True, "__end__"),
        ("failed", 1, "tokens", True, "__end__"),
        ("failed", 1, "", False, "__end__"),
    ],
)
def test_red_is_diagnosed_while_it_can_be_mended(outcome, attempt, spent, repairable, node):
    state = {"start": START, "outcome": outcome, "attempt": attempt, "spent": spent, "repairable": repairable}
    assert routing.after_tests(state) == node


@pytest.mark.parametrize(
    ("candidates", "number"),
    [
        ([], None),
        ([ended(1, "lost")], None),
        ([ended(1, "failed", failing=3), ended(2, "failed", failing=1)], 2),
        ([ended(1, "unverified"), ended(2, "done", failing=5)], 2),
        ([ended(1, "failed", failing=0), ended(2, "unverified", failing=9)], 2),
        ([ended(1, "done"), ended(2, "done")], 1),
        ([ended(1, "done"), ended(2, "done", round_number=2)], 2),
        ([ended(1, "failed", failing=1), ended(2, "failed", failing=1, round_number=2)], 2),
        ([ended(1, "failed", failing=1), ended(2, "failed", failing=2, round_number=2)], 1),
        ([ended(1, "done"), ended(2, "unverified", round_number=2)], 1),
    ],
)
def test_best_is_by_outcome_then_red_tests_then_the_later_round_then_the_lower_number(candidates, number):
    for order in (candidates, candidates[::-1]):
        found = best(order)
        assert (found.number if found else None) == number


def test_candidates_are_kept_by_number_whatever_the_order_of_arrival():
    one, two, two_again = ended(1), ended(2), ended(2, "done")
    assert by_number((), (two, one)) == (one, two)
    assert by_number((one, two), (two_again,)) == (one, two_again)
    assert by_number([one], [two]) == (one, two)


def test_first_budget_that_was_spent_is_the_one_that_is_told():
    assert first_said("", "calls") == "calls"
    assert first_said("calls", "tokens") == "calls"
    assert first_said("calls", "") == "calls"
