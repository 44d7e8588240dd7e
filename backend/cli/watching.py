"""Following one run to its end or rest, with progress, questions and Ctrl-C.

Owns the loop that `run`, `resume` and `demo` share. Who watches decides nothing: the run is the engine's.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from backend.cli.interrupts import interruptible
from backend.cli.progress import Progress
from backend.cli.render import WARN, Line
from infrastructure.events.catalogue import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalGiven,
    Event,
    RunFinished,
    RunInterrupted,
    RunStarted,
)
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.running.errors import RunNotWaiting
from infrastructure.tasks import RunResult

BY_USER = "stopped by its user"
LOOK_AGAIN_SECONDS = 0.05
_TRIES = 100


class Watchable(Protocol):
    """What of the engine is needed here."""

    def follow(self, run: RunId, after: int = 0) -> AsyncGenerator[Stored]:
        """A run's events, until it is finished or rests."""
        ...

    async def result(self, run: RunId) -> RunResult:
        """Its result, when it has one."""
        ...

    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        """Answer an approval."""
        ...

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop a run where it can go on."""
        ...


Asker = Callable[[ApprovalAsked], Awaitable[tuple[bool, str] | None]]
"""Yes or no, with a reason; None where nobody is there to say."""
OnNobody = Callable[[], Awaitable[None]]
OnStored = Callable[[Stored], None]


async def watch(
    engine: Watchable,
    run: RunId,
    progress: Progress,
    *,
    after: int = 0,
    ask: Asker | None = None,
    on_nobody: OnNobody | None = None,
    on_stored: OnStored = lambda stored: None,
) -> RunResult:
    """Show a run until it is finished or rests, and return what came of it.

    Args:
        engine: Runs it.
        run: The run.
        progress: Where it is shown.
        after: Events up to this number were seen before.
        ask: Asks the person; None where nobody can be asked, so that the engine ends the run at a gate.
        on_nobody: What is done when nobody answers after all; the run is interrupted when None.
        on_stored: Told of every event first.
    """
    async with asyncio.TaskGroup() as beside:
        watcher = _Watcher(engine, run, progress, ask, on_nobody, beside)
        with interruptible(watcher.stop):
            ending = beside.create_task(engine.result(run))
            while True:
                over = ending.done()
                async with aclosing(engine.follow(run, after)) as stream:
                    async for stored in stream:
                        after = stored.seq
                        on_stored(stored)
                        watcher.see(stored)
                if over:
                    break
                # A run that was only just resumed still rests by its events: its stream ends before it has begun.
                await asyncio.wait([ending], timeout=LOOK_AGAIN_SECONDS)
        watcher.forget_question()
    return ending.result()


class _Watcher:
    """The two things that may go on beside: stopping and asking."""

    def __init__(
        self,
        engine: Watchable,
        run: RunId,
        progress: Progress,
        ask: Asker | None,
        on_nobody: OnNobody | None,
        beside: asyncio.TaskGroup,
    ) -> None:
        self._engine, self._run, self._progress, self._ask = engine, run, progress, ask
        self._on_nobody, self._beside = on_nobody, beside
        self._question: asyncio.Task[None] | None = None
        self._given: set[str] = set()
        self._asked: set[str] = set()
        self._at_gate = False
        self._rested: RunInterrupted | None = None

    def stop(self) -> None:
        """The first Ctrl-C."""
        self._progress.line(Line("stopping; Ctrl-C again ends this at once", WARN))
        self.forget_question()
        self._beside.create_task(self._engine.interrupt(self._run, BY_USER))

    def see(self, stored: Stored) -> None:
        """Take an event in."""
        event = stored.event
        self._show(event)
        match event:
            case ApprovalAsked() if self._ask is not None:
                self.forget_question()
                self._given.discard(event.approval)
                self._question = self._beside.create_task(self._put(self._ask, event))
            case ApprovalGiven():
                self._given.add(event.approval)
                self.forget_question()
            case _:
                pass

    def forget_question(self) -> None:
        """Take back what was asked: it is answered, or will not be."""
        if self._question is not None:
            self._question.cancel()
            self._question = None

    def _show(self, event: Event) -> None:
        """Show it, but for what the verdict says, and more, and for what only repeats a question."""
        if self._rested is not None:  # another holder goes on with it
            self._progress.event(self._rested)
            self._rested = None
        match event:
            case RunFinished() | ApprovalDecided():  # what was decided, the run says when it goes on with it
                return
            case RunInterrupted():
                self._rested = event
            case ApprovalAsked() if event.approval in self._asked:
                self._at_gate = True
            case RunStarted() if self._at_gate:  # that it goes on, the answer says
                return
            case _:
                self._at_gate = isinstance(event, ApprovalAsked)
                if isinstance(event, ApprovalAsked):
                    self._asked.add(event.approval)
                self._progress.event(event)

    async def _put(self, ask: Asker, asked: ApprovalAsked) -> None:
        answer = await ask(asked)
        self._question = None  # from here on it is the engine's: an event that follows must not take it back
        if answer is not None:
            await self._answer(asked.approval, *answer)
        elif self._on_nobody is None:
            await self._engine.interrupt(self._run, "nobody answered")
        else:
            self._ask = None  # the run asks once more, and ends for want of an answer
            await self._on_nobody()

    async def _answer(self, approval: str, approved: bool, reason: str) -> None:
        """Hand the answer over. The question is told a moment before the run is ready for its answer."""
        for _ in range(_TRIES):
            try:
                return await self._engine.answer(self._run, approval, approved, reason)
            except RunNotWaiting:
                if approval in self._given:
                    return None  # it was taken; its holder died before it could say so
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        await self._engine.answer(self._run, approval, approved, reason)
        return None
