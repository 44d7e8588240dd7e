"""Watches a running execution for what no limit of the kernel covers, ten times a second.

Owns three questions: is the memory of all its processes together over the limit (where there is no cgroup),
does it fill the disk, does it make too many processes or files. Each answer is a reason to stop it.
"""

import asyncio
import contextlib
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from infrastructure.processes import Stop
from infrastructure.sandbox.base import Limits
from infrastructure.sandbox.cgroups import Cgroup

PERIOD = 0.1
TMP_FILES = 100_000
"""Files in its /tmp and /dev/shm: a file of no bytes still costs the kernel about a kilobyte of memory."""

LEAST_FREE = 256 << 20
"""Bytes of free disk below which an execution during which much was written is stopped without proof."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SPARE_PROCESSES = 8  # the sandbox's own


class Folder:
    """A folder of the host's that an execution may add only so much to."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._began = time.time()
        self._free = _free_bytes(path)

    def is_filled(self) -> bool:
        """Whether more than the limit was added since this object was made."""
        try:
            free = _free_bytes(self._path)
        except OSError:
            return False  # the folder is gone, and with it what was added
        if self._free - free <= self._limit:
            return False
        # Somebody has used up that much of the disk. Only counting the folder's new files tells who.
        # Files already deleted and still open do not show there, so a disk about to be full ends it anyway.
        if bytes_since(self._path, self._began) > self._limit or free < LEAST_FREE:
            return True
        self._free = free
        return False


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Watches one execution.

    Attributes:
        limits: What it may use.
        folders: Where it may write, with how much; taken before it starts.
        cgroup: The group that bounds its memory and processes; without one the watchdog does.
        own_tmp: Whether its /tmp is not the host's, so that counting the files in it says something about it.
    """

    limits: Limits
    folders: tuple[Folder, ...]
    cgroup: Cgroup | None
    own_tmp: bool

    async def watch(self, pid: int) -> Stop:
        """Return only when the processes from `pid` down must be stopped, with the reason."""
        while True:
            await asyncio.sleep(PERIOD)
            stop = await asyncio.to_thread(self.look, pid)
            if stop is not None:
                return stop

    def look(self, pid: int) -> Stop | None:
        """Look once. Reads /proc and the disk, so it belongs in a thread."""
        if self.cgroup is not None and self.cgroup.out_of_memory():
            return Stop.MEMORY
        family = descendants(pid) if self.cgroup is None or self.own_tmp else []
        if self.cgroup is None:
            if len(family) > self.limits.processes + _SPARE_PROCESSES:
                return Stop.PROCESSES
            if over_memory(family, self.limits.memory_bytes):
                return Stop.MEMORY
        filled = any(folder.is_filled() for folder in self.folders)
        return Stop.DISK if filled or (self.own_tmp and _fills_tmp(family)) else None


def descendants(root: int) -> list[int]:
    """A process and everything below it that is alive."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208 - ten times a second, of every process there is: paths cost too much
        if name.isdecimal():
            # A process may end between listing and reading; it is then no descendant any more.
            with contextlib.suppress(OSError):
                children[_parent(name)].append(int(name))
    family = [root]
    for pid in family:
        family += children[pid]
    return family


def _parent(pid: str) -> int:
    """Of a process, by the second field behind its name, which may itself hold brackets and blanks."""
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(file, 4096).rpartition(b")")[2].split(maxsplit=2)[1])
    finally:
        os.close(file)


def over_memory(family: list[int], limit: int) -> bool:
    """Whether these processes hold more memory than the limit, pages they share counted once."""
    if sum(_resident(pid) for pid in family) <= limit:
        return False
    return sum(_proportional(pid) for pid in family) > limit


def bytes_since(tree: Path, began: float) -> int:
    """Disk space of the files below `tree` that changed since a time; what cannot be read counts nothing."""
    total = 0
    folders = [str(tree)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    stat = entry.stat(follow_symlinks=False)
                    if stat.st_ctime >= began - 1:
                        total += stat.st_blocks * 512
    return total


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not ours to read, or ended: its resident size, which counts shared pages in full, has to do
    return _resident(pid)


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _fills_tmp(family: list[int]) -> bool:
    for place in ("/tmp", "/dev/shm"):
        inside = f"/proc/{family[-1]}/root{place}"
        try:
            disk = os.statvfs(inside)
            # A process that has not entered the sandbox yet still has the host's.
            if Path(inside).stat().st_dev == Path(place).stat().st_dev:
                continue
        except OSError:
            continue  # ended meanwhile, or we may not look: then the limits on memory remain
        if disk.f_files - disk.f_ffree > TMP_FILES:
            return True
    return False
