"""Seccomp filters: which system calls a sandboxed program is refused, as BPF the kernel takes.

Owns the policy of both levels and its assembler. It is a deny list over a namespace or a Landlock domain, not
a boundary of its own: it takes away what widens the reachable kernel, and what the boundary leaves open.
"""

import errno
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from infrastructure.sandbox.syscalls import Machine, number


class Match(Enum):
    """When a rule that looks at an argument applies."""

    ANY_BIT = auto()
    AMONG = auto()
    NOT_AMONG = auto()


@dataclass(frozen=True, slots=True)
class Argument:
    """A test of the low 32 bits of one argument; flags, families, types and process ids all fit there."""

    index: int
    match: Match
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """Calls that fail with `error` (0: seem to succeed, and do nothing) where the argument matches."""

    calls: tuple[str, ...]
    error: int = errno.EPERM
    argument: Argument | None = None


_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* flag
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10  # written out: these are the kernel's numbers, not this host's
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_TYPE_MASK = 1, 5, 0xF
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

ALWAYS: tuple[Rule, ...] = (
    Rule(("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise")),
    Rule(("io_uring_setup", "io_uring_enter", "io_uring_register")),
    Rule(("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr")),
    Rule(("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount")),
    Rule(("unshare", "setns")),
    Rule(("clone",), argument=Argument(0, Match.ANY_BIT, (_NEW_NAMESPACES,))),
    Rule(("clone3",), errno.ENOSYS),  # its flags lie in memory no filter can read; libc falls back to clone
    Rule(("bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "vmsplice")),
    Rule(("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot")),
    Rule(("swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "vhangup", "lookup_dcookie")),
    Rule(("open_by_handle_at", "name_to_handle_at", "fanotify_init", "nfsservctl", "uselib")),
    Rule(("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname")),
    Rule(("personality", "modify_ldt", "iopl", "ioperm", "migrate_pages", "move_pages", "mbind")),
    Rule(("ioctl",), argument=Argument(1, Match.AMONG, (_TIOCSTI, _TIOCLINUX))),
)
"""Refused at every level."""

OWN_NETWORK: tuple[Rule, ...] = (
    # The namespace's only interface is a loopback of its own, so IP is harmless; packet, netlink, vsock
    # (which starts programs of the host on WSL2) and crypto sockets are kernel surface for nothing.
    Rule(
        ("socket", "socketpair"),
        argument=Argument(0, Match.NOT_AMONG, (_AF_UNIX, _AF_INET, _AF_INET6)),
    ),
)
"""For a level with a network namespace of its own."""

HOST_NETWORK: tuple[Rule, ...] = (
    Rule(("socket", "connect", "bind", "listen", "accept", "accept4", "sendmmsg")),
    # asyncio and multiprocessing need socket pairs. Not datagram ones: those may write to any address.
    Rule(("socketpair",), argument=Argument(0, Match.NOT_AMONG, (_AF_UNIX,))),
    Rule(
        ("socketpair",),
        argument=Argument(1, Match.NOT_AMONG, (_SOCK_STREAM, _SOCK_SEQPACKET), mask=_SOCK_TYPE_MASK),
    ),
    # The host's IPC objects and the scheduling and limits of the host's processes are a call away.
    Rule(("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl")),
    Rule(("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink")),
    Rule(
        ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"),
        argument=Argument(0, Match.NOT_AMONG, (0,)),
    ),
    Rule(("setpriority",), argument=Argument(0, Match.NOT_AMONG, (0,))),
    Rule(("setpriority",), argument=Argument(1, Match.NOT_AMONG, (0,))),
    Rule(("ioprio_set",)),
    # Landlock does not rule modes, owners and times: a program could change those of any file of its user.
    # They seem to succeed, because copying a file sets them and half of all test suites copy files.
    Rule(("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"), 0),
    Rule(("utime", "utimes", "futimesat", "utimensat"), 0),
    Rule(("setxattr", "lsetxattr", "fsetxattr", "setxattrat"), errno.ENOTSUP),
    Rule(("removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr"), errno.ENOTSUP),
)
"""For a level that shares the host's network, IPC and process numbers."""

NO_SIGNALS: tuple[Rule, ...] = (
    Rule(("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo")),
)
"""For a kernel whose Landlock cannot keep signals inside (before ABI 6)."""


def this_machine() -> Machine | None:
    """The machine this runs on, where the filter knows it."""
    name = platform.machine()
    return Machine(name) if name in set(Machine) else None


def assemble(machine: Machine, rules: Iterable[Rule]) -> bytes:
    """Rules as a classic BPF program, `struct sock_filter[]`, for seccomp.

    A foreign architecture, and the x32 calls of x86_64, kill the process: they would be other numbers for
    the same calls.
    """
    program = list(_prologue(machine))
    for rule in rules:
        for call in rule.calls:
            nr = number(machine, call)
            if nr is not None:
                body = _body(rule)
                program += [_jump(_JEQ, nr, 0, len(body)), *body]
    return b"".join((*program, _return(_ALLOW)))


# ------------------------------------------------------------------------------ linux/filter.h, linux/seccomp.h
_LOAD, _AND, _RET = 0x20, 0x54, 0x06
_JEQ, _JGE, _JSET = 0x15, 0x35, 0x45
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_OFFSET_NR, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16  # struct seccomp_data
_X32_BIT = 0x40000000
_AUDIT_ARCH = {Machine.X86_64: 0xC000003E, Machine.AARCH64: 0xC00000B7}


def _prologue(machine: Machine) -> Iterator[bytes]:
    yield _statement(_LOAD, _OFFSET_ARCH)
    yield _jump(_JEQ, _AUDIT_ARCH[machine], 1, 0)
    yield _return(_KILL_PROCESS)
    yield _statement(_LOAD, _OFFSET_NR)
    if machine is Machine.X86_64:
        yield _jump(_JGE, _X32_BIT, 0, 1)
        yield _return(_KILL_PROCESS)


def _body(rule: Rule) -> Sequence[bytes]:
    refuse = _return(_ERRNO | rule.error)
    test = rule.argument
    if test is None:
        return (refuse,)
    load = [_statement(_LOAD, _OFFSET_ARGS + 8 * test.index)]  # both machines are little endian: low word first
    if test.mask != 0xFFFFFFFF:
        load.append(_statement(_AND, test.mask))
    again = _statement(_LOAD, _OFFSET_NR)  # the next rule finds the call's number where it left it
    match test.match:
        case Match.ANY_BIT | Match.AMONG:
            code = _JSET if test.match is Match.ANY_BIT else _JEQ
            tests = [part for value in test.values for part in (_jump(code, value, 0, 1), refuse)]
        case Match.NOT_AMONG:
            last = len(test.values) - 1
            tests = [_jump(_JEQ, value, last - i + 1, 0) for i, value in enumerate(test.values)]
            tests.append(refuse)
    return (*load, *tests, again)


def _statement(code: int, k: int) -> bytes:
    return struct.pack("=HBBI", code, 0, 0, k)


def _jump(code: int, k: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, k)


def _return(action: int) -> bytes:
    return _statement(_RET, action)
