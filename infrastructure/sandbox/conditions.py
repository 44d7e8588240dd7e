"""What executions share, whatever holds them: how many run at once, and how their memory is bounded.

Owns the gate, the choice between cgroup and watchdog, and the life of each execution's group.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.processes.scratch import made
from infrastructure.sandbox.base import Check, Level, Limits, SandboxFault
from infrastructure.sandbox.cgroups import Cgroup, CgroupHome, homes

_REMOVE_TRIES = 50
_REMOVE_PAUSE = 0.02


class Conditions:
    """Under what conditions executions run on this machine."""

    def __init__(
        self, *, at_once: int | None = None, cgroups: CgroupHome | None = None, extra_read: Sequence[Path] = ()
    ) -> None:
        self.extra_read = tuple(extra_read)
        self.cgroups = cgroups
        self._gate = asyncio.Semaphore(at_once or os.cpu_count() or 1)
        self._trees: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, level: Level, tree: Path, limits: Limits) -> AsyncGenerator[Cgroup | None]:
        """Wait for a free place and hold it; gives the execution's cgroup, where one can be had.

        A tree has one execution at a time: what is checked about its files before a command starts must still
        be true when it does, and only another command could make it untrue.
        """
        lock = self._trees.setdefault(tree, asyncio.Lock())
        async with lock, self._gate:
            try:
                cgroup = await made(partial(self.cgroups.make, limits), _remove) if self.cgroups else None
            except OSError as error:
                raise SandboxFault(level, f"no cgroup could be made: {error}") from error
            try:
                yield cgroup
            finally:
                if cgroup is not None:
                    await asyncio.shield(_remove(cgroup))

    def checks(self) -> tuple[Check, ...]:
        """By what executions are bounded here, and what a person should know about this machine."""
        if self.cgroups is not None:
            note = f"by a cgroup (version {self.cgroups.version}) for all its processes together"
        else:
            note = (
                "by a look at all its processes ten times a second, and for Python by its address space: "
                "no cgroup can be made here"
            )
        bounded = Check(name="memory is bounded", held=True, note=note)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            root = "one layer less: run Corral as an ordinary user where you can"
            return bounded, Check(name="Corral is not root", held=False, needed=False, note=root)
        return (bounded,)


async def usable_cgroups() -> CgroupHome | None:
    """The first place where a cgroup can be made, limited, joined and removed; found by doing so."""
    for home in await asyncio.to_thread(lambda: list(homes())):
        try:
            await asyncio.to_thread(home.sweep)
            cgroup = await asyncio.to_thread(home.make, Limits())
        except OSError:
            continue
        try:
            done = await run_process(cgroup.joined(("/bin/cat", "/proc/self/cgroup")), cwd=None, env={}, timeout=5.0)
        except ProcessNotStarted:
            continue
        finally:
            await asyncio.shield(_remove(cgroup))
        if done.exit_code == 0 and cgroup.folders[0].name.encode() in done.stdout:
            return home
    return None


def memory_file(stack: ExitStack, content: bytes) -> int:
    """A file descriptor to read `content` from, without a file that anybody can see; closed with the stack."""
    if sys.platform == "linux" and hasattr(os, "memfd_create"):  # not every Python was built with it
        fd = os.memfd_create("corral")
    else:
        fd, name = tempfile.mkstemp()
        Path(name).unlink()
    stack.callback(os.close, fd)
    os.pwrite(fd, content, 0)  # memory to memory, and reading still begins at the start
    return fd


async def _remove(cgroup: Cgroup) -> None:
    for _ in range(_REMOVE_TRIES):
        if await asyncio.to_thread(cgroup.remove):
            return
        await asyncio.sleep(_REMOVE_PAUSE)  # the last process is still dying
