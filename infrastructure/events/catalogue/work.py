"""The work itself: what was understood, planned, written, tried and chosen."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from infrastructure.events.catalogue.base import Event


class TestCounts(BaseModel):
    """How many tests ended how."""

    model_config = ConfigDict(frozen=True)
    __test__ = False

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


class SnapshotTaken(Event):
    """The repository was copied as it is now; the run works on copies of that."""

    kind: Literal["work.snapshot_taken"] = "work.snapshot_taken"
    files: int
    repository: bool
    dirty: bool


class IntentRead(Event):
    """What the task asks for."""

    kind: Literal["work.intent_read"] = "work.intent_read"
    intent: Literal["code", "question", "tests"]
    summary: str


class FilesChosen(Event):
    """The files that matter."""

    kind: Literal["work.files_chosen"] = "work.files_chosen"
    files: tuple[str, ...]


class PlanDrafted(Event):
    """A plan is there."""

    kind: Literal["work.plan_drafted"] = "work.plan_drafted"
    summary: str
    steps: tuple[str, ...]
    files: tuple[str, ...]


class TestsWritten(Event):
    """Tests were written from the plan, before there is code."""

    kind: Literal["work.tests_written"] = "work.tests_written"
    __test__ = False
    files: tuple[str, ...]


class CandidateStarted(Event):
    """A solution is being tried."""

    kind: Literal["work.candidate_started"] = "work.candidate_started"


class EditsApplied(Event):
    """An answer of the coder is in the candidate's tree."""

    kind: Literal["work.edits_applied"] = "work.edits_applied"
    attempt: int
    files: tuple[str, ...]
    edit_format: str = ""
    """The form that was asked for; empty in runs of before."""


class EditsRejected(Event):
    """An answer of the coder could not be used."""

    kind: Literal["work.edits_rejected"] = "work.edits_rejected"
    attempt: int
    reason: str
    malformed_as: str = ""
    """The form that was asked for, where it is that which was written badly; empty where something else is wrong."""


class TestsRan(Event):
    """Tests ran in the sandbox. Attempt 0 is the untouched snapshot."""

    kind: Literal["work.tests_ran"] = "work.tests_ran"
    __test__ = False
    attempt: int
    suite: Literal["judge", "written"]
    counts: TestCounts
    failing: tuple[str, ...] = ()
    crashed: str = ""
    seconds: float = 0.0
    sandbox: str = ""


class DiagnosisMade(Event):
    """Why the tests fail, and what to change."""

    kind: Literal["work.diagnosis_made"] = "work.diagnosis_made"
    attempt: int
    cause: str
    fix: str


class CandidateEnded(Event):
    """A solution passed, failed, or lost the race."""

    kind: Literal["work.candidate_ended"] = "work.candidate_ended"
    outcome: str
    attempts: int
    reason: str = ""
    patch: str = ""
    """Hash of its patch; empty where it changed nothing."""


class CandidatesCompared(Event):
    """Only tests written here could tell, so the candidates of a round were compared, and one was taken.

    Attributes:
        chosen: The candidate that was taken.
        groups: Candidates that cannot be told apart, the likeliest group first.
        kept: Written tests that the chosen one passes.
        dropped: Written tests that were left out as probably wrong.
        sure: How likely the chosen one is right, by the model of the comparison.
        split: Whether another group is nearly as likely.
        inputs: On how many common inputs they were tried; 0 where they were not.
        telling: Those on which the two likeliest groups differ.
    """

    kind: Literal["work.candidates_compared"] = "work.candidates_compared"
    chosen: int
    groups: tuple[tuple[int, ...], ...]
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    sure: float = 0.0
    split: bool = False
    inputs: int = 0
    telling: tuple[str, ...] = ()


class PatchChosen(Event):
    """One candidate was taken."""

    kind: Literal["work.patch_chosen"] = "work.patch_chosen"
    status: str
    reason: str


class PatchReviewed(Event):
    """The reviewer read the patch.

    Attributes:
        verdict: Whether it objects.
        objections: Why.
        summary: What the patch does.
        files: What changes in each file, as `path: sentence`.
        risks: What to look at before it is used.
        findings: What a static check found that was not there before, as `path:line: text (rule)`.
    """

    kind: Literal["work.patch_reviewed"] = "work.patch_reviewed"
    verdict: Literal["approve", "object"]
    objections: tuple[str, ...] = ()
    summary: str = ""
    files: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


class LessonDrawn(Event):
    """None was good: what the next plan must do differently."""

    kind: Literal["work.lesson_drawn"] = "work.lesson_drawn"
    lesson: str
    approach: str


class PatchDelivered(Event):
    """The patch is kept with the run."""

    kind: Literal["work.patch_delivered"] = "work.patch_delivered"
    files: tuple[str, ...]
    added: int
    removed: int
    sha: str


class PatchApplied(Event):
    """The patch was put into the user's tree, or on a new branch."""

    kind: Literal["work.patch_applied"] = "work.patch_applied"
    files: tuple[str, ...]
    branch: str | None = None
    hunks: tuple[int, ...] = ()
    """Those that were taken; empty for the whole patch."""


class AnswerGiven(Event):
    """A question was answered; no code was wanted."""

    kind: Literal["work.answer_given"] = "work.answer_given"
    text: str
