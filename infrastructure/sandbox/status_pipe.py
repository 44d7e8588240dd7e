"""The pipe on which a sandbox's first process tells us how it went, apart from the command's own streams.

Owns its two file descriptors, and the death of the process it names as the first one inside: with it a process
namespace ends, and everything in it.
"""

import asyncio
import contextlib
import json
import os
import signal
from typing import cast

_FIRST_PROCESS = "child-pid"
_DEATH_SECONDS = 5.0  # only a process stuck in the kernel takes longer


class StatusPipe:
    """Messages, one JSON object a line, from the processes that hold the other end."""

    def __init__(self, ended: str) -> None:
        """A pipe on which `ended` is the word for the command's own end: bubblewrap and the launcher differ."""
        self._ended = ended
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._text = b""
        self._first: int | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._read)

    def command_ended(self) -> bool:
        """Whether the command ran and came to its own end."""
        return self._value(self._ended) is not None

    def fault(self) -> str:
        """Why the command could not be confined, where that was said."""
        return str(self._value("fault") or "")

    async def first_process_ended(self) -> None:
        """Kill the first process inside and wait until it is dead. At once if it never lived or is gone already.

        For when the program that held it is dead: then it usually is, too.
        """
        self._read()
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            ended = asyncio.Event()
            self._loop.add_reader(self._first, ended.set)
            try:
                await asyncio.wait_for(ended.wait(), _DEATH_SECONDS)
            finally:
                self._loop.remove_reader(self._first)

    def close(self) -> None:
        """Close everything."""
        self._loop.remove_reader(self._read_end)
        for fd in (self._read_end, self.write_end, self._first):
            if fd is not None:
                os.close(fd)

    def _value(self, key: str) -> int | str | None:
        for line in self._text.splitlines():
            with contextlib.suppress(ValueError):  # half a message is none yet
                message = cast("dict[str, int | str]", json.loads(line))
                if key in message:
                    return message[key]
        return None

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self._read_end, 1 << 16)
        pid = self._value(_FIRST_PROCESS) if self._first is None else None
        if isinstance(pid, int):
            # Held by descriptor, not by number: a number may mean another process by the time we wait for it.
            with contextlib.suppress(ProcessLookupError):
                self._first = os.pidfd_open(pid)
