"""Every event there is. A reader who opens one file of this project should open this folder first.

An event is past tense, in domain words, frozen; its wire kind is `family.participle`. Old events always load:
fields are only ever added, with a default.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, TypeAdapter

from infrastructure.events.catalogue.agent import AgentCompleted, AgentFailed, AgentStarted, AgentSwitched
from infrastructure.events.catalogue.approval import ApprovalAsked, ApprovalDecided, ApprovalGiven
from infrastructure.events.catalogue.base import Event
from infrastructure.events.catalogue.call import (
    CallBegan,
    CallCompleted,
    CallDoubted,
    CallFailed,
    CallPlaced,
    CallQueued,
    CallReplayed,
    CallRestarted,
    CallWaiting,
    PromptTrimmed,
    TextStreamed,
)
from infrastructure.events.catalogue.node import NodeCompleted, NodeFailed, NodeStarted, NodeWaiting
from infrastructure.events.catalogue.run import (
    BudgetSpent,
    Noted,
    RedTest,
    RunCreated,
    RunFinished,
    RunInterrupted,
    RunStarted,
)
from infrastructure.events.catalogue.session import MessageAdded, SessionCreated, SessionDeleted, SessionUpdated
from infrastructure.events.catalogue.system import (
    ConfigRefused,
    ConfigReloaded,
    ServerEjected,
    ServerReturned,
    SystemStarted,
    SystemStopped,
)
from infrastructure.events.catalogue.tool import (
    ToolApprovalRequired,
    ToolCompleted,
    ToolFailed,
    ToolRequested,
    ToolStarted,
)
from infrastructure.events.catalogue.turn import TurnEnded
from infrastructure.events.catalogue.work import (
    AnswerGiven,
    CandidateEnded,
    CandidatesCompared,
    CandidateStarted,
    DiagnosisMade,
    EditsApplied,
    EditsRejected,
    FilesChosen,
    IntentRead,
    LessonDrawn,
    PatchApplied,
    PatchChosen,
    PatchDelivered,
    PatchReviewed,
    PlanDrafted,
    SnapshotTaken,
    TestsRan,
    TestsWritten,
)

AnyEvent: TypeAlias = Annotated[
    RunCreated
    | RunStarted
    | RunInterrupted
    | RunFinished
    | BudgetSpent
    | Noted
    | NodeStarted
    | NodeCompleted
    | NodeFailed
    | NodeWaiting
    | CallQueued
    | CallPlaced
    | CallWaiting
    | CallBegan
    | TextStreamed
    | CallRestarted
    | CallCompleted
    | CallFailed
    | CallDoubted
    | PromptTrimmed
    | CallReplayed
    | SnapshotTaken
    | IntentRead
    | FilesChosen
    | PlanDrafted
    | TestsWritten
    | CandidateStarted
    | EditsApplied
    | EditsRejected
    | TestsRan
    | DiagnosisMade
    | CandidateEnded
    | CandidatesCompared
    | PatchChosen
    | PatchReviewed
    | LessonDrawn
    | PatchDelivered
    | PatchApplied
    | AnswerGiven
    | ApprovalAsked
    | ApprovalGiven
    | ApprovalDecided
    | MessageAdded
    | SessionCreated
    | SessionDeleted
    | SessionUpdated
    | TurnEnded
    | AgentCompleted
    | AgentFailed
    | AgentStarted
    | AgentSwitched
    | ToolApprovalRequired
    | ToolCompleted
    | ToolFailed
    | ToolRequested
    | ToolStarted
    | ConfigRefused
    | ConfigReloaded
    | ServerEjected
    | ServerReturned
    | SystemStarted
    | SystemStopped,
    Field(discriminator="kind"),
]

ANY_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads a stored event of any kind back."""

__all__ = [
    "ANY_EVENT",
    "AgentCompleted",
    "AgentFailed",
    "AgentStarted",
    "AgentSwitched",
    "AnswerGiven",
    "AnyEvent",
    "ApprovalAsked",
    "ApprovalDecided",
    "ApprovalGiven",
    "BudgetSpent",
    "CallBegan",
    "CallCompleted",
    "CallDoubted",
    "CallFailed",
    "CallPlaced",
    "CallQueued",
    "CallReplayed",
    "CallRestarted",
    "CallWaiting",
    "CandidateEnded",
    "CandidateStarted",
    "CandidatesCompared",
    "ConfigRefused",
    "ConfigReloaded",
    "DiagnosisMade",
    "EditsApplied",
    "EditsRejected",
    "Event",
    "FilesChosen",
    "IntentRead",
    "LessonDrawn",
    "MessageAdded",
    "NodeCompleted",
    "NodeFailed",
    "NodeStarted",
    "NodeWaiting",
    "Noted",
    "PatchApplied",
    "PatchChosen",
    "PatchDelivered",
    "PatchReviewed",
    "PlanDrafted",
    "PromptTrimmed",
    "RedTest",
    "RunCreated",
    "RunFinished",
    "RunInterrupted",
    "RunStarted",
    "ServerEjected",
    "ServerReturned",
    "SessionCreated",
    "SessionDeleted",
    "SessionUpdated",
    "SnapshotTaken",
    "SystemStarted",
    "SystemStopped",
    "TestsRan",
    "TestsWritten",
    "TextStreamed",
    "ToolApprovalRequired",
    "ToolCompleted",
    "ToolFailed",
    "ToolRequested",
    "ToolStarted",
    "TurnEnded",
]
