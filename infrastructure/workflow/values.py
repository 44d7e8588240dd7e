"""The values that flow through the graph and are stored in its checkpoints.

Owns the explicit list of stored types (`STORED_TYPES`): a type that is not in it does not come back after a reload.
Values are small: files, reports and patches live in the content store, and a value holds their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from agents.codegen import Diagnosis, Intent, Plan, Reflection, Research, Review

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
    """

    contents: tuple[FileRef, ...]
    patch: str
    report: str
    reason: str
    judge: JudgeKind
    failing: int
    repairable: bool
    anchors: str


@dataclass(frozen=True, slots=True)
class CandidateStart:
    """What a candidate is given: the payload of its `Send`. Nothing of earlier rounds: a fresh one starts fresh."""

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


STORED_TYPES: tuple[type, ...] = (
    Attempt,
    Baseline,
    Candidate,
    CandidateStart,
    Diagnosis,
    FileRef,
    Intent,
    Outcome,
    Plan,
    Reflection,
    Research,
    Review,
    Written,
)
"""Every type that state or a `Send` may hold, beside JSON's own."""
