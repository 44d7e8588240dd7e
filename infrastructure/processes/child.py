"""A program in a process of its own: how it starts, what it says, when it has ended.

The event loop's own way is not taken. uvloop forks, and runs Python in the fork before the program begins. That takes a
process of the server's size 9 to 15 ms in which nothing else runs, and a lock that another thread held at that moment
is never released in the fork: there the two waited for each other for ever (docs/decisions.md 140). `subprocess`
starts programs by vfork, in a third of a millisecond and without a line of Python.
"""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from infrastructure.processes.pidfd import open_process

_PIECE = 1 << 16
"""Bytes that are read or written at once: what a pipe holds."""
_UNKNOWN = 255
"""The exit code of a process that somebody else reaped: the system does, for who was started with SIGCHLD ignored."""

Hear = Callable[[int, bytes], None]
"""Told a stream's number, 1 or 2, and the next piece of what the program wrote to it."""


class Child:
    """A program that runs, leading a session and a process group of its own. For a running event loop.

    Attributes:
        pid: Its process id.
        exit_code: As the system gives it, negative for a signal; None while it runs.
        exited: Set when it has ended and is reaped.
        closed: Set when, besides, nobody has its streams open any more, or `close` was called.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None,
        env: Mapping[str, str],
        stdin: bytes,
        pass_fds: Sequence[int],
        hear: Hear,
        ended: Callable[[], None],
    ) -> None:
        """Start it.

        Args:
            argv: The program and its arguments.
            cwd: Working directory; None for ours.
            env: The whole environment.
            stdin: What it reads; empty means /dev/null.
            pass_fds: File descriptors it inherits under the same number.
            hear: Told what it writes.
            ended: Called when it has ended; some of what it wrote may be told after that.

        Raises:
            OSError, ValueError: It could not be started.
        """
        self.exit_code: int | None = None
        self.exited, self.closed = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._unwritten = memoryview(stdin)
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._open: dict[int, IO[bytes]] = {}
        try:
            self._attend(hear)
        except BaseException:
            self.kill_group()
            self.exit_code = self._process.wait()
            self.close()
            raise

    def _attend(self, hear: Hear) -> None:
        for number, stream in enumerate((self._process.stdin, self._process.stdout, self._process.stderr)):
            if stream is None:
                continue
            self._open[number] = stream
            os.set_blocking(stream.fileno(), False)
            if number == 0:
                self._loop.add_writer(stream.fileno(), self._write)
            else:
                self._loop.add_reader(stream.fileno(), self._read, number, hear)
        self._look_out()

    def terminate(self) -> None:
        """Ask the leader to end."""
        # Not by `Popen`, which would look first whether it has ended, and reap it.
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill_group(self) -> bool:
        """Kill whoever is left of the group; whether there was anybody."""
        # The group outlives its leader while it has members. An empty group's number could in theory be
        # taken by a stranger, but the system hands numbers out in turn, so not within this instant.
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of the dead
            return False
        return True

    def close(self) -> None:
        """Read and write no more. Idempotent."""
        for number in tuple(self._open):
            self._let_go(number)
        self._note_closed()

    # ------------------------------------------------------------------------------------------------ its streams
    def _read(self, number: int, hear: Hear) -> None:
        try:
            data = os.read(self._open[number].fileno(), _PIECE)
        except BlockingIOError:
            return
        if data:
            hear(number, data)
        else:
            self._let_go(number)
            self._note_closed()

    def _write(self) -> None:
        try:
            self._unwritten = self._unwritten[os.write(self._open[0].fileno(), self._unwritten[:_PIECE]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unwritten = self._unwritten[:0]  # it does not read on: its own affair
        if not self._unwritten:
            self._let_go(0)
            self._note_closed()

    def _let_go(self, number: int) -> None:
        stream = self._open.pop(number)
        (self._loop.remove_reader if number else self._loop.remove_writer)(stream.fileno())
        stream.close()

    def _note_closed(self) -> None:
        if not self._open and self.exit_code is not None:
            self.closed.set()

    # --------------------------------------------------------------------------------------------------- its end
    def _look_out(self) -> None:
        """Have its end told: by the system where it gives a descriptor of a process, else by a thread that waits."""
        with suppress(OSError):  # no Linux, or an old one, or no descriptor is left
            descriptor = open_process(self.pid)
            self._loop.add_reader(descriptor, self._told_by, descriptor)
            return
        threading.Thread(target=self._wait, name=f"end of {self.pid}", daemon=True).start()

    def _told_by(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
        self._note_end(_reap(self.pid))

    def _wait(self) -> None:
        code = _reap(self.pid)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._note_end, code)

    def _note_end(self, code: int) -> None:
        self.exit_code = self._process.returncode = code
        self.exited.set()
        self._ended()
        self._note_closed()


def _reap(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return _UNKNOWN
