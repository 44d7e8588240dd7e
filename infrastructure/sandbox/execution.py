"""One execution, from a prepared start to the words of the sandbox; the same whatever confines it.

Owns the order: start, watch, the certain death of everything inside, then the question whether the command ran.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.sandbox.base import Execution, Level, Limits, SandboxFault
from infrastructure.sandbox.cgroups import Cgroup
from infrastructure.sandbox.commands import as_execution
from infrastructure.sandbox.status_pipe import StatusPipe
from infrastructure.sandbox.watchdog import Watchdog


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A command made ready to be started.

    Attributes:
        argv: The sandbox's program with the command inside.
        fds: What it inherits, the status pipe included.
        grace: Seconds that program gets to end what it started, when it is stopped.
    """

    argv: Sequence[str]
    fds: Sequence[int]
    grace: float = 0.0


async def execute(
    level: Level, start: Start, *, limits: Limits, watchdog: Watchdog, cgroup: Cgroup | None, status: StatusPipe
) -> Execution:
    """Run to the end.

    Raises:
        SandboxFault: The command did not run, for a reason that is the sandbox's.
    """
    try:
        finished = await run_process(
            # The machine is its people's first; and in the group before there is anything to be limited.
            cgroup.joined(("nice", "-n", "10", *start.argv)) if cgroup else ("nice", "-n", "10", *start.argv),
            cwd=Path("/"),
            env={},
            timeout=limits.wall_seconds,
            output_limit=limits.output_bytes,
            pass_fds=start.fds,
            watch=watchdog.watch,
            grace=start.grace,
        )
    except ProcessNotStarted as refused:
        raise SandboxFault(level, refused.reason) from refused
    finally:
        # The leader is dead. The first process of a namespace it made dies a moment later.
        dead = await asyncio.shield(status.first_process_ended())
    if not dead:
        raise SandboxFault(level, "a process inside does not die; the system holds it")
    out_of_memory = cgroup is not None and await asyncio.to_thread(cgroup.out_of_memory)
    if finished.stopped is None and not out_of_memory and not status.command_ended():
        raise SandboxFault(level, status.fault() or finished.stderr.decode(errors="replace").strip())
    return as_execution(finished, level, out_of_memory=out_of_memory)
