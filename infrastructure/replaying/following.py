"""Keeping a replay on the recorded course.

Owns `Follower`: where each stream of steps stands, which step comes next by the recording, and what becomes of a step
for which the recording has no answer: it is left out where its budget was spent, it fails as it did, it waits where it
was broken off, and otherwise the replay has left the recording, which is `Diverged`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import NoReturn

from infrastructure.events.catalogue import NodeFailed
from infrastructure.replaying.streams import Course, StreamKey, Taken, course_of
from infrastructure.running.recording import Recording
from infrastructure.workflow.budget import Budget, BudgetExhausted

_step: ContextVar[Taken | None] = ContextVar("recorded step", default=None)
"""The recorded step that the present one repeats; each step runs in a task of its own."""


class Diverged(Exception):
    """The replay asks, or does, what the recording does not know.

    Attributes:
        step: Where.
        why: What is other than recorded.
        difference: The first line that differs, as recorded and as it is now; may be empty.
    """

    def __init__(self, step: str, why: str, difference: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((f"{step}: {why}", *difference)))
        self.step, self.why, self.difference = step, why, difference


class RecordedFailure(Exception):
    """What a step failed with in the recording. Its class is made to bear the name that was recorded."""


def recorded_failure(error_class: str, message: str) -> RecordedFailure:
    """An error that tells itself as the recorded one did."""
    name = error_class if error_class.isidentifier() else RecordedFailure.__name__
    return type(name, (RecordedFailure,), {})(message)


class Follower:
    """The recorded course of one run, and how far a replay of it has come."""

    def __init__(self, recording: Recording, budget: Budget) -> None:
        self.course: Course = course_of(recording.events)
        self._budget = budget
        self._next: dict[StreamKey, int] = {}
        self._waiting: set[StreamKey] = set()
        self._ended: set[int] = set()
        self._changed: list[asyncio.Future[None]] = []

    # ------------------------------------------------------------------------------------- the steps
    async def enter(self, node: str, round_number: int, candidate: int | None) -> str | None:
        """Take the next recorded step of the stream.

        Returns:
            The budget for which the recorded run left this step out; None where it was taken.

        Raises:
            Diverged: the recorded run went another way.
        """
        key = StreamKey.of(node, candidate)
        steps = self.course.streams.get(key, ())
        place = self._next.get(key, 0)
        step = steps[place] if place < len(steps) else None
        if step is not None and (step.node, step.round) == (node, round_number):
            self._next[key] = place + 1
            _step.set(step)
            if not key.candidate:
                self._budget.spent = self.course.spent_before(step)
            return None
        if step is None and (broken := self._broken_off_at(key)) is not None:
            await self.wait(broken)
        if self.course.budgets:
            return self.course.budgets[0][2]
        came = f"{step.node} (round {step.round}) came next" if step is not None else "nothing came any more"
        raise Diverged(f"{node} of {key}", f"in the recording {came}")

    def _broken_off_at(self, key: StreamKey) -> StreamKey | None:
        """The stream that the recording breaks off where this one has come to its end; None where it goes on."""
        whole_run = StreamKey()
        if key in self.course.streams or key.inner:
            return key if self.course.cut(key) else None
        ended = self._next.get(whole_run, 0) >= len(self.course.streams.get(whole_run, ()))
        return whole_run if ended and self.course.cut(whole_run) else None

    def now(self) -> Taken:
        """The recorded step that the present one repeats."""
        step = _step.get()
        if step is None:
            raise RuntimeError("a step of a replay runs outside the graph")
        return step

    async def unknown(self, divergence: Diverged) -> NoReturn:
        """Do what the recorded step did where it was given no answer.

        Raises:
            BudgetExhausted: its budget was spent.
            RecordedFailure: it failed.
            Diverged: it did neither, and was not broken off.
        """
        taken = self.now()
        if (over := taken.spent) is not None:
            self._budget.spent = over.budget
            raise BudgetExhausted(over.budget, over.limit)
        if (failed := taken.failed) is not None:
            raise _as_told(failed)
        if not taken.whole and self.course.cut(taken.key):
            await self.wait(taken.key)
        raise divergence

    # ------------------------------------------------------------------------------ waiting and ending
    async def wait(self, key: StreamKey) -> NoReturn:
        """Wait to be stopped: the recording goes no further here."""
        self._waiting.add(key)
        self.tell()
        while True:
            await asyncio.Event().wait()

    def has_run_dry(self, candidate: int) -> bool:
        """Whether a candidate waits where its recording ends."""
        return any(key.candidate == candidate for key in self._waiting)

    def end(self, candidate: int) -> None:
        """Say that a candidate has ended."""
        self._ended.add(candidate)
        self.tell()

    def in_turn(self, candidate: int) -> bool:
        """Whether all have ended that ended before a candidate in the recording."""
        for _, number, _ in self.course.endings:
            if number == candidate:
                return True
            if number not in self._ended:
                return False
        return True

    async def broken_off(self) -> None:
        """Wait until every stream has come to where the recording breaks off."""
        left = self.course.open or {0}
        await self.until(
            lambda: (
                all(map(self.has_run_dry, left)) and all(number in self._ended for _, number, _ in self.course.endings)
            )
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at whenever a stream stops or a candidate ends."""
        while not holds():
            changed = asyncio.get_running_loop().create_future()
            self._changed.append(changed)
            await changed

    def tell(self) -> None:
        """Let every condition be looked at again."""
        changed, self._changed = self._changed, []
        for each in changed:
            if not each.done():
                each.set_result(None)


def _as_told(failed: NodeFailed) -> RecordedFailure:
    return recorded_failure(failed.error_class, failed.error_message)
