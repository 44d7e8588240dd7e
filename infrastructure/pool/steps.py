"""The steps of one call: what is done at each, and what follows a failure, a cancellation or a lost slot there.

Owns the call's slot and stream while it has them. The order of the steps is `run`'s.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from infrastructure.pool.errand import Errand, by_deadline, estimated_tokens, phases_left, request_options
from infrastructure.pool.errors import DeadlinePassed, PoolClosed, Preempted
from infrastructure.pool.failures import after_failure, may_try_elsewhere
from infrastructure.pool.lateness import Lateness
from infrastructure.pool.reader import Reader
from infrastructure.pool.sent import Sent, answered, refused
from infrastructure.pool.states import CallState
from infrastructure.pool.telling import Telling
from infrastructure.transport.errors import ContextExceeded, OllamaError, Partial, Phase, PhaseTimeout, StreamBroken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infrastructure.pool.asks import Chunks
    from infrastructure.pool.calls import Reply
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.hedging import Hedge
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.messages import Chunk


# For what is asked at every step: a member that is looked up by its class costs as much as three calls (measured).
_CONNECTING, _WAITING, _STREAMING = CallState.CONNECTING, CallState.WAITING, CallState.STREAMING
_PREEMPTED, _DONE, _FAILED, _CANCELLED = CallState.PREEMPTED, CallState.DONE, CallState.FAILED, CallState.CANCELLED
_FIRST_BYTE = Phase.FIRST_BYTE


class SlotTaken(Exception):
    """The slot was taken while the caller was busy with the last chunk."""


class Steps:
    """Of one errand. `reply` is there when it has ended well."""

    left: frozenset[str] = frozenset()

    def __init__(self, errand: Errand, dispatcher: Dispatcher) -> None:
        self.errand = errand
        self.reply: Reply | None = None
        self._pool = dispatcher
        self._slot: Slot | None = None
        self._sent: Sent | None = None
        self._stream: Chunks | None = None
        self._reader = Reader()
        self._taken = False
        self._taken_to: CallState | None = None  # what became of the call by that, until it is told
        self._end_with: OllamaError | None = None
        self._last_error: OllamaError | None = None
        self._lateness: Lateness | None = None
        self._telling = Telling(errand, dispatcher)
        self.ticket: Ticket

    @property
    def ends_at(self) -> float:
        """When its time is over, by the pool's clock, where it is a stream that has been sent; else infinite."""
        return math.inf if self._sent is None or self.errand.whole else self._sent.ends_at

    @property
    def characters(self) -> int:
        """How much of the answer has come."""
        return 0 if self._sent is None else self._sent.gathered.characters

    @property
    def partial(self) -> Partial:
        """What has come of the answer."""
        return Partial() if self._sent is None else self._sent.gathered.partial

    @property
    def reading(self) -> bool:
        """Whether somebody waits for the next chunk."""
        return self._reader.task is not None

    def interrupt(self, slot: Slot, error: OllamaError | None) -> None:
        """The scheduler took the slot: close, free it, then fail with the error, or go on if None."""
        self._taken_to = self.ticket.state if error is None else None
        if self._lateness is not None and self._lateness.going_over:  # of the two, this is the other server's
            self._end_with = error
            self._lateness.release(slot)
            return
        self._slot = slot
        self._taken = True
        self._end_with = error
        if self._reader.task is not None and self._reader.task is asyncio.current_task():
            return  # by its own doing, at its first byte: it looks there
        if self._reader.task is not None:
            self._reader.cancel()
        else:  # the caller is busy with a chunk and may stay so for long
            self._pool.background.start(self._close(), "close a stream whose slot was taken")

    def tell_position(self, position: int) -> None:
        """Tell whoever watches how many calls go before this one."""
        self._telling.tell_position(self.ticket, position)

    # ------------------------------------------------------------------------------------ to the server
    def _begin(self) -> None:
        errand, pool, tokens = self.errand, self._pool, estimated_tokens(self.errand, self._pool)
        try:
            self.ticket = pool.admit(
                errand.lane, errand.call, prompt_tokens=tokens, read=not errand.whole, embeds=errand.ask.embeds
            )
        except OllamaError:
            self._telling.count_refused()
            raise
        pool.register(self)

    async def _take_turn(self) -> None:
        if self.ticket.state is _PREEMPTED:
            if self._pool.closed:
                raise PoolClosed
            self._pool.return_preempted(self.ticket)
            self._tell()
        try:
            self._slot = await self._pool.turn(self.ticket)
        except OllamaError as error:
            if self._last_error is None:
                raise
            raise after_failure(self._last_error, error) from self._last_error

    async def _open(self) -> tuple[AsyncIterator[Chunk], Sent]:
        if self._goes_over:
            hedge, sent = self._go_over()
            self._reader.begin()
            return hedge.chunks(), sent
        pool, errand, ticket, slot = self._pool, self.errand, self.ticket, self._slot
        assert slot is not None
        self._taken = self._reader.cancelled = False
        self._sent = sent = Sent.to(slot, pool, request_options(errand, pool, slot.server), pool.clock())
        self._telling.where = sent.label
        if errand.watch is not None:
            self._telling.loaded = pool.scheduler.servers[slot.server].loaded(errand.lane) > 0
            self._tell()
        pool.scheduler.advance(ticket, _CONNECTING)
        self._tell()
        client, limits = pool.inventory.client(slot.server), phases_left(errand, pool, ticket.enqueued_at)
        if not errand.whole:
            sent.ends_at = sent.at + limits.total
            pool.overdue.watch(sent.ends_at)
        stream = errand.ask.send(client, errand.settings, sent.options, limits, self._on_phase)
        self._reader.begin()
        if self._lateness is not None or len(pool.servers) > 1:
            self._watch_lateness()
        chunks = await stream.__aenter__()
        self._stream, sent.gathered = stream, chunks.gathered
        if ticket.state is _CONNECTING:
            self._on_phase(_FIRST_BYTE)
        return chunks, sent

    # ---------------------------------------------------------------------------------- a second server
    @property
    def _goes_over(self) -> bool:
        return self._lateness is not None and self._lateness.going_over

    def _watch_lateness(self) -> None:
        self._lateness = self._lateness or Lateness(self, self._pool)
        self._lateness.watch()

    @property
    def waits(self) -> bool:
        """Whether it has been sent, has had no byte, and is still this server's to answer."""
        waiting = self.ticket.state is _WAITING and not self._has_first_byte
        return waiting and not self._taken and self.reading

    def leave(self) -> None:
        """Leave this server, whose slot is cancelling: the other one has answered."""
        self._taken = True
        self._reader.cancel()

    def _go_over(self) -> tuple[Hedge, Sent]:
        """The stream and the slot of the other server are this call's now."""
        assert self._lateness is not None, "only while it is going over"
        hedge = self._lateness.arrive()
        self._taken = self._reader.cancelled = False
        self._slot, self._stream = self.ticket.slot, hedge.stream
        self._sent = sent = Sent.to(hedge.slot, self._pool, hedge.options, hedge.sent_at, hedge.gathered)
        sent.ends_at = hedge.ends_at
        self._telling.where = sent.label
        return hedge, sent

    def _on_phase(self, phase: Phase) -> None:
        if phase is _FIRST_BYTE and self.ticket.state is _CONNECTING:
            self._pool.scheduler.advance(self.ticket, _WAITING)
            self._tell()

    def _first_byte(self, sent: Sent) -> None:
        pool = self._pool
        sent.first_byte_at = pool.clock()
        if self._lateness is not None:
            self._lateness.end()
        pool.scheduler.advance(self.ticket, _STREAMING)
        if pool.scheduler.answered(self.ticket, sent.server, sent.first_byte_at):
            pool.pump()
        if self.errand.size:
            pool.inventory.learn_window(sent.server, self.errand.lane)
        self._tell()
        if self._taken:
            raise SlotTaken

    def _resume(self) -> None:
        if self._taken:
            raise SlotTaken
        self._reader.begin()

    # ----------------------------------------------------------------------------------------- the ends
    def _done(self, sent: Sent, final: Chunk | None) -> None:
        if final is None or final.final is None:
            raise StreamBroken(sent.gathered.partial, "the answer ended without its last line", server=sent.label)
        self.reply = answered(sent, self.errand, self.ticket, self._pool, final.final)
        self._pool.scheduler.end(self.ticket)  # the server is done with it, whatever becomes of the connection
        self._slot = None
        self._pool.pump()

    def _ended_early(self, end: BaseException) -> None:
        """An attempt ended without its last chunk: arrange another one, or raise."""
        if isinstance(end, OllamaError):
            self._failed(end)
        elif isinstance(end, GeneratorExit):
            self._stop(_CANCELLED)
            raise end
        elif isinstance(end, asyncio.CancelledError) and self._is_callers():
            raise end
        else:
            self._go_on_or_fail()

    def _failed(self, error: OllamaError) -> None:
        """Arrange another attempt, or raise."""
        if self._taken:
            if self._is_callers():  # the transport may have turned our cancellation into an error of its own
                raise asyncio.CancelledError from error
            self._go_on_or_fail()
            return
        pool, sent, first_byte_seen = self._pool, self._sent, self._has_first_byte
        assert sent is not None, "only what was sent fails"
        pool.blame(sent.server, self.errand.lane, error, answering=first_byte_seen)
        if isinstance(error, ContextExceeded):
            refused(sent, self.errand, pool, error)
        moves = len(self.ticket.excluded)  # a slot that was taken away is no failure
        if not pool.closed and may_try_elsewhere(
            error, first_byte_seen=first_byte_seen, moves=moves, budget=pool.budget
        ):
            self._last_error = error
            pool.move(self.ticket, sent.server)
            self._tell()
            return
        self._stop(_FAILED)
        if isinstance(error, PhaseTimeout) and error.phase is Phase.TOTAL and by_deadline(self.errand, pool):
            raise DeadlinePassed(pool.clock() - self.ticket.enqueued_at, self.partial) from error
        raise error

    def _is_callers(self) -> bool:
        """Whether a cancellation came from outside, not only from the pool that took the slot."""
        if self._taken and not self._reader.cancelled:
            return False
        if self._reader.only_by_pool():
            return False
        self._tell_taken()
        if self._has_moved:
            self._pool.abandon(self.ticket)
        else:
            self._stop(_CANCELLED)
        return True

    @property
    def _has_moved(self) -> bool:
        """Whether the slot was taken since the server does not answer: the call waits for another one, or has it."""
        return self._taken and self.ticket.state in (CallState.QUEUED, CallState.PLACED)

    def _go_on_or_fail(self) -> None:
        """The slot was taken: begin anew if nobody has had a part of the answer, else raise."""
        if self._end_with is not None:
            raise self._end_with
        self._tell_taken()
        if self.ticket.begun:
            raise Preempted(self.partial)
        self._sent = None

    def _tell_taken(self) -> None:
        """The call is queued again, or was pre-empted: it may have another slot, or be over, by now."""
        state, self._taken_to = self._taken_to, None
        if state is not None:
            self._tell(state)

    def _stop(self, state: CallState) -> None:
        """End a call in flight; nothing happens to one that is not."""
        if self.ticket.state.holds_slot and self.ticket.slot is self._slot:
            self._pool.scheduler.stop(self.ticket, state)

    async def _leave(self, ended: CallState) -> None:
        try:
            if self._goes_over:  # ended between two steps
                self._go_over()
                self._stop(_CANCELLED)
                await self._close()
        except asyncio.CancelledError:
            ended = _CANCELLED
            raise
        finally:
            if self._lateness is not None:
                self._lateness.end()
                self._lateness = None  # it holds this call: both would stay until a collection of garbage
            if self.ticket.state is _PREEMPTED:
                self._pool.scheduler.give_up_preempted(self.ticket, ended)
            self._pool.forget(self)
            reply, self.reply = self.reply if ended is _DONE else None, None  # one that comes to nobody is none
            self._telling.tell_end(self.ticket, reply, ended)
            self.reply = reply

    async def _let_go(self) -> None:
        """An attempt is over, one way or the other."""
        self._reader.task = None
        self._stop(_FAILED)
        await self._close()

    async def _close(self) -> None:
        """Close the stream, then free the slot. Whoever comes first does it, the other has nothing to do."""
        stream, self._stream = self._stream, None
        slot, self._slot = self._slot, None
        try:
            if stream is not None:
                await stream.__aexit__(None, None, None)
        finally:
            if slot is not None:
                self._pool.free(slot)

    @property
    def _has_first_byte(self) -> bool:
        return self._sent is not None and self._sent.first_byte_at is not None

    def _tell(self, state: CallState | None = None) -> None:
        if self.errand.watch is not None:
            self._telling.tell(self.ticket, self.reply, state)
