"""The levels that need nothing installed: a launcher script confines the command, or only limits it.

Owns one run of the launcher, level `landlock` (with rules) and level `none` (the same launcher without).
"""

import asyncio
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from infrastructure.processes import run_process
from infrastructure.sandbox.base import Check, Command, Execution, Level
from infrastructure.sandbox.cgroups import Cgroup
from infrastructure.sandbox.checks import attacked
from infrastructure.sandbox.commands import Paths, checked_paths, environment, is_python
from infrastructure.sandbox.conditions import Conditions, made, memory_file
from infrastructure.sandbox.execution import Start, execute
from infrastructure.sandbox.landlock import Landlock, Spec
from infrastructure.sandbox.status_pipe import StatusPipe
from infrastructure.sandbox.watchdog import Folder, Watchdog

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GRACE_SECONDS = 3.0  # for the launcher to kill and reap what left the process group


class LaunchedSandbox:
    """Runs commands under the launcher: confined by Landlock, or without it (level `none`) merely limited."""

    def __init__(self, conditions: Conditions, landlock: Landlock | None) -> None:
        self.level = Level.LANDLOCK if landlock else Level.NONE
        self._conditions = conditions
        self._landlock = landlock

    async def run(self, command: Command) -> Execution:
        """See `Sandbox.run`."""
        paths = await asyncio.to_thread(checked_paths, command, self._conditions.extra_read)
        async with self._conditions.place(self.level, paths.tree, command.limits) as cgroup:
            tmp = Path(await made(lambda: tempfile.mkdtemp(prefix="corral-"), _remove))
            try:
                return await self._run(command, paths, tmp, cgroup)
            finally:
                await asyncio.shield(_remove(tmp))

    async def self_check(self) -> tuple[Check, ...]:
        """See `Sandbox.self_check`."""
        notes = self._landlock.notes() if self._landlock else ()
        return (*await attacked(self), *self._conditions.checks(), *notes)

    async def _run(self, command: Command, paths: Paths, tmp: Path, cgroup: Cgroup | None) -> Execution:
        limits = command.limits
        folders = await asyncio.to_thread(
            lambda: (Folder(paths.tree, limits.tree_bytes), Folder(tmp, limits.tmp_bytes))
        )
        spec = await asyncio.to_thread(self._spec, command, paths, tmp, limited_by_group=cgroup is not None)
        with ExitStack() as stack:
            spec_fd = memory_file(stack, json.dumps(spec).encode())
            status = StatusPipe()
            stack.callback(status.close)
            argv = (sys.executable, "-I", "-S", str(_LAUNCHER), str(spec_fd), str(status.write_end))
            return await execute(
                self.level,
                Start(argv=argv, fds=(spec_fd, status.write_end), grace=_GRACE_SECONDS),
                limits=limits,
                watchdog=Watchdog(limits=limits, folders=folders, cgroup=cgroup, own_tmp=False),
                cgroup=cgroup,
                status=status,
            )

    def _spec(self, command: Command, paths: Paths, tmp: Path, *, limited_by_group: bool) -> Spec:
        home = tmp / "home"
        home.mkdir()
        return Spec(
            parent=os.getpid(),
            argv=list(command.argv),
            env=environment(command.env, home=str(home), tmp=str(tmp)),
            cwd=str(paths.cwd),
            limits=_limits(command, address_space=not limited_by_group and is_python(command.argv)),
            processes=None if limited_by_group or not _COUNTABLE else command.limits.processes,
            rules=self._landlock.rules(paths, tmp) if self._landlock else None,
        )


async def _remove(folder: str | Path) -> None:
    # By a program made for it: what hostile code leaves is too deep for a recursive function, or closed.
    for line in ('rm -rf -- "$1"', 'chmod -R u+rwx -- "$1"; rm -rf -- "$1"'):
        argv = ("/bin/sh", "-c", line, "sh", str(folder))
        if (await run_process(argv, cwd=None, env={"PATH": "/usr/bin:/bin"}, timeout=60.0)).exit_code == 0:
            return


_COUNTABLE = Path("/proc/self").exists()


def _limits(command: Command, *, address_space: bool) -> dict[str, list[int]]:
    limits = command.limits
    pairs = {
        "RLIMIT_CPU": [limits.cpu_seconds, limits.cpu_seconds + 2],
        "RLIMIT_FSIZE": [limits.file_bytes, limits.file_bytes],
        "RLIMIT_NOFILE": [limits.open_files, limits.open_files],
        "RLIMIT_CORE": [0, 0],
    }
    return {**pairs, "RLIMIT_AS": [limits.memory_bytes, limits.memory_bytes]} if address_space else pairs
