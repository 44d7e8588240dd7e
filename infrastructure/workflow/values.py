"""The values that flow through the graph and are stored in its checkpoints.

Owns the explicit list of stored types (`STORED_TYPES`): a type that is not in it does not come back after a reload.
Values are small: files, reports and patches live in the content store, and a value holds their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from agents.codegen import Diagnosis, Intent, Plan, Reflection, Research, Review
from infrastructure.judge.linting import Finding
from infrastructure.workflow.race import Place

Status: TypeAlias = Literal["done", "unverified", "failed", "budget", "needs_input", "cancelled", "error"]
JudgeKind: TypeAlias = Literal["given", "found", "written", "none"]
Gate: TypeAlias = Literal["plan", "patch"]


class Outcome(StrEnum):
    """How a candidate ended."""

    DONE = "done"
    """The judge's tests turned green."""
    UNVERIFIED = "unverified"
    """Good as far as tests written here can tell."""
    FAILED = "failed"
    """Red, empty, or nothing usable was answered."""
    LOST = "lost"
    """Another candidate passed first."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file in the content store. `sha` is None where the file is deleted."""

    path: str
    sha: str | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the judge's tests ended on the untouched snapshot.

    Attributes:
        judge: Where the tests come from.
        plan: Hash of the test plan in the content store; empty when there are no tests.
        report: Hash of the test report on the snapshot; empty when there are no tests.
        command: The test command as a person would type it.
        given: Test files the user gave, pinned.
    """

    judge: JudgeKind
    plan: str = ""
    report: str = ""
    command: str = ""
    given: tuple[FileRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """Tests written from the plan, and how they ended on the untouched snapshot."""

    round: int
    files: tuple[FileRef, ...]
    plan: str
    report: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One solution, ended.

    Attributes:
        number: Unique in the run, counted over all rounds from 1.
        round: The plan it follows.
        outcome: How it ended.
        reason: Why, in one sentence.
        attempts: Tries, the first included.
        files: The files it changed, as they are after it.
        patch: Hash of the patch text; empty when nothing changed.
        report: Hash of the last report of the judge's tests; empty when they never ran.
        failing: How many judge tests were red at the end.
        judge: Which tests the outcome rests on.
        written_report: Hash of the last report of the written tests; empty when they never ran.
        judge_report: Hash of the report of the judge's tests for these files; empty when they did not run.
    """

    number: int
    round: int
    outcome: Outcome
    reason: str
    attempts: int
    files: tuple[FileRef, ...] = ()
    patch: str = ""
    report: str = ""
    failing: int = 0
    judge: JudgeKind = "none"
    written_report: str = ""
    judge_report: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a candidate gives for each of the examiner's calls: hash of the outputs in the content store."""

    number: int
    outputs: str


@dataclass(frozen=True, slots=True)
class Examined:
    """What the candidates of a round do on common inputs. Without any `observed` they could not be tried."""

    round: int
    file: str = ""
    calls: tuple[str, ...] = ()
    observed: tuple[Observed, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """A call for which candidates give different things, as a person is asked about it; the likeliest answer first."""

    round: int
    file: str
    call: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person said that a call gives.

    Attributes:
        round: The round whose candidates were split.
        file: Where the function is.
        call: The call.
        answer: What it gives, or what is raised; empty where none of what was shown is right and nothing else was said.
        test: The test that it became; None where the answer is no plain value.
    """

    round: int
    file: str
    call: str
    answer: str
    test: FileRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A candidate's best try so far, as its tests ended: what a repair that makes things worse goes back to.

    Attributes:
        contents: The files it changed, as they are after it.
        patch: Hash of the patch text.
        report: Hash of the report that shows why it is red; empty when no test ran.
        reason: Why, in one sentence.
        judge: Which tests that rests on.
        failing: How many were red.
        repairable: Whether other code could turn them green.
        anchors: Hash of the names of the tests that passed: a repair may break none of them.
        written_report: Hash of the report of the tests written from the plan; empty when they did not run.
        judge_report: Hash of the report of the judge's tests; empty when they did not run.
    """

    contents: tuple[FileRef, ...]
    patch: str
    report: str
    reason: str
    judge: JudgeKind
    failing: int
    repairable: bool
    anchors: str
    written_report: str = ""
    judge_report: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTry:
    """An attempt that failed, as far as a later one is compared with it: hashes and two numbers.

    Attributes:
        attempt: Which.
        patch: Hash of the patch; empty when the answer could not be used.
        failure: How its tests failed; empty where that cannot be told.
        passed: How many tests passed.
        report: Hash of the report that shows why; empty when no test ran.
        useless: Why the answer could not be used; empty when it could.
    """

    attempt: int
    patch: str = ""
    failure: str = ""
    passed: int = 0
    report: str = ""
    useless: str = ""


@dataclass(frozen=True, slots=True)
class CandidateStart:
    """What a candidate is given: the payload of its `Send`. Nothing of earlier rounds: a fresh one starts fresh.

    `variant` counts the round's candidates from 0; an `optional` one is only wanted if a slot is idle for it.
    """

    task: str
    kind: Literal["code", "tests"]
    run: str
    repo: str
    number: int
    variant: int
    round: int
    plan: Plan
    files: tuple[str, ...]
    baseline: Baseline
    written: Written | None
    repairs: int
    compared: bool = False
    """Whether others are tried beside it, so that what the written tests say is weighed when all have ended."""
    optional: bool = False

    @property
    def place(self) -> Place:
        """Where it stands in the race."""
        return Place(round=self.round, number=self.number, first=self.number - self.variant, optional=self.optional)


STORED_TYPES: tuple[type, ...] = (
    Attempt,
    Baseline,
    Candidate,
    CandidateStart,
    Diagnosis,
    Examined,
    FileRef,
    Finding,
    Intent,
    Observed,
    Outcome,
    PastTry,
    Plan,
    Reflection,
    Research,
    Review,
    Ruling,
    Split,
    Written,
)
"""Every type that state or a `Send` may hold, beside JSON's own."""
