"""Messages from standard input where that is no terminal: a line each, a trailing backslash goes on to the next.

Owns the reading, which Ctrl-C must be able to end: no thread waits for a pipe.
"""

from __future__ import annotations

import asyncio
import os
import stat
from codecs import BOM_UTF8
from collections import deque

_CHUNK = 1 << 16


class InputLines:
    """The lines of a descriptor, as messages."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)  # a file never makes anybody wait
        self._lines = deque[bytes]()
        self._begun: list[bytes] = []
        """What was read of the line after these: joined once, since each read brings 64 KiB at most."""
        self._first = True
        self._ended = False

    async def message(self) -> str | None:
        """The next message; None at the end of input."""
        parts: list[str] = []
        while (line := await self._line()) is not None:
            if not line.endswith("\\"):
                return "\n".join((*parts, line))
            parts.append(line[:-1])
        return "\n".join(parts) if parts else None

    async def _line(self) -> str | None:
        while not self._lines and not self._ended:
            self._take(await self._read())
        if not self._lines:
            return None
        line = self._lines.popleft()
        if self._first:
            self._first, line = False, line.removeprefix(BOM_UTF8)
        return line.decode("utf-8", "replace").removesuffix("\r")

    def _take(self, read: bytes) -> None:
        *ended, begun = read.split(b"\n")
        for piece in ended:
            self._lines.append(b"".join((*self._begun, piece)))
            self._begun = []
        self._begun.append(begun)
        self._ended = not read
        if self._ended and (last := b"".join(self._begun)):
            self._lines.append(last)

    async def _read(self) -> bytes:
        if self._waits:
            await self._readable()
        return await asyncio.to_thread(os.read, self._descriptor, _CHUNK)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(self._descriptor, lambda: None if ready.done() else ready.set_result(None))
        except PermissionError:  # a kind of file that cannot be waited for, as /dev/null
            return
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)
