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

from infrastructure.processes import open_process, send_signal

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
        self._over = asyncio.Event()
        """The first process has ended."""
        self._open = [self._read_end, self.write_end]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self._read)

    def command_ended(self) -> bool:
        """Whether the command ran and came to its own end."""
        return self._value(self._ended) is not None

    def fault(self) -> str:
        """Why the command could not be confined, where that was said."""
        return str(self._value("fault") or "")

    async def first_process_ended(self) -> bool:
        """Kill the first process inside and wait until it is dead. At once if it never lived or is gone already.

        For when the program that held it is dead: then it usually is, too. False where it does not die.
        """
        self._read()
        if self._first is not None:
            with contextlib.suppress(ProcessLookupError):
                send_signal(self._first, signal.SIGKILL)
            self._loop.add_reader(self._first, self._first_ended, self._first)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _DEATH_SECONDS)
        return self._first is None or self._over.is_set()

    def close(self) -> None:
        """Close everything, also where somebody still waits: what is waited for then counts as over. Idempotent."""
        self._over.set()
        for fd in (self._read_end, self._first):
            if fd is not None:
                self._loop.remove_reader(fd)  # or whoever is given the number next would be told in its place
        while self._open:
            os.close(self._open.pop())
        self._first = None

    def _first_ended(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._over.set()

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
                self._first = open_process(pid)
                self._open.append(self._first)
