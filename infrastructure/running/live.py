"""A run that this engine holds: its task, why it was stopped, and the result others wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from infrastructure.config.settings import Settings
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.sandbox import Sandbox
from infrastructure.tasks import RunResult, TaskSpec


class StopKind(StrEnum):
    """Why a run's task is cancelled."""

    CANCEL = "cancel"
    """For good."""
    INTERRUPT = "interrupt"
    """It goes on later, from its last step."""


@dataclass(slots=True, eq=False)
class LiveRun:
    """One run in the hands of the engine, over all its executions here.

    An execution begins (until the log says so), works, and ends (its outcome is being written down). It is stopped
    while it works; what is asked before waits until then, and what is asked later comes too late.
    """

    run: RunId
    spec: TaskSpec
    settings: Settings
    """Those that held when it came into these hands; they are its own to the end."""
    done: asyncio.Future[RunResult]
    """Resolved when it is finished, interrupted, or ends for want of an answer."""
    sandbox: Sandbox | None = None
    """Where its tests run, once it was opened."""
    task: asyncio.Task[None] | None = None
    execution: int = 0
    """The number of the last one, once the table has given it."""
    stop: StopKind | None = None
    reason: str = ""
    ending: bool = False
    """Whether its outcome is being written down, which nothing stops."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the log says that this execution has begun: a follower must not take the last one's end for it."""
    unlogged: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its end could not be written, so that nobody waits for a last event that cannot come."""

    @property
    def running(self) -> bool:
        """Whether it is being executed; one that waits for a person is not."""
        return self.task is not None and not self.task.done()

    def begin(self, spec: TaskSpec) -> None:
        """A further execution, whose task is yet to come."""
        self.spec = spec
        self.stop, self.reason, self.ending = None, "", False
        self.begun = asyncio.Event()

    def has_begun(self) -> None:
        """Let it work, now that the log says so; called by its task.

        Raises:
            CancelledError: it was stopped in the meantime.
        """
        self.begun.set()
        if self.stop is not None:
            raise asyncio.CancelledError

    def stop_now(self, kind: StopKind, reason: str) -> None:
        """Cancel its task as soon as it has begun, unless it ends already; the first reason rules."""
        if self.task is None or self.task.done() or self.ending:
            return
        if self.stop is None:
            self.stop, self.reason = kind, reason
        if self.begun.is_set():  # a task that is cancelled before its first step would never say what became of it
            self.task.cancel()

    async def rests(self) -> None:
        """Wait until it is not being executed."""
        if self.task is not None:
            await asyncio.wait([self.task])

    def ended(self, result: RunResult, *, logged: bool) -> None:
        """Tell its result to those who wait; and, where its last event could not be written, that none comes."""
        if not logged:
            self.unlogged.set()
        if not self.done.done():
            self.done.set_result(result)

    def broke(self, error: BaseException | None) -> None:
        """Say that an execution broke, which is a fault of the engine's own: nobody is left waiting.

        Args:
            error: The fault; None when the loop itself is ending, which cancels whoever waits.
        """
        self.begun.set()
        self.unlogged.set()
        if self.done.done():
            return
        if error is None:
            self.done.cancel()
        else:
            self.done.set_exception(error)


async def next_event(events: AsyncIterator[Stored], live: LiveRun | None) -> Stored | None:
    """The next event; None at the end, or when the news comes that the last one cannot be written."""
    arriving = asyncio.ensure_future(_one(events))
    waiting: list[asyncio.Future[Any]] = [arriving]
    if live is not None:
        waiting.append(asyncio.ensure_future(live.unlogged.wait()))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return arriving.result() if arriving.done() else None
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


async def _one(events: AsyncIterator[Stored]) -> Stored | None:
    return await anext(events, None)
