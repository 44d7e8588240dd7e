"""The rules of level `landlock`: what the kernel's version can enforce, and what follows where it cannot.

Owns the allow list of files and the choice of seccomp rules. Source of the numbers: `linux/landlock.h`.
"""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import TypedDict

from infrastructure.sandbox.base import Check
from infrastructure.sandbox.commands import Paths
from infrastructure.sandbox.seccomp import ALWAYS, HOST_NETWORK, NO_SIGNALS, assemble
from infrastructure.sandbox.syscalls import Machine

OLDEST_ABI = 3
"""Before Linux 6.2 Landlock lets a program truncate files it may not write."""
SIGNALS_ABI = 6
"""From Linux 6.12 on Landlock keeps signals inside."""

_READ = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_READ_ETC = ("alternatives", "ld.so.cache", "localtime", "ssl/openssl.cnf", "passwd", "group", "nsswitch.conf")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_CREATE_RULESET = 444
_ASK_VERSION = 1


class Rules(TypedDict):
    """What the launcher enforces on a command."""

    files: int
    network: int
    scope: int
    size: int
    read: list[str]
    write: list[str]
    devices: list[str]
    machine: str
    seccomp: str


class Spec(TypedDict):
    """What the launcher is told, as JSON. `limits` are pairs, soft and hard, by their name in `resource`."""

    parent: int
    argv: list[str]
    env: dict[str, str]
    cwd: str
    limits: dict[str, list[int]]
    processes: int | None
    rules: Rules | None


@dataclass(frozen=True, slots=True)
class Landlock:
    """Landlock as this kernel has it."""

    abi: int
    machine: Machine

    def rules(self, paths: Paths, tmp: Path) -> Rules:
        """The rules for one command. Reads the disk."""
        system = [Path(name) for name in _READ] + [Path("/etc", name) for name in _READ_ETC]
        rules = ALWAYS + HOST_NETWORK + (() if self.abi >= SIGNALS_ABI else NO_SIGNALS)
        return Rules(
            files=_file_rights(self.abi),
            network=0b11 if self.abi >= 4 else 0,  # TCP bind and connect
            scope=0b11 if self.abi >= SIGNALS_ABI else 0,  # abstract sockets, signals
            size=24 if self.abi >= SIGNALS_ABI else 16 if self.abi >= 4 else 8,
            read=[str(path) for path in (*system, *(real for _, real in paths.read)) if path.exists()],
            write=[str(paths.tree), str(tmp)],
            devices=[name for name in _DEVICES if Path(name).exists()],
            machine=self.machine,
            seccomp=assemble(self.machine, rules).hex(),
        )

    def notes(self) -> tuple[Check, ...]:
        """What this level does not give, for people to know."""
        lacks = {
            "a network of its own": "tests that open a socket fail; socket pairs work",
            "locks between processes": "multiprocessing.Lock, Queue and Pool need /dev/shm, which is the host's",
            "file modes, owners and times": "changing them seems to work and does nothing",
            "a read-only .git": "Corral's git runs no hook, filter or setting of a work tree",
        }
        if self.abi < SIGNALS_ABI:
            lacks["signals between its own processes"] = "the kernel cannot keep them inside (before 6.12)"
        return tuple(Check(name=name, held=False, needed=False, note=note) for name, note in lacks.items())


def landlock_abi() -> int:
    """The version of Landlock this kernel enforces; 0 for none."""
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(_ASK_VERSION))
    return max(version, 0)


def _file_rights(abi: int) -> int:
    rights = (1 << 13) - 1
    for bit, since in ((13, 2), (14, 3), (15, 5)):  # refer, truncate, ioctl on devices
        if abi >= since:
            rights |= 1 << bit
    return rights
