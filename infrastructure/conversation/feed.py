"""What an answer looks like while it is given: chunks for whoever watches, as many as like, from now on or from before.

Owns the backlog of a turn. Pieces of text that nobody has taken yet are joined, so that a slow watcher costs the text
and no more; pieces that were taken back are not shown to one who comes later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace

from agents.conversation.chunks import StreamChunk

_PIECES = ("text", "thinking")
RESTS = ("approval", "client_call")
"""Chunks after which nothing comes until somebody has said or done something."""


@dataclass(slots=True)
class _Joined:
    """Pieces of one kind, to be one chunk when they are taken."""

    first: StreamChunk
    texts: list[str]

    @property
    def chunk(self) -> StreamChunk:
        return replace(self.first, text="".join(self.texts))


@dataclass(slots=True)
class _Pile:
    """Chunks in order."""

    parts: deque[_Joined] = field(default_factory=deque[_Joined])

    def put(self, chunk: StreamChunk) -> None:
        last = self.parts[-1] if self.parts else None
        if last is not None and _is_piece(chunk) and _alike(last.first, chunk):
            last.texts.append(chunk.text)
        else:
            self.parts.append(_Joined(chunk, [chunk.text]))

    def take_back(self) -> None:
        """Drop the pieces at the end."""
        while self.parts and _is_piece(self.parts[-1].first):
            self.parts.pop()


class _Watcher:
    """One who watches."""

    def __init__(self, before: Iterable[StreamChunk]) -> None:
        self.pile = _Pile()
        for chunk in before:
            self.pile.put(chunk)
        self.bell = asyncio.Event()


class Feed:
    """The chunks of one turn, to any number of watchers. Of one event loop."""

    def __init__(self) -> None:
        self._backlog = _Pile()
        self._watchers: set[_Watcher] = set()
        self._closed = False
        self._resting = False

    @property
    def closed(self) -> bool:
        """Whether this was all."""
        return self._closed

    def tell(self, chunk: StreamChunk) -> None:
        """Hand a chunk to everybody."""
        self._resting = False
        if chunk.kind == "restarted":
            self._backlog.take_back()
        else:
            self._backlog.put(chunk)
        for watcher in self._watchers:
            if chunk.kind == "restarted":
                watcher.pile.take_back()
            watcher.pile.put(chunk)
            watcher.bell.set()

    def rest(self) -> None:
        """Say that nothing comes until somebody has said or done something."""
        self._resting = True
        self._ring()

    def go_on(self) -> None:
        """Say that somebody has: more will come, though nothing is told yet."""
        self._resting = False

    def close(self) -> None:
        """Say that this was all. Idempotent."""
        self._closed = True
        self._ring()

    async def follow(self, *, ends_when_waiting: bool = False) -> AsyncGenerator[StreamChunk, None]:
        """The turn from its beginning, what is being said included; ends with the turn."""
        watcher = _Watcher(part.chunk for part in self._backlog.parts)
        self._watchers.add(watcher)
        try:
            while True:
                while watcher.pile.parts:
                    yield watcher.pile.parts.popleft().chunk
                if self._closed or (ends_when_waiting and self._resting):
                    return
                watcher.bell.clear()
                await watcher.bell.wait()
        finally:
            self._watchers.discard(watcher)

    def _ring(self) -> None:
        for watcher in self._watchers:
            watcher.bell.set()


def _is_piece(chunk: StreamChunk) -> bool:
    return chunk.kind in _PIECES and not chunk.message


def _alike(one: StreamChunk, other: StreamChunk) -> bool:
    return _is_piece(one) and (one.kind, one.agent) == (other.kind, other.agent)
