"""The words for results, and what may be done with a patch: pure tables."""

from __future__ import annotations

from typing import get_args

import pytest

from backend.cli.verdicts import doubt, next_steps, still_red, verdict
from infrastructure.events.catalogue import RedTest
from infrastructure.tasks import ErrorInfo, FileNote, PatchReview, RunResult, StaticFinding, Status, TestTotals

RESULT = RunResult(
    run="01abc", status="done", judge="given", exit_code=0, reason="2 tests turned green", patch="diff",
    files=("a.py",), tests=TestTotals(passed=5), attempts=2, candidates=1, model_calls=7, prompt_tokens=8306,
    completion_tokens=405, seconds=2.04,
)  # fmt: skip


def test_verdict_says_status_cost_and_judge() -> None:
    said = [line.text for line in verdict(RESULT)]
    assert said[0] == "done: 2 tests turned green"
    assert said[1] == ("tests (given): 5 passed · files: a.py · 2 tries · 7 model calls · 8,306 + 405 tokens · 2.0 s")


def test_unverified_result_carries_a_warning() -> None:
    lines = verdict(RESULT.model_copy(update={"status": "unverified"}))
    assert any(line.text.startswith("warning: no given test shows") for line in lines)


def test_simulated_result_says_so() -> None:
    lines = verdict(RESULT.model_copy(update={"simulated": True}))
    assert lines[-1].text.startswith("simulated:")


def test_error_that_ended_a_run_is_said_once_with_what_to_do_and_without_its_class() -> None:
    error = ErrorInfo.model_validate({"class": "ModelNowhere", "message": "no model", "hint": "ollama pull m"})
    broken = RESULT.model_copy(update={"status": "error", "error": error, "reason": "no model"})
    said = [line.text for line in verdict(broken)]
    assert said[:2] == ["error: no model", "  → ollama pull m"]
    assert "\n".join(said).count("no model") == 1
    assert "ModelNowhere" not in "\n".join(said)


def test_error_of_the_delivery_comes_after_how_the_run_ended() -> None:
    error = ErrorInfo.model_validate({"class": "Refused", "message": "not applied", "hint": "do this"})
    said = [line.text for line in verdict(RESULT.model_copy(update={"error": error}))]
    assert said[0].startswith("done: ")
    assert said[-2:] == ["error: not applied", "  → do this"]


def test_interrupted_run_is_not_called_cancelled() -> None:
    cancelled = RESULT.model_copy(update={"status": "cancelled", "reason": "stopped by its user"})
    assert verdict(cancelled, interrupted=True)[0].text == "interrupted: stopped by its user"
    assert verdict(cancelled)[0].text == "cancelled: stopped by its user"


def test_what_was_said_of_the_patch_comes_at_the_end() -> None:
    review = PatchReview(
        verdict="approve",
        files=(FileNote(path="a.py", summary="adds a flag"),),
        risks=("slow for many rows",),
        findings=(StaticFinding(path="a.py", line=3, rule="F821", text="Undefined name `x`"),),
    )
    said = [line.text for line in verdict(RESULT.model_copy(update={"review": review, "patch": "diff"}))]
    assert said[-3:] == [
        "  a.py: adds a flag",
        "  risk: slow for many rows",
        "  static check: a.py:3: Undefined name `x` (F821)",
    ]


def test_patch_whose_review_could_not_be_read_is_said_to_be_unreviewed() -> None:
    lines = verdict(RESULT.model_copy(update={"review": PatchReview(verdict="unread"), "patch": "diff"}))
    assert lines[-1].text.startswith("not reviewed: ")


def steps_of(**changes: object) -> list[str]:
    return [line.text for line in next_steps(RESULT.model_copy(update=changes), " --data d")]


def test_patch_that_is_done_is_simply_offered() -> None:
    assert steps_of() == ["  → corral apply 01abc --data d    puts the patch into the folder"]


@pytest.mark.parametrize("status", [status for status in get_args(Status) if status != "done"])
def test_any_other_patch_is_offered_with_a_caution_or_not_at_all(status: Status) -> None:
    why = doubt(RESULT.model_copy(update={"status": status}))
    assert why
    said = steps_of(status=status)
    offers = [line for line in said if "corral apply" in line]
    assert all("read it first" in line for line in offers)
    if offers and status != "unverified":  # its verdict has a warning
        assert f"caution: {why}" in said


def test_what_was_tried_is_offered_before_a_patch_that_failed() -> None:
    show, caution, apply = steps_of(status="failed")
    assert "corral show 01abc --data d" in show
    assert caution == "caution: this patch did not pass"
    assert "corral apply 01abc --data d" in apply
    assert steps_of(status="failed", patch="") == [show]


def test_run_that_needs_a_person_names_the_commands_that_answer() -> None:
    said = "\n".join(steps_of(status="needs_input", exit_code=5))
    for command in ("corral resume 01abc --data d --yes ", 'corral resume 01abc --data d --no --reason "…" '):
        assert command in said
    assert "apply" not in said


def test_nothing_is_left_to_do_once_applied_or_without_a_run() -> None:
    assert next_steps(RESULT, applied=True) == ()
    assert next_steps(RESULT.model_copy(update={"run": ""})) == ()


def test_what_is_still_red_is_named_between_the_verdict_and_what_it_took() -> None:
    red = (RedTest(test="t.py::a", says="AssertionError: -1 != 3"), RedTest(test="t.py::b"))
    failed = RESULT.model_copy(update={"status": "failed", "red": red, "red_total": 5, "gpu_seconds": 7.25})
    said = [line.text for line in verdict(failed)]
    assert said[1:5] == ["still red:", "  t.py::a: AssertionError: -1 != 3", "  t.py::b", "  and 3 more"]
    assert said[5].endswith(" · 7.2 GPU s")


def test_all_that_is_red_is_named_without_a_rest() -> None:
    assert [line.text for line in still_red((RedTest(test="a"),), 1)] == ["still red:", "  a"]
    assert still_red((), 0) == []
