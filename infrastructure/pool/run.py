"""One call from its place in the queue to its last chunk.

Owns the order of things: wait for a slot, send, pass chunks on, close, free the slot; and again where an attempt came
to nothing. What each step does, and what follows when one fails, is `steps`'. Runs in its caller's task: there is no
task of its own and no queue between.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from infrastructure.pool.states import CallState
from infrastructure.pool.steps import SlotTaken, Steps
from infrastructure.transport.errors import OllamaError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from infrastructure.pool.calls import Reply
    from infrastructure.transport.messages import Chunk

_QUEUED, _DONE, _FAILED, _CANCELLED = CallState.QUEUED, CallState.DONE, CallState.FAILED, CallState.CANCELLED
_ENDS = (asyncio.CancelledError, GeneratorExit, SlotTaken, OllamaError)


class Run(Steps):
    """Carries out one errand, by `chunks` or by `whole`, once. `reply` is there when it has ended well."""

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks, the last one with `final`; of an errand that wants the whole, only that one.

        Raises:
            OllamaError: of the pool or of the wire; nothing else comes from here, apart from what `watch` raises.
        """
        if self.errand.whole:
            yield await self._last_chunk()
            return
        self._begin()
        final: Chunk | None = None
        ended = _FAILED  # as its caller sees it, which is not known before the last wait is over
        try:
            self._tell(_QUEUED)
            while self.reply is None:
                if not self._goes_over:
                    await self._take_turn()
                try:
                    chunks, sent = await self._open()
                    async for chunk in chunks:
                        if sent.first_byte_at is None:
                            self._first_byte(sent)
                        sent.berth.heard = True
                        if chunk.final is not None:
                            final = chunk
                        else:
                            self._reader.task = None
                            self.ticket.begun = True
                            yield chunk
                            self._resume()
                    self._done(sent, final)
                except _ENDS as end:
                    self._ended_early(end)
                finally:
                    await self._let_go()
            ended = _DONE
        except (asyncio.CancelledError, GeneratorExit):
            ended = _CANCELLED
            raise
        finally:
            await self._leave(ended)
        if final is not None:
            yield final

    async def whole(self) -> Reply:
        """The whole answer: the same without a generator in between, which costs as much as a token.

        Raises:
            OllamaError: as from `chunks`.
        """
        await self._last_chunk()
        assert self.reply is not None, "a call that ended without an error has its reply"
        return self.reply

    async def _last_chunk(self) -> Chunk:
        """Nobody sees a part of the answer, so that until its end the call may begin anew elsewhere."""
        self._begin()
        final: Chunk | None = None
        ended = _FAILED  # see `chunks`
        try:
            self._tell(_QUEUED)
            while self.reply is None:
                if not self._goes_over:
                    await self._take_turn()
                try:
                    chunks, sent = await self._open()
                    async for chunk in chunks:
                        final = chunk
                        if sent.first_byte_at is None:
                            self._first_byte(sent)
                        sent.berth.heard = True
                    self._done(sent, final)
                except _ENDS as end:
                    self._ended_early(end)
                finally:
                    await self._let_go()
            ended = _DONE
        except (asyncio.CancelledError, GeneratorExit):
            ended = _CANCELLED
            raise
        finally:
            await self._leave(ended)
        assert final is not None, "only a last chunk makes a reply"
        return final
