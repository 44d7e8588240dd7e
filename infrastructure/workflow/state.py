"""What flows: the state of the graph, what each node reads of it, and what it writes.

Owns the reducers. A node declares a narrow TypedDict, so the type checker refuses an undeclared write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Required

from typing_extensions import TypedDict

from agents.codegen import Diagnosis, EditFormat, Intent, Plan, Reflection, Research, Review
from infrastructure.config.settings import Candidates
from infrastructure.judge.linting import Finding
from infrastructure.workflow.one_run import OfRun
from infrastructure.workflow.values import (
    Attempt,
    Baseline,
    Candidate,
    CandidateStart,
    Examined,
    FileRef,
    Gate,
    JudgeKind,
    PastTry,
    Ruling,
    Split,
    Status,
    Written,
)


def by_number(known: Sequence[Candidate], new: Sequence[Candidate] | None) -> tuple[Candidate, ...]:
    """Keep one candidate a number, the later; ordered by number, so that arrival order never shows. None forgets."""
    if new is None:
        return ()
    merged = {each.number: each for each in (*known, *new)}
    return tuple(merged[number] for number in sorted(merged))


def first_said(known: str, new: str | None) -> str:
    """Keep the first that was said: several candidates can find the budget spent in the same step. None forgets it."""
    return "" if new is None else known or new


class CodegenInput(TypedDict, total=False):
    """What a run starts with. Only `task` is needed; `repo` is the current directory when it is not there.

    `at_once` is how many calls at once pay for the coder's model; 0, or not there, where that is not known. `run` names
    the run; a name that was used before, or none, makes it one of its own.
    """

    task: Required[str]
    repo: OfRun[str]
    run: OfRun[str]
    candidates: OfRun[Candidates]
    at_once: OfRun[int]
    repairs: OfRun[int]
    rounds: OfRun[int]
    approve: OfRun[Sequence[Gate]]
    test_command: OfRun[str]
    tests: OfRun[Sequence[str]]


class CodegenState(CodegenInput, total=False):
    """Everything a run knows."""

    intent: OfRun[Intent]
    answer: OfRun[str]
    research: OfRun[Research]
    baseline: OfRun[Baseline]
    round: OfRun[int]
    plan: OfRun[Plan]
    reflection: OfRun[Reflection]
    written: OfRun[Written]
    tried: Annotated[tuple[Candidate, ...], by_number]
    look: OfRun[Literal["", "examiner", "ask_which"]]
    examined: OfRun[Examined]
    split: OfRun[Split]
    ruling: OfRun[Ruling]
    chosen: OfRun[Candidate]
    review: OfRun[Review]
    reviewed: OfRun[int]
    findings: OfRun[tuple[Finding, ...]]
    objected: OfRun[bool]
    declined: OfRun[Gate]
    spent: Annotated[str, first_said]
    status: OfRun[Status]
    judge: OfRun[JudgeKind]
    reason: OfRun[str]
    patch: OfRun[str]
    files: OfRun[tuple[FileRef, ...]]


_OF_ONE_RUN = tuple(key for key in CodegenState.__annotations__ if key not in CodegenInput.__annotations__)


def forgotten(state: Mapping[str, object]) -> Mapping[str, None]:
    """The update with which a run begins where the thread has had one before; empty where it has not.

    Whatever a run leaves, it leaves its intent, or that its budget did not suffice for one.
    """
    return dict.fromkeys(_OF_ONE_RUN) if "intent" in state or state.get("spent") else {}


class CodegenOutput(TypedDict, total=False):
    """What a run ends with. `patch` is the hash of the patch text, `files` the changed files as they are after it.

    Whoever runs a graph of `build_codegen_graph` gets the texts by `patch_text` and `changed_files`.
    """

    status: Status
    judge: JudgeKind
    reason: str
    answer: str
    patch: str
    files: tuple[FileRef, ...]


class CandidateState(TypedDict, total=False):
    """Everything one candidate knows.

    `contents` holds the files changed so far against the snapshot; a tree on disk is made from it for each test
    run and thrown away, so a step that runs again after a crash starts from the same state. `unchanged` counts the
    answers that changed nothing since the last one that did. `malformed` are the forms in which answers could not be
    used. `kept` is the best attempt so far, which `contents` goes back to where a repair breaks what passed. `past` are
    the attempts that failed, `repeated` how often one was like an earlier one since more tests passed than ever,
    `stuck` what the coder is told of it. `shown` are the files whose text the last question held, `unseen` those that
    an answer was going to replace without: they are shown from then on.
    """

    start: Required[CandidateStart]
    attempt: int
    reply: str
    rejected: str
    unchanged: int
    contents: tuple[FileRef, ...]
    report: str
    written_report: str
    outcome: Literal["", "done", "unverified", "failed"]
    reason: str
    judge: JudgeKind
    failing: int
    patch: str
    repairable: bool
    kept: Attempt
    past: Sequence[PastTry]
    repeated: int
    stuck: str
    diagnosis: Diagnosis | None
    edit_format: EditFormat
    malformed: Sequence[EditFormat]
    shown: Sequence[str]
    unseen: Sequence[str]
    spent: Annotated[str, first_said]


class SnapshotWrites(TypedDict):
    """A run's settings filled in, once."""

    run: str
    repo: str
    candidates: Candidates
    repairs: int
    rounds: int
    approve: Sequence[Gate]


class IntentWrites(TypedDict):
    """What the task asks for."""

    intent: Intent


class ResponderWrites(TypedDict):
    """The answer to a question; nothing when the budget did not suffice for one."""

    answer: str
    status: Status
    judge: JudgeKind
    reason: str


class BaselineWrites(TypedDict):
    """The judge."""

    baseline: Baseline


class ResearcherWrites(TypedDict):
    """The files that matter."""

    research: Research


class PlannerWrites(TypedDict):
    """A plan, and which round it opens."""

    plan: Plan
    round: int


class GateWrites(TypedDict, total=False):
    """A gate writes only when it was answered no."""

    declined: Gate


class TesterWrites(TypedDict, total=False):
    """Tests from the plan; nothing when none could be written."""

    written: Written


class CoderWrites(TypedDict):
    """One ended candidate."""

    tried: tuple[Candidate, ...]


class ChooseWrites(TypedDict, total=False):
    """The best so far; nothing when there is none. `look` says what would tell more before it is taken."""

    chosen: Candidate
    tried: tuple[Candidate, ...]
    look: Literal["", "examiner", "ask_which"]
    split: Split
    spent: str


class ExaminerWrites(TypedDict, total=False):
    """What the candidates do on common inputs; the budget that did not suffice to find it out."""

    examined: Examined
    spent: str


class WhichWrites(TypedDict, total=False):
    """What a person said that a call gives; nothing where nobody may be asked."""

    ruling: Ruling


class ReviewerWrites(TypedDict, total=False):
    """What the reviewer says, and whether it objects for the first time.

    `reviewed` is the candidate that it read, `findings` what a static check found in that one. Without `review` what it
    said could not be read.
    """

    review: Review
    reviewed: Required[int]
    findings: Required[tuple[Finding, ...]]
    objected: Required[bool]


class ReflectorWrites(TypedDict):
    """What the next plan must do differently."""

    reflection: Reflection


class DeliverWrites(TypedDict, total=False):
    """The end."""

    status: Status
    judge: JudgeKind
    reason: str
    patch: str
    files: tuple[FileRef, ...]
