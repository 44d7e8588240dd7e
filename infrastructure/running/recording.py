"""A run as it is replayed: all that it asked, all that was said to it, and what came of it.

Owns `Recording`, a value that needs no data directory. It is read from one (`reading.py`) or from a file (`files.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infrastructure.events.catalogue import ApprovalGiven, RunCreated
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.running.setups import RunSetup
from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.recordings import RecordedTool
from infrastructure.tasks import RunResult
from infrastructure.workspace.packing import PackedSnapshot


class NotReplayable(Exception):
    """The run cannot be replayed. `hint` says what to do."""

    def __init__(self, run: str, why: str, hint: str) -> None:
        super().__init__(f"run {run} cannot be replayed: {why}")
        self.run, self.hint = run, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One run.

    Attributes:
        run: Its id.
        setup: What it began with.
        calls: Every question to a model, with its answer, in the order they were recorded.
        tools: Every use of a tool, likewise.
        contents: The questions, requests and answers that those name, by their SHA-256.
        events: What happened, without the streamed text.
        snapshot: The files it began with.
        state: Where it stands: `finished`, `interrupted` or `waiting`.
        reason: Why it rests, where it is not finished.
        result: What came of it; None where it rests.
    """

    run: RunId
    setup: RunSetup
    calls: Sequence[RecordedCall]
    tools: Sequence[RecordedTool]
    contents: Mapping[str, bytes]
    events: Sequence[Stored]
    snapshot: PackedSnapshot
    state: str
    reason: str = ""
    result: RunResult | None = None

    @property
    def simulated(self) -> bool:
        """Whether a simulated server answered."""
        return any(isinstance(each.event, RunCreated) and each.event.simulated for each in self.events)

    @property
    def decided(self) -> Mapping[str, tuple[bool, str]]:
        """What a person said to each approval."""
        given = [each.event for each in self.events if isinstance(each.event, ApprovalGiven)]
        return {event.approval: (event.approved, event.reason) for event in given}
