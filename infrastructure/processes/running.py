"""One process from start to certain end, in a session of its own.

On a deadline, a flood of output, a watcher's verdict or cancellation the whole process group is killed and
reaped.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast

from infrastructure.processes.capture import Capture

_DRAIN_SECONDS = 1.0  # how long a process that has ended may keep its pipes open through some daemon
_DEATH_TRIES, _DEATH_PAUSE = 40, 0.005  # a container without an init keeps dead grandchildren: not for ever
_endings: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly; a kill must not be collected


class Stop(StrEnum):
    """Why a process was killed by us rather than ending by itself."""

    TIMEOUT = "timeout"
    OUTPUT = "output"
    MEMORY = "memory"
    DISK = "disk"
    PROCESSES = "processes"


class ProcessNotStarted(Exception):
    """The process could not be started."""

    def __init__(self, argv: Sequence[str], reason: str) -> None:
        super().__init__(f"{argv[0] if argv else '(nothing)'} could not be started: {reason}")
        self.argv = tuple(argv)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a process ended.

    Attributes:
        exit_code: As the system gives it; negative for a signal. None when we killed it.
        stdout: At most `output_limit` bytes and a notice line where the middle was left out.
        stderr: The same for the other stream.
        seconds: Wall time from start to the end of its last byte.
        stopped: Why we killed it; None when it ended by itself.
        truncated: Whether either stream was cut.
    """

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    seconds: float
    stopped: Stop | None
    truncated: bool


Watch = Callable[[int], Awaitable[Stop]]
"""Told a process id, returns only when that process must be stopped."""


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout: float,
    output_limit: int = 1 << 20,
    pass_fds: Sequence[int] = (),
    watch: Watch | None = None,
    grace: float = 0.0,
) -> Finished:
    """Run a program to its end, or kill it.

    The process leads a session and a process group of its own. When this function returns or raises, the
    group is dead, the process reaped and its pipes closed; cancelling it kills and then re-raises.

    Args:
        argv: The program and its arguments; no shell reads them.
        cwd: Working directory; None for ours.
        env: The whole environment. Nothing is inherited.
        stdin: What it reads; empty means /dev/null.
        timeout: Wall seconds until it is killed.
        output_limit: Bytes kept of each stream. A longer one loses its middle; one `FLOOD_FACTOR` times as
            long stops the process.
        pass_fds: File descriptors it inherits under the same number, besides the three streams.
        watch: Given the process id, runs beside the process; the `Stop` it returns kills it.
        grace: Seconds between SIGTERM to the leader and SIGKILL to the group, when we stop it. For a leader
            that cleans up after itself.

    Raises:
        ProcessNotStarted: There is no such program or directory, or the system refused.
    """
    started = time.monotonic()
    process = await _start(argv, cwd=cwd, env=env, has_input=bool(stdin), limit=output_limit, fds=pass_fds)
    stopped: Stop | None = Stop.TIMEOUT
    try:
        process.feed(stdin)
        stopped = await process.outcome(timeout, watch)
    finally:
        # Also reached by cancellation, where `stopped` still holds a reason to kill.
        await _finish(process, grace if stopped else 0.0)
    out, err = process.captured
    return Finished(
        exit_code=None if stopped else process.transport.get_returncode(),
        stdout=out.render(),
        stderr=err.render(),
        seconds=time.monotonic() - started,
        stopped=stopped,
        truncated=out.cut or err.cut,
    )


class _Process(asyncio.SubprocessProtocol):
    """One running process: its transport, its captured streams and the one future that says how it ended."""

    transport: asyncio.SubprocessTransport

    def __init__(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        self.captured = (Capture(limit), Capture(limit))
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        self._outcome: asyncio.Future[Stop | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        capture = self.captured[fd - 1]
        capture.add(data)
        if capture.flooded:
            self._settle(Stop.OUTPUT)

    def process_exited(self) -> None:
        self.exited.set()
        self._settle(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def feed(self, stdin: bytes) -> None:
        pipe = self._input
        if pipe is not None:
            pipe.write(stdin)
            pipe.close()

    async def outcome(self, timeout: float, watch: Watch | None) -> Stop | None:
        """Wait for the first of: its own end, a flood, the deadline, the watcher's verdict."""
        deadline = asyncio.get_running_loop().call_later(timeout, self._settle, Stop.TIMEOUT)
        watching = asyncio.create_task(self._watched(watch)) if watch else None
        try:
            return await self._outcome
        finally:
            deadline.cancel()
            if watching:
                watching.cancel()
                await asyncio.wait((watching,))

    async def _watched(self, watch: Watch) -> None:
        try:
            self._settle(await watch(self.transport.get_pid()))
        except Exception as failure:  # noqa: BLE001 - not swallowed: it is raised where the outcome is awaited
            if not self._outcome.done():
                self._outcome.set_exception(failure)

    def _settle(self, stopped: Stop | None) -> None:
        if not self._outcome.done():
            self._outcome.set_result(stopped)

    def kill_group(self) -> bool:
        """Kill whoever is left of the group; whether there was anybody."""
        # The group outlives its leader while it has members. An empty group's number could in theory be
        # taken by a stranger, but the system hands numbers out in turn, so not within this instant.
        try:
            os.killpg(self.transport.get_pid(), signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of the dead
            return False
        return True

    @property
    def _input(self) -> asyncio.WriteTransport | None:
        # uvloop's pipes are no instances of asyncio's classes, so they are taken at their word.
        return cast("asyncio.WriteTransport | None", self.transport.get_pipe_transport(0))

    def close(self) -> None:
        pipe = self._input
        if pipe is not None and pipe.get_write_buffer_size():
            pipe.abort()  # close() would wait for input that nobody reads any more; a closed pipe has none left
        self.transport.close()


async def _start(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str],
    has_input: bool,
    limit: int,
    fds: Sequence[int],
) -> _Process:
    if not argv:
        raise ProcessNotStarted(argv, "the command is empty")
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: _Process(limit),
            *argv,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(env),
            pass_fds=tuple(fds),
            start_new_session=True,
        )
    )
    try:
        _, process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The program may be running already, with nobody to hold it: wait for the handle, then end it.
        await asyncio.shield(_hold(asyncio.create_task(_end_unwanted(starting))))
        raise
    except (OSError, ValueError) as refused:
        raise ProcessNotStarted(argv, _reason(refused, cwd)) from refused
    return process


def _reason(refused: OSError | ValueError, cwd: Path | None) -> str:
    if isinstance(refused, OSError):
        missing_cwd = cwd is not None and str(refused.filename) == str(cwd)
        return f"{refused.strerror or refused}" + (f" (directory {cwd})" if missing_cwd else "")
    return str(refused)


async def _end_unwanted(starting: asyncio.Future[tuple[asyncio.SubprocessTransport, _Process]]) -> None:
    with contextlib.suppress(OSError, ValueError):
        _, process = await starting
        await _end(process, 0.0)


async def _finish(process: _Process, grace: float) -> None:
    if not grace:
        process.kill_group()
    # A second cancellation must not leave the first half done, so the end is a task of its own.
    await asyncio.shield(_hold(asyncio.create_task(_end(process, grace))))


async def _end(process: _Process, grace: float) -> None:
    if grace and not process.exited.is_set():
        with contextlib.suppress(ProcessLookupError):
            process.transport.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.exited.wait(), grace)
    process.kill_group()
    await process.exited.wait()
    for _ in range(_DEATH_TRIES):
        if not process.kill_group():
            break
        await asyncio.sleep(_DEATH_PAUSE)  # killed, but not dead yet; nobody tells us when a grandchild is
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.closed.wait(), _DRAIN_SECONDS)
    process.close()
    await process.closed.wait()


def _hold(task: asyncio.Task[None]) -> asyncio.Task[None]:
    _endings.add(task)
    task.add_done_callback(_endings.discard)
    return task
