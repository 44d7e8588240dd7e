"""A turn as it is said: its chunks on the wire, and the stream of one turn as server-sent events.

Owns the wire form of a chunk, which the WebSocket shares, and how a turn's stream ends. Chunks have no numbers: who was
cut off gets the turn that is open from its first chunk, what is over stands in the history.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import fields

import orjson

from agents.conversation.chunks import StreamChunk
from backend.stopping import Stopping
from backend.streams import BEAT, END, RETRY, SERVER_SHUTDOWN, Arrivals

LAST = ("done", "failed")
"""The chunks that end a turn."""
_FIELDS = tuple(each.name for each in fields(StreamChunk))

TellWaiting = Callable[[], Awaitable[bytes]]
"""Says, as JSON, what a turn waits for."""


def to_json(value: object) -> bytes:
    """JSON on one line. Half of a surrogate pair, which a model's text can contain, is escaped."""
    try:
        return orjson.dumps(value, default=dict)
    except TypeError:
        return json.dumps(value, default=dict, separators=(",", ":")).encode()


def chunk_json(chunk: StreamChunk) -> bytes:
    """A chunk, all its fields, on one line."""
    return to_json({name: getattr(chunk, name) for name in _FIELDS})


def chunk_frame(chunk: StreamChunk) -> bytes:
    """A chunk as a server-sent event: its kind, its JSON."""
    return b"event: %b\ndata: %b\n\n" % (chunk.kind.encode(), chunk_json(chunk))


class ChunkStream:
    """One reader's stream of one turn.

    Who said something reads until the turn is over or waits, which `waiting` then tells. Who only watches reads until
    it is over, and is told that this is the end, so that a browser does not come back for more.
    """

    def __init__(
        self, chunks: AsyncGenerator[StreamChunk, None], stopping: Stopping, waiting: TellWaiting | None = None
    ) -> None:
        self._chunks, self._stopping, self._waiting = chunks, stopping, waiting

    async def frames(self) -> AsyncGenerator[bytes]:
        """The stream's bytes."""
        last = ""
        yield RETRY
        async with aclosing(Arrivals(self._chunks, self._stopping)) as arrivals:
            while (arrived := await arrivals.take()) is not None:
                last = arrived[-1].kind if arrived else last
                yield b"".join(map(chunk_frame, arrived)) or BEAT
        if last in LAST:
            if self._waiting is None:
                yield END
        elif self._stopping.begun:
            yield SERVER_SHUTDOWN
        elif self._waiting is None:
            yield END
        else:
            yield b"event: waiting\ndata: %b\n\n" % await self._waiting()
