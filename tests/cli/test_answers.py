"""Gates answered without a terminal: `corral resume --yes` and `--no`, over a simulated server."""

from __future__ import annotations

import pytest

import backend.cli.seeing as seeing
from backend.attach.seat import Seat
from backend.cli.progress import Progress
from backend.cli.watching import watch
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.ids import RunId
from infrastructure.tasks import RunResult
from tests.cli.conftest import Corral, Solve, refused

pytestmark = pytest.mark.slow


def test_run_that_needs_a_person_ends_with_5_where_nobody_can_be_asked(solve: Solve, corral: Corral) -> None:
    done = solve("--approve", "plan", "--no-input", "--output", "json")
    assert done.code == 5
    document = done.document
    assert (document["status"], document["exit_code"]) == ("needs_input", 5)
    again = corral("resume", document["run"], "--no-input")
    assert again.code == 5
    assert f"→ corral resume {document['run']} --data {corral.data} --yes" in again.err


def gated(solve: Solve, gates: str) -> str:
    """A run that waits at its first gate."""
    done = solve("--approve", gates, "--output", "json")
    assert done.code == 5, done.err
    return done.document["run"]


def test_yes_answers_the_gate_and_the_run_goes_on_to_its_end(solve: Solve, corral: Corral) -> None:
    run = gated(solve, "plan")
    done = corral("resume", run, "--yes", "--reason", "good plan")
    assert done.code == 0, done.err
    assert "answered yes: good plan" in done.err
    assert done.out.startswith("diff --git a/text.py")


def test_yes_answers_one_gate_and_the_next_one_is_left_to_another_command(solve: Solve, corral: Corral) -> None:
    run = gated(solve, "plan,patch")
    second = corral("resume", run, "--yes")
    assert second.code == 5, second.err
    assert second.err.count("a person is asked about the plan") == 1
    assert second.err.count("a person is asked about the patch") == 1
    assert "needs_input: waits for an answer to patch:1" in second.err
    assert second.out.startswith("diff --git a/text.py")
    assert corral("resume", run, "--yes").code == 0


def test_no_ends_the_run_as_cancelled_and_keeps_its_patch_and_the_reason(solve: Solve, corral: Corral) -> None:
    run = gated(solve, "patch")
    done = corral("resume", run, "--no", "--reason", "too clever", "--output", "json")
    assert (done.code, done.document["status"]) == (130, "cancelled")
    assert done.document["patch"]
    assert "answered no: too clever" in corral("show", run).out


def test_gate_of_an_interrupted_run_is_answered_as_well(
    solve: Solve, corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as meanwhile:  # Ctrl-D at the question
        meanwhile.setattr(seeing, "watch", nobody_answers)
        interrupted = solve("--approve", "plan", "--output", "json")
    assert interrupted.code == 130, interrupted.err
    assert corral("resume", interrupted.document["run"], "--yes").code == 0


async def nobody_answers(engine: Seat, run: RunId, progress: Progress, **options: object) -> RunResult:
    """Resumes the run as one that may ask, and interrupts it at its question, as `watch` does at the end of input."""

    async def ask(asked: ApprovalAsked) -> None:
        return None

    await engine.result(run)
    await engine.resume(run, no_input=False)
    return await watch(engine, run, progress, after=options["after"], ask=ask)


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--yes", "--no"], "--yes and --no"), (["--reason", "why"], "--reason says why")],
)
def test_answer_that_is_none_exits_2(solve: Solve, corral: Corral, options: list[str], said: str) -> None:
    run = gated(solve, "plan")
    refused(corral("resume", run, *options), 2, said)


def test_answer_to_a_run_that_asks_nothing_is_refused_and_the_run_left_alone(solve: Solve, corral: Corral) -> None:
    run = solve("--output", "json").document["run"]
    refused(corral("resume", run, "--yes"), 2, "is over (done)")
