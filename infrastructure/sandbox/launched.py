"""The levels that need nothing installed: a launcher script confines the command, or only limits it.

Owns one run of the launcher, level `landlock` (with rules) and level `none` (the same launcher without).
"""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from infrastructure.processes import scratch
from infrastructure.sandbox.base import Check, Command, Execution, Level
from infrastructure.sandbox.cgroups import Cgroup
from infrastructure.sandbox.checks import attacked
from infrastructure.sandbox.commands import Paths, checked_paths, environment, is_python
from infrastructure.sandbox.conditions import Conditions
from infrastructure.sandbox.execution import execute
from infrastructure.sandbox.landlock import Landlock, Spec
from infrastructure.sandbox.launching import launched, spec_of
from infrastructure.sandbox.status_pipe import StatusPipe
from infrastructure.sandbox.watchdog import Folder, Watchdog


class LaunchedSandbox:
    """Runs commands under the launcher: confined by Landlock, or without it (level `none`) merely limited."""

    def __init__(self, conditions: Conditions, landlock: Landlock | None) -> None:
        self.level = Level.LANDLOCK if landlock else Level.NONE
        self._conditions = conditions
        self._landlock = landlock

    async def run(self, command: Command) -> Execution:
        """See `Sandbox.run`."""
        paths = await asyncio.to_thread(checked_paths, command, self._conditions.extra_read)
        async with (
            self._conditions.place(self.level, paths.tree, command.limits) as cgroup,
            scratch("tmp") as tmp,
        ):
            return await self._run(command, paths, tmp, cgroup)

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
            status = StatusPipe(ended="exit")
            stack.callback(status.close)
            return await execute(
                self.level,
                launched(stack, spec, status=status.write_end),
                limits=limits,
                watchdog=Watchdog(limits=limits, folders=folders, cgroup=cgroup, own_tmp=False),
                cgroup=cgroup,
                status=status,
            )

    def _spec(self, command: Command, paths: Paths, tmp: Path, *, limited_by_group: bool) -> Spec:
        home = tmp / "home"
        home.mkdir()
        return spec_of(
            command.argv,
            cwd=paths.cwd,
            env=environment(command.env, home=str(home), tmp=str(tmp)),
            limits=_limits(command, address_space=not limited_by_group and is_python(command.argv)),
            processes=None if limited_by_group or not _COUNTABLE else command.limits.processes,
            rules=self._landlock.rules(paths, tmp) if self._landlock else None,
        )


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
