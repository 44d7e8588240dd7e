"""Messages from standard input where that is no terminal: a line each, a trailing backslash goes on to the next.

Owns the reading, which Ctrl-C must be able to end: no thread waits for a pipe.
"""

from __future__ import annotations

import asyncio
import os
import stat

_CHUNK = 1 << 16


class InputLines:
    """The lines of a descriptor, as messages."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = not stat.S_ISREG(os.fstat(descriptor).st_mode)  # a file never makes anybody wait
        self._left = b""
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
        while b"\n" not in self._left and not self._ended:
            read = await self._read()
            self._ended = not read
            self._left += read
        if not self._left:
            return None
        line, _, self._left = self._left.partition(b"\n")
        return line.decode("utf-8", "replace").removesuffix("\r")

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
