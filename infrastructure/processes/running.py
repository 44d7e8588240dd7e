"""One process from start to certain end, in a session of its own.

On a deadline, a flood of output, a watcher's verdict or cancellation the whole process group is killed and
reaped.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from infrastructure.processes.capture import Capture
from infrastructure.processes.child import Child

_DRAIN_SECONDS = 1.0  # how long a process that has ended may keep its pipes open through some daemon
_DEATH_SECONDS = 10.0  # until a process that was killed is left to die
_DEATH_TRIES, _DEATH_PAUSE = 40, 0.005  # a container without an init keeps dead grandchildren: not for ever
_logger = logging.getLogger(__name__)
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
    group is dead, the process reaped and its pipes closed; cancelling it kills and then re-raises. One that the
    system does not let die is left after ten seconds, with a word in the log.

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
    if not argv:
        raise ProcessNotStarted(argv, "the command is empty")
    end = _End(output_limit)
    try:
        child = Child(argv, cwd=cwd, env=env, stdin=stdin, pass_fds=pass_fds, hear=end.hear, ended=end.settle)
    except (OSError, ValueError) as refused:
        raise ProcessNotStarted(argv, _reason(refused, cwd)) from refused
    stopped: Stop | None = Stop.TIMEOUT
    try:
        stopped = await end.outcome(child.pid, timeout, watch)
    finally:
        # Also reached by cancellation, where `stopped` still holds a reason to kill.
        await _finish(child, grace if stopped else 0.0)
    out, err = end.captured
    return Finished(
        exit_code=None if stopped else child.exit_code,
        stdout=out.render(),
        stderr=err.render(),
        seconds=time.monotonic() - started,
        stopped=stopped,
        truncated=out.cut or err.cut,
    )


class _End:
    """What a process has said so far, and the one future that says how it ended."""

    def __init__(self, limit: int) -> None:
        self.captured = (Capture(limit), Capture(limit))
        self._outcome: asyncio.Future[Stop | None] = asyncio.get_running_loop().create_future()

    def hear(self, stream: int, data: bytes) -> None:
        """Keep the next piece of a stream; a flood is the end."""
        capture = self.captured[stream - 1]
        capture.add(data)
        if capture.flooded:
            self.settle(Stop.OUTPUT)

    async def outcome(self, pid: int, timeout: float, watch: Watch | None) -> Stop | None:
        """Wait for the first of: its own end, a flood, the deadline, the watcher's verdict."""
        deadline = asyncio.get_running_loop().call_later(timeout, self.settle, Stop.TIMEOUT)
        watching = asyncio.create_task(self._watched(watch, pid)) if watch else None
        try:
            return await self._outcome
        finally:
            deadline.cancel()
            if watching:
                watching.cancel()
                await asyncio.wait((watching,))

    async def _watched(self, watch: Watch, pid: int) -> None:
        try:
            self.settle(await watch(pid))
        except Exception as failure:  # noqa: BLE001 - not swallowed: it is raised where the outcome is awaited
            if not self._outcome.done():
                self._outcome.set_exception(failure)

    def settle(self, stopped: Stop | None = None) -> None:
        """It has ended, or is to be stopped for this reason; the first word holds."""
        if not self._outcome.done():
            self._outcome.set_result(stopped)


def _reason(refused: OSError | ValueError, cwd: Path | None) -> str:
    if isinstance(refused, OSError):
        missing_cwd = cwd is not None and str(refused.filename) == str(cwd)
        return f"{refused.strerror or refused}" + (f" (directory {cwd})" if missing_cwd else "")
    return str(refused)


async def _finish(child: Child, grace: float) -> None:
    if not grace:
        child.kill_group()
    # A second cancellation must not leave the first half done, so the end is a task of its own.
    await asyncio.shield(_hold(asyncio.create_task(_end(child, grace))))


async def _end(child: Child, grace: float) -> None:
    if grace and not child.exited.is_set():
        child.terminate()
        await _within(grace, child.exited)
    child.kill_group()
    if not await _within(_DEATH_SECONDS, child.exited):
        # The system holds it, for a disk that does not answer; it is reaped when it dies.
        _logger.warning("process %d was killed and does not die", child.pid)
        child.close()
        return
    for _ in range(_DEATH_TRIES):
        if not child.kill_group():
            break
        await asyncio.sleep(_DEATH_PAUSE)  # killed, but not dead yet; nobody tells us when a grandchild is
    await _within(_DRAIN_SECONDS, child.closed)
    child.close()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    if not event.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _hold(task: asyncio.Task[None]) -> asyncio.Task[None]:
    _endings.add(task)
    task.add_done_callback(_endings.discard)
    return task
