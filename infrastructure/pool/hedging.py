"""A second server is asked when the first one is late with its first byte.

Owns the twin of a call: another slot, another stream, a task that waits for its first chunk. Whichever answers first
goes on; the other is cancelled. Only to a slot that is free, of a server that has the model loaded, and for a small
share of all calls (Dean and Barroso, "The Tail at Scale", 2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.errand import phases_left, request_options
from infrastructure.pool.states import CallState
from infrastructure.transport.errors import OllamaError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from agents.model import Options
    from infrastructure.pool.asks import ChunkReader, Chunks
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.errand import Errand
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.errors import Phase
    from infrastructure.transport.gathering import Gathered
    from infrastructure.transport.messages import Chunk


class Hedge:
    """One call's twin. `won` is told, in the event loop, when its first chunk is here."""

    def __init__(self, errand: Errand, pool: Dispatcher, twin: Ticket, won: Callable[[], None]) -> None:
        assert twin.slot is not None
        self.twin = twin
        self.slot: Slot = twin.slot
        self.options: Options = request_options(errand, pool, self.slot.server)
        self.stream: Chunks | None = None
        self.first: Chunk | None = None
        self._errand = errand
        self._pool = pool
        self._won = won
        self._chunks: ChunkReader | None = None
        self._adopted = False
        self._begun = False
        self.sent_at = pool.clock()
        self._limits = phases_left(errand, pool, twin.enqueued_at)
        self.ends_at = self.sent_at + self._limits.total
        """When its time is over."""
        self._task = pool.background.start(self._ask(), "ask a second server")

    def adopt(self, ticket: Ticket) -> None:
        """From now on the call goes on here; the slot it had is cancelling, and the caller's to free."""
        self._adopted = True
        self._pool.scheduler.swap(ticket, self.twin)
        self._pool.scheduler.stop(self.twin, CallState.CANCELLED)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The answer from its first chunk on."""
        assert self.first is not None
        assert self._chunks is not None
        yield self.first
        async for chunk in self._chunks:
            yield chunk

    @property
    def gathered(self) -> Gathered:
        """What has come so far, the first chunk included."""
        assert self._chunks is not None
        return self._chunks.gathered

    def give_up(self) -> None:
        """The other one was faster, or nobody wants an answer any more. Nothing happens after `adopt`."""
        if self._adopted:
            return
        self._adopted = True
        if self.first is not None:
            self._pool.background.start(self._close(CallState.CANCELLED), "close a second server's answer")
            return
        self._task.cancel()
        if not self._begun:  # a task that is cancelled before its first step never comes to its `finally`
            self._pool.scheduler.stop(self.twin, CallState.CANCELLED)
            self._pool.free(self.slot)

    async def release(self, slot: Slot) -> None:
        """After `adopt`: the call does not go on here either. Its slot is cancelling."""
        try:
            if self.stream is not None:
                await self.stream.__aexit__(None, None, None)
        finally:
            self._pool.free(slot)

    async def _ask(self) -> None:
        errand, pool, slot = self._errand, self._pool, self.slot
        state = CallState.CANCELLED
        self._begun = True
        try:
            pool.scheduler.advance(self.twin, CallState.CONNECTING)
            self.stream = errand.ask.send(
                pool.inventory.client(slot.server),
                errand.settings,
                self.options,
                self._limits,
                _ignore,
            )
            self._chunks = await self.stream.__aenter__()
            pool.scheduler.advance(self.twin, CallState.WAITING)
            self.first = await anext(self._chunks)
        except (OllamaError, StopAsyncIteration):
            state = CallState.FAILED
        finally:
            if self.first is None:
                await self._close(state)
        if self.first is not None:
            self._won()

    async def _close(self, state: CallState) -> None:
        self._pool.scheduler.stop(self.twin, state)
        try:
            if self.stream is not None and self._chunks is not None:
                await self.stream.__aexit__(None, None, None)
        finally:
            self._pool.free(self.slot)


def _ignore(phase: Phase) -> None:
    """Where the twin stands is nobody's business."""
