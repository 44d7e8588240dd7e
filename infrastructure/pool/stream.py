"""A call's stream as its caller holds it.

Owns `ChunkStream`: the chunks, an explicit end, and the whole reply when all has come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Self

from infrastructure.transport.messages import Chunk

if TYPE_CHECKING:
    from types import TracebackType

    from infrastructure.pool.calls import Reply
    from infrastructure.pool.run import Run


class ChunkStream(AsyncIterator[Chunk]):
    """The chunks of one answer; the last one carries `final`.

    Nothing is asked before the first chunk is. Leaving early stops the generation: with `async with`, by `aclose`, or
    by letting go of the stream.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._chunks = run.chunks()

    @property
    def reply(self) -> Reply | None:
        """The whole answer, once the last chunk is here."""
        return self._run.reply

    def __aiter__(self) -> Self:
        """Itself: a stream is read once."""
        return self

    def __anext__(self) -> Awaitable[Chunk]:
        """The next chunk, from the generator itself: nothing stands between a chunk and its caller."""
        return self._chunks.__anext__()

    async def whole(self) -> Reply:
        """Read to the end; errors as for each chunk."""
        async for _ in self._chunks:  # which is over with its last chunk or error: nothing is left to close
            pass
        assert self.reply is not None, "a stream that ended without an error has its reply"
        return self.reply

    async def aclose(self) -> None:
        """Stop, and wait until the slot is free. Safe to repeat."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
