"""One call from its place in the queue to its last chunk.

Owns the order of things: wait for a slot, send, pass chunks on, close, free the slot; and what follows a failure, a
cancellation or a lost slot at each point. Runs in its caller's task: there is no task of its own and no queue between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from infrastructure.pool.calls import CallUpdate, Reply
from infrastructure.pool.errand import Errand, by_deadline, estimated_tokens, phases_left, request_options
from infrastructure.pool.errors import DeadlinePassed, PoolClosed, Preempted
from infrastructure.pool.failures import after_failure, may_try_elsewhere
from infrastructure.pool.lateness import Lateness
from infrastructure.pool.observing import tell_end
from infrastructure.pool.states import CallState
from infrastructure.transport.errors import ContextExceeded, OllamaError, Phase, PhaseTimeout, StreamBroken
from infrastructure.transport.gathering import Gathered
from infrastructure.transport.window import check_window

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agents.model import Options
    from infrastructure.pool.asks import Chunks
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.hedging import Hedge
    from infrastructure.pool.server_state import Berth
    from infrastructure.pool.ticket import Slot, Ticket
    from infrastructure.transport.errors import Partial
    from infrastructure.transport.messages import Chunk, Metrics


class _SlotTaken(Exception):
    """The slot was taken while the caller was busy with the last chunk."""


class Run:
    """Carries out one errand. `chunks` may be used once; `reply` is there when it has ended well."""

    def __init__(self, errand: Errand, dispatcher: Dispatcher) -> None:
        self.errand = errand
        self.reply: Reply | None = None
        self._pool = dispatcher
        self._slot: Slot | None = None
        self._stream: Chunks | None = None
        self._reader: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._taken = False
        self._cancelled_reader = False
        self._end_with: OllamaError | None = None
        self._ended: CallState | None = None
        self._last_error: OllamaError | None = None
        self._lateness = Lateness(self, dispatcher)
        self._loaded: bool | None = None
        self._where: str | None = None
        self._sent_at = 0.0
        self._first_byte_at: float | None = None
        self._gathered = Gathered()
        self._options: Options = {}
        self.ticket: Ticket
        self._berth: Berth

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks, the last one with `final`. With `whole` only that one.

        Raises:
            OllamaError: of the pool or of the wire; nothing else comes from here, apart from what `watch` raises.
        """
        errand, pool = self.errand, self._pool
        self.ticket = pool.admit(
            errand.lane,
            errand.call,
            prompt_tokens=estimated_tokens(errand, pool),
            read=not errand.whole,
            embeds=errand.ask.embeds,
        )
        self._pool.register(self)
        final: Chunk | None = None
        try:
            self._tell()
            while self.reply is None:
                if not self._lateness.going_over:
                    await self._take_turn()
                try:
                    async for chunk in await self._open():
                        self._note()
                        if chunk.final is not None:
                            final = chunk
                        elif not self.errand.whole:
                            self._reader = None
                            self.ticket.begun = True
                            yield chunk
                            self._resume()
                    self._done(final)
                except (asyncio.CancelledError, GeneratorExit, _SlotTaken, OllamaError) as end:
                    self._ended_early(end)
                finally:
                    self._reader = None
                    self._stop(CallState.FAILED)
                    await self._close()
        finally:
            await self._leave()
        if final is not None:
            yield final

    @property
    def characters(self) -> int:
        """How much of the answer has come."""
        return self._gathered.characters

    @property
    def partial(self) -> Partial:
        """What has come of the answer."""
        return self._gathered.partial

    @property
    def reading(self) -> bool:
        """Whether somebody waits for the next chunk."""
        return self._reader is not None

    def interrupt(self, slot: Slot, error: OllamaError | None) -> None:
        """The scheduler took the slot: close, free it, then fail with the error, or go on if None."""
        if self._lateness.going_over:  # of the two, this is the other server's
            self._end_with = error
            self._lateness.release(slot)
            return
        self._slot = slot
        self._taken = True
        self._end_with = error
        if self._reader is not None and self._reader is asyncio.current_task():
            return  # by its own doing, at its first byte: it looks there
        if self._reader is not None:
            self._cancelled_reader = True
            self._reader.cancel()
        else:  # the caller is busy with a chunk and may stay so for long
            self._pool.background.start(self._close(), "close a stream whose slot was taken")

    def tell_position(self, position: int) -> None:
        """Tell whoever watches how many calls go before this one."""
        if self.errand.watch is not None:
            self.errand.watch(self._update(self.ticket.state, position))

    # ------------------------------------------------------------------------------------ the way forward
    async def _take_turn(self) -> None:
        if self.ticket.state is CallState.PREEMPTED:
            if self._pool.closed:
                self._pool.scheduler.give_up_preempted(self.ticket, CallState.FAILED)
                raise PoolClosed
            self._pool.return_preempted(self.ticket)
            self._tell()
        try:
            self._slot = await self._pool.turn(self.ticket)
        except OllamaError as error:
            self._end_as(CallState.FAILED)
            if self._last_error is None:
                raise
            raise after_failure(self._last_error, error) from self._last_error
        except asyncio.CancelledError:
            self._end_as(CallState.CANCELLED)
            raise
        self._berth = self._slot.berth

    async def _open(self) -> AsyncIterator[Chunk]:
        if self._lateness.going_over:
            hedge = self._go_over()
            self._read_as_current_task()
            return hedge.chunks()
        server, self._where = self._server, self._label
        self._taken = self._cancelled_reader = False
        self._loaded = self._pool.scheduler.servers[server].loaded(self.errand.lane) > 0
        self._tell()
        self._pool.scheduler.advance(self.ticket, CallState.CONNECTING)
        self._tell()
        self._sent_at = self._pool.clock()
        self._options = request_options(self.errand, self._pool, server)
        stream = self.errand.ask.send(
            self._pool.inventory.client(server),
            self.errand.settings,
            self._options,
            phases_left(self.errand, self._pool, self.ticket.enqueued_at),
            self._on_phase,
        )
        self._read_as_current_task()
        self._lateness.watch()
        chunks = await stream.__aenter__()
        self._stream, self._gathered = stream, chunks.gathered
        if self.ticket.state is CallState.CONNECTING:
            self._on_phase(Phase.FIRST_BYTE)
        return chunks

    # ---------------------------------------------------------------------------------- a second server
    @property
    def waits(self) -> bool:
        """Whether it has been sent, has had no byte, and is still this server's to answer."""
        waiting = self.ticket.state is CallState.WAITING and self._first_byte_at is None
        return waiting and not self._taken and self._reader is not None

    def leave(self) -> None:
        """Leave this server, whose slot is cancelling: the other one has answered."""
        self._taken = self._cancelled_reader = True
        if self._reader is not None:
            self._reader.cancel()

    def _go_over(self) -> Hedge:
        """The stream and the slot of the other server are this call's now."""
        hedge = self._lateness.arrive()
        self._taken = self._cancelled_reader = False
        self._slot, self._stream, self._gathered = self.ticket.slot, hedge.stream, hedge.gathered
        self._where, self._options = self._label, hedge.options
        self._berth = hedge.slot.berth
        self._sent_at = hedge.sent_at
        return hedge

    def _on_phase(self, phase: Phase) -> None:
        if phase is Phase.FIRST_BYTE and self.ticket.state is CallState.CONNECTING:
            self._pool.scheduler.advance(self.ticket, CallState.WAITING)
            self._tell()

    def _note(self) -> None:
        if self._first_byte_at is None:
            self._first_byte()
            if self._taken:
                raise _SlotTaken
        self._berth.heard = True

    def _first_byte(self) -> None:
        self._first_byte_at = self._pool.clock()
        self._lateness.end()
        self._pool.scheduler.advance(self.ticket, CallState.STREAMING)
        if self._pool.scheduler.answered(self.ticket, self._server, self._first_byte_at):
            self._pool.pump()
        if self.errand.size:
            self._pool.inventory.learn_window(self._server, self.errand.lane)
        self._tell()

    def _resume(self) -> None:
        if self._taken:
            raise _SlotTaken
        self._read_as_current_task()

    def _read_as_current_task(self) -> None:
        task = asyncio.current_task()
        self._reader = task
        self._cancelling = task.cancelling() if task else 0

    # ----------------------------------------------------------------------------------------- the ends
    def _done(self, final: Chunk | None) -> None:
        if final is None or final.final is None:
            raise StreamBroken(self._gathered.partial, "the answer ended without its last line", server=self._label)
        pool, metrics = self._pool, final.final.metrics
        if self.errand.size:
            self._check_window(metrics)
        now = pool.clock()
        first_byte = (self._first_byte_at or now) - self._sent_at
        cached = pool.scheduler.estimates.cached(
            self._server, self.errand.lane, metrics.prompt_tokens, metrics.prompt_ns / 1e9
        )
        pool.figures.served(self._server, self.errand.lane, metrics, first_byte)
        pool.budget.answered()
        pool.hedges.answered()
        pool.scheduler.served(self.ticket, metrics, now - self._sent_at, now)
        said = self._gathered.partial
        self.reply = Reply(
            text=said.text,
            thinking=said.thinking,
            tool_calls=tuple(self._gathered.tool_calls),
            finish=final.final.finish,
            metrics=metrics,
            model=self.errand.settings.model,
            server=self._label,
            attempts=self.ticket.attempts,
            queued_seconds=self.ticket.queued_seconds,
            first_byte_seconds=first_byte,
            seconds=now - self.ticket.enqueued_at,
            cached_tokens=cached,
            window=pool.inventory.window(self._server, self.errand.lane),
            num_predict=_whole(self._options.get("num_predict")),
            doubted=self._is_doubtful(metrics),
        )
        pool.scheduler.end(self.ticket)  # the server is done with it, whatever becomes of the connection
        self._slot = None
        self._end_as(CallState.DONE)
        pool.pump()

    def _learn(self, refusal: ContextExceeded) -> None:
        """A refusal counts, and names the window, as an answer does."""
        pool, errand = self._pool, self.errand
        if refusal.prompt_tokens:
            pool.figures.learn(errand.lane.model, errand.size, errand.ask.turns, refusal.prompt_tokens)
        if refusal.window:
            pool.inventory.see_window(self._server, errand.lane, refusal.window)

    def _is_doubtful(self, metrics: Metrics) -> bool:
        errand = self.errand
        return self._pool.doubts.doubtful(
            self._server, errand.lane, errand.ask.text, errand.size, errand.ask.turns, metrics.prompt_tokens
        )

    def _check_window(self, metrics: Metrics) -> None:
        pool, errand, lane = self._pool, self.errand, self.errand.lane
        estimate, bound = estimated_tokens(errand, pool), self._options.get("num_predict")
        pool.figures.learn(lane.model, errand.size, errand.ask.turns, metrics.prompt_tokens)
        check_window(
            metrics,
            pool.inventory.window(self._server, lane),
            estimated_tokens=estimate,
            num_predict=_whole(bound),
            server=self._label,
        )

    def _ended_early(self, end: BaseException) -> None:
        """An attempt ended without its last chunk: arrange another one, or raise."""
        if isinstance(end, OllamaError):
            self._failed(end)
        elif isinstance(end, GeneratorExit):
            self._stop(CallState.CANCELLED)
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
        pool, server = self._pool, self._server
        first_byte_seen = self._first_byte_at is not None
        pool.blame(server, self.errand.lane, error, answering=first_byte_seen)
        if isinstance(error, ContextExceeded):
            self._learn(error)
        moves = len(self.ticket.excluded)  # a slot that was taken away is no failure
        if not pool.closed and may_try_elsewhere(
            error, first_byte_seen=first_byte_seen, moves=moves, budget=pool.budget
        ):
            self._last_error = error
            pool.move(self.ticket, server)
            self._tell()
            return
        self._stop(CallState.FAILED)
        if isinstance(error, PhaseTimeout) and error.phase is Phase.TOTAL and by_deadline(self.errand, pool):
            raise DeadlinePassed(pool.clock() - self.ticket.enqueued_at, self._gathered.partial) from error
        raise error

    def _is_callers(self) -> bool:
        """Whether a cancellation came from outside, not only from the pool that took the slot."""
        task = asyncio.current_task()
        if self._taken and not self._cancelled_reader:
            return False
        if self._cancelled_reader and task is not None and task.uncancel() <= self._cancelling:
            return False
        if self._has_moved:
            self._pool.abandon(self.ticket)
            self._end_as(CallState.CANCELLED)
        else:
            self._stop(CallState.CANCELLED)
        return True

    @property
    def _has_moved(self) -> bool:
        """Whether the slot was taken since the server does not answer: the call waits for another one, or has it."""
        return self._taken and self.ticket.state in (CallState.QUEUED, CallState.PLACED)

    def _go_on_or_fail(self) -> None:
        """The slot was taken: begin anew if nobody has had a part of the answer, else raise."""
        if self._end_with is not None:
            self._end_as(CallState.FAILED)
            raise self._end_with
        if self.ticket.begun:
            self._pool.scheduler.give_up_preempted(self.ticket, CallState.FAILED)
            self._end_as(CallState.FAILED)
            raise Preempted(self._gathered.partial)
        self._tell(CallState.QUEUED if self._has_moved else None)  # it may have another slot by now
        self._first_byte_at = None
        self._gathered = Gathered()

    def _stop(self, state: CallState) -> None:
        """End a call in flight; nothing happens to one that is not."""
        if self.ticket.state is CallState.PREEMPTED and state is CallState.CANCELLED:
            self._pool.scheduler.give_up_preempted(self.ticket, state)
        elif self.ticket.state.holds_slot and self.ticket.slot is self._slot:
            self._pool.scheduler.stop(self.ticket, state)
        else:
            return
        self._end_as(state)

    async def _leave(self) -> None:
        try:
            if self._lateness.going_over:  # ended between two steps
                self._go_over()
                self._stop(CallState.CANCELLED)
                await self._close()
        finally:
            self._lateness.end()
            self._count_end()
            self._pool.forget(self)

    async def _close(self) -> None:
        """Close the stream, then free the slot. Whoever comes first does it, the other has nothing to do."""
        stream, self._stream = self._stream, None
        slot, self._slot = self._slot, None
        try:
            if stream is not None:
                await stream.__aexit__(None, None, None)
        except asyncio.CancelledError:
            if (
                self._ended is CallState.FAILED
            ):  # left while the failed attempt was being closed: it never sees the error
                self._ended = CallState.CANCELLED
            raise
        finally:
            if slot is not None:
                self._pool.free(slot)

    def _end_as(self, state: CallState) -> None:
        self._ended = state
        self._tell()

    def _count_end(self) -> None:
        """Count how the call ended: once, as its caller saw it."""
        pool, state = self._pool, self._ended
        if state is None:
            return
        pool.counts[state.value] += 1
        if pool.observers:
            seconds = pool.clock() - self.ticket.enqueued_at
            where, reply = self._where, self.reply
            tell_end(pool.observers, self.errand, self.ticket, state, server=where, seconds=seconds, reply=reply)

    # ---------------------------------------------------------------------------------------- what is told
    @property
    def _server(self) -> str:
        assert self._slot is not None, "only while the call holds a slot"
        return self._slot.server

    @property
    def _label(self) -> str:
        return self._pool.servers[self._server].label

    def _tell(self, state: CallState | None = None) -> None:
        if self.errand.watch is not None:
            state = state or self.ticket.state
            waits = state is CallState.QUEUED
            self.errand.watch(self._update(state, self._pool.position(self.ticket) if waits else None))

    def _update(self, state: CallState, position: int | None) -> CallUpdate:
        return CallUpdate(
            state=state,
            server=self._where if self.ticket.attempts else None,
            position=position,
            attempt=self.ticket.attempts,
            loaded=self._loaded,
            seconds=self._pool.clock() - self.ticket.enqueued_at,
            reply=self.reply,
        )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
