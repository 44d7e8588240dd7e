"""Memory and process limits for a group of processes, where the system lets us make a cgroup.

Owns finding a folder we may make groups in (version 2, or version 1 memory and pids), making one for each
execution and removing it. Never rearranges groups it did not make: a controller that is not already switched
on for us is one we do not have.
"""

import contextlib
import itertools
import os
import re
import shlex
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infrastructure.sandbox.base import Limits

_ROOT = Path("/sys/fs/cgroup")
_OWN_NAME = re.compile(r"corral-(\d+)-\d+")
_OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_SPARE_PROCESSES = 8  # the sandbox's own: bubblewrap twice, prlimit, a launcher
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class CgroupHome:
    """Folders in which we may make groups, one for each hierarchy (version 2 has a single one)."""

    version: int
    folders: tuple[Path, ...]

    def make(self, limits: Limits) -> "Cgroup":
        """Make a group with these limits.

        Raises:
            OSError: The system refuses.
        """
        name = f"corral-{os.getpid()}-{next(_numbers)}"
        group = Cgroup(self.version, tuple(folder / name for folder in self.folders))
        try:
            for folder in group.folders:
                folder.mkdir()
            self._limit(group, limits)
        except OSError:
            group.remove()
            raise
        return group

    def _limit(self, group: "Cgroup", limits: Limits) -> None:
        memory, pids = group.folders[0], group.folders[-1]
        if self.version == 2:
            _write(memory / "memory.max", limits.memory_bytes)
            _write_if_there(memory / "memory.swap.max", 0)
        else:
            _write(memory / "memory.limit_in_bytes", limits.memory_bytes)
            _write_if_there(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
        _write_if_there(pids / "pids.max", limits.processes + _SPARE_PROCESSES)

    def sweep(self) -> None:
        """Remove empty groups left behind by a Corral that was killed."""
        for folder in self.folders:
            for left in folder.glob("corral-*"):
                name = _OWN_NAME.fullmatch(left.name)
                if name and not Path("/proc", name[1]).exists():
                    # A group in use stays: in another container the same number may be alive.
                    with contextlib.suppress(OSError):
                        left.rmdir()


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One group, for one execution."""

    version: int
    folders: tuple[Path, ...]

    def joined(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The command that joins the group and then becomes `argv`, so no child is ever outside."""
        joins = " && ".join(f"echo 0 > {shlex.quote(str(folder / 'cgroup.procs'))}" for folder in self.folders)
        return ("/bin/sh", "-c", f'{joins} && exec "$@"', "sh", *argv)

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group for its memory."""
        source = self.folders[0] / ("memory.events" if self.version == 2 else "memory.oom_control")
        try:
            kills = _OOM_KILLS.search(source.read_text())
        except OSError:
            return False  # removed meanwhile, or a kernel that does not count
        return bool(kills and int(kills[1]))

    def remove(self) -> bool:
        """Kill what is left in the group and remove it; False while something is still dying."""
        gone = True
        for folder in self.folders:
            for pid in _members(folder):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone


def homes(root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> Iterator[CgroupHome]:
    """Places where we may perhaps make groups, likeliest first; only trying tells."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    paths = {controllers: path for _, controllers, path in (line.split(":", 2) for line in lines)}
    if "" in paths:
        base = root if (root / "cgroup.controllers").exists() else root / "unified"
        here = base / paths[""].lstrip("/")
        for folder in (here, here.parent):
            if folder.is_relative_to(base) and _has_memory(folder):
                yield CgroupHome(2, (folder,))
    if "memory" in paths and "pids" in paths:
        yield CgroupHome(1, tuple(root / name / paths[name].lstrip("/") for name in ("memory", "pids")))


def _has_memory(folder: Path) -> bool:
    try:
        return "memory" in (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False


def _members(folder: Path) -> list[int]:
    try:
        # The kernel writes 0 for a process of a namespace that we cannot see, and to kill 0 is to kill ourselves.
        return [pid for pid in map(int, (folder / "cgroup.procs").read_text().split()) if pid > 0]
    except OSError:
        return []


def _write(file: Path, value: int) -> None:
    # Never creates: in a cgroup folder files exist or the controller is absent.
    with file.open("r+") as stream:
        stream.write(str(value))


def _write_if_there(file: Path, value: int) -> None:
    if file.exists():
        _write(file, value)
