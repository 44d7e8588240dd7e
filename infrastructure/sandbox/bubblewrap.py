"""The strongest level: bubblewrap with namespaces of its own and a seccomp filter.

Owns the argument list, which is the policy, and one run of it. Nothing of the host is visible but what the
list names: /usr, the dynamic linker's cache, the work tree and the command's read-only paths.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from infrastructure.sandbox.base import Check, Command, Execution, Level, Limits
from infrastructure.sandbox.cgroups import Cgroup
from infrastructure.sandbox.checks import attacked
from infrastructure.sandbox.commands import Paths, checked_paths, environment, is_python
from infrastructure.sandbox.conditions import Conditions, memory_file
from infrastructure.sandbox.execution import execute
from infrastructure.sandbox.launching import launched, spec_of
from infrastructure.sandbox.seccomp import ALWAYS, OWN_NETWORK, assemble
from infrastructure.sandbox.status_pipe import StatusPipe
from infrastructure.sandbox.syscalls import Machine
from infrastructure.sandbox.watchdog import Folder, Watchdog

HOME = "/tmp/home"
USER_ID = 1000
"""Inside, whoever runs Corral outside: an ordinary user is what test suites expect, and never 0."""

_TOP_FOLDERS = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
_SYSTEM = ("/usr", "/nix/store")
_ETC = ("alternatives", "ld.so.cache", "localtime", "ssl/openssl.cnf")
_KERNEL_FILES = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats")
_FILES = {
    "/etc/passwd": f"corral:x:{USER_ID}:{USER_ID}::{HOME}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "/etc/group": f"corral:x:{USER_ID}:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


class BubblewrapSandbox:
    """Runs commands under bubblewrap (0.8 or later)."""

    level = Level.BUBBLEWRAP

    def __init__(self, program: Path, prlimit: Path, machine: Machine, conditions: Conditions) -> None:
        self._program = program
        self._prlimit = prlimit
        self._filter = assemble(machine, ALWAYS + OWN_NETWORK)
        self._conditions = conditions

    async def run(self, command: Command) -> Execution:
        """See `Sandbox.run`."""
        paths = await asyncio.to_thread(checked_paths, command, self._conditions.extra_read)
        async with self._conditions.place(self.level, paths.tree, command.limits) as cgroup:
            return await self._run(command, paths, cgroup)

    async def self_check(self) -> tuple[Check, ...]:
        """See `Sandbox.self_check`."""
        return (*await attacked(self), *self._conditions.checks())

    async def _run(self, command: Command, paths: Paths, cgroup: Cgroup | None) -> Execution:
        limits = command.limits
        folder = await asyncio.to_thread(Folder, paths.tree, limits.tree_bytes)
        with ExitStack() as stack:
            files = {memory_file(stack, text.encode()): name for name, text in _FILES.items()}
            seccomp = memory_file(stack, self._filter)
            status = StatusPipe(ended="exit-code")
            stack.callback(status.close)
            argv = (
                str(self._program),
                *await asyncio.to_thread(lambda: (*_isolation(command.env), *_files(paths, limits, files))),
                *("--seccomp", str(seccomp), "--json-status-fd", str(status.write_end), "--"),
                *_limited(self._prlimit, command, address_space=cgroup is None),
            )
            # The launcher speaks by an end of its own, since it closes that for what it starts.
            own = stack.enter_context(os.fdopen(os.dup(status.write_end), "wb")).fileno()
            return await execute(
                self.level,
                launched(stack, spec_of(argv), status=own, inherited=(status.write_end, seccomp, *files)),
                limits=limits,
                watchdog=Watchdog(limits=limits, folders=(folder,), cgroup=cgroup, own_tmp=True),
                cgroup=cgroup,
                status=status,
            )


def _isolation(env: Mapping[str, str]) -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session")
    yield from ("--cap-drop", "ALL", "--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", "sandbox")
    yield "--clearenv"
    for name, value in environment(env, home=HOME, tmp="/tmp").items():
        yield from ("--setenv", name, value)


def _files(paths: Paths, limits: Limits, files: Mapping[int, str]) -> Iterator[str]:
    """What is visible, in the order it is mounted: a later mount covers an earlier one. Reads the disk."""
    for folder in _SYSTEM:
        yield from ("--ro-bind-try", folder, folder)
    for top in (Path("/", name) for name in _TOP_FOLDERS):
        if top.is_symlink():
            yield from ("--symlink", str(top.readlink()), str(top))
        elif top.is_dir():
            yield from ("--ro-bind", str(top), str(top))
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for fd, name in files.items():
        yield from ("--ro-bind-data", str(fd), name)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for name in _KERNEL_FILES:
        if Path(name).exists():
            yield from ("--ro-bind", "/dev/null", name)
    size = str(limits.tmp_bytes)
    yield from ("--size", size, "--tmpfs", "/dev/shm", "--size", size, "--tmpfs", "/tmp", "--dir", HOME)
    tree = str(paths.tree)
    within = [pair for pair in paths.read if pair[0].is_relative_to(paths.tree)]
    yield from _read_only(pair for pair in paths.read if pair not in within)
    yield from ("--bind", tree, tree)
    yield from _read_only(within)
    git = paths.tree / ".git"
    if git.exists() and not git.is_symlink():  # a link would be followed, and show whatever it names
        yield from ("--ro-bind", str(git), str(git))
    # What is left writable of / and /dev is memory that no size limits; of /proc, where Corral runs as root,
    # the settings of the kernel, one of which names a program that the kernel starts as root.
    yield from ("--remount-ro", "/dev", "--remount-ro", "/proc", "--remount-ro", "/", "--chdir", str(paths.cwd))


def _read_only(pairs: Iterable[tuple[Path, Path]]) -> Iterator[str]:
    for given, real in sorted(pairs, key=lambda pair: len(pair[0].parts)):
        yield from ("--ro-bind", str(real), str(given))
        if real != given:
            yield from ("--ro-bind", str(real), str(real))


def _limited(prlimit: Path, command: Command, *, address_space: bool) -> Iterator[str]:
    # Inside, because there the kernel counts the processes of this namespace only (Linux 5.14 and later).
    limits = command.limits
    yield str(prlimit)
    yield f"--nproc={limits.processes}"
    yield f"--fsize={limits.file_bytes}"
    yield f"--nofile={limits.open_files}"
    yield f"--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 2}"
    yield "--core=0"
    if address_space and is_python(command.argv):
        yield f"--as={limits.memory_bytes}"
    yield "--"
    yield from command.argv
