"""Confines a command, becomes it, and stays behind as its reaper. A script, never imported by the engine.

Started as `python -I -S launcher.py SPEC_FD STATUS_FD`; imports little of the standard library and nothing
else, because it starts before every command. Writes `{"exit": n}` to STATUS_FD once the command has ended and
nothing of it is alive, or `{"fault": "..."}` when it could not be confined and did not run.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from infrastructure.sandbox.landlock import Rules, Spec

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

# linux/prctl.h, linux/landlock.h, linux/capability.h
_SET_PDEATHSIG, _SET_SECCOMP, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 22, 24, 36, 38
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


class Ended(BaseException):
    """We were told to stop."""


def main() -> int:
    """Run the command of the specification; the exit status is the command's, 128 + n for signal n."""
    status_fd = int(sys.argv[2])
    with os.fdopen(int(sys.argv[1])) as stream:
        spec: Spec = json.load(stream)
    # Held back until there is somebody to kill, so that no instant leaves the command without its reaper.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _end)
    if _LINUX:
        _prctl(_SET_CHILD_SUBREAPER, 1)
        _prctl(_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        return 1  # the parent was gone before we asked to be told
    fault_out, fault_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(status_fd)
        _become(spec, fault_in)
    os.close(fault_in)
    fault, code = _follow(child, fault_out)
    _sweep(child)
    os.write(status_fd, json.dumps({"fault": fault} if fault else {"exit": code}).encode() + b"\n")
    return code


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # told once is enough: what follows must not be interrupted
    raise Ended


def _follow(child: int, fault_out: int) -> tuple[str, int]:
    fault = ""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        with os.fdopen(fault_out) as stream:
            fault = stream.read()  # ends when the command begins: the other end closes on execution
        code = os.waitstatus_to_exitcode(_wait_for(child))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # the rest is done to its end
    except Ended:
        code = -signal.SIGTERM
    return fault, 128 - code if code < 0 else code


def _wait_for(child: int) -> int:
    while True:
        pid, status = os.wait()  # daemons of the command become our children: reap them too
        if pid == child:
            return status


# --------------------------------------------------------------------------------- the end of everything it left
def _sweep(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue  # the usual case: they are dead, and no process of the machine need be looked at
            # Stopped first, then killed: a stopped process forks no more, so the set stops growing.
            stopped: set[int] = set()
            while fresh := _descendants() - stopped:
                _signal_all(fresh, signal.SIGSTOP)
                stopped |= fresh
            _signal_all(stopped, signal.SIGKILL)
            os.wait()


def _signal_all(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants() -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in _processes():
        with contextlib.suppress(OSError):
            fd = os.open(f"{entry.path}/stat", os.O_RDONLY)
            state, parent = os.read(fd, 4096).rpartition(b")")[2].split()[:2]
            os.close(fd)
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(entry.name))
    family = [os.getpid()]
    for pid in family:
        family += children.get(pid, ())
    return set(family[1:])


def _processes() -> list[os.DirEntry[str]]:
    try:
        with os.scandir("/proc") as entries:
            return [entry for entry in entries if entry.name.isdecimal()]
    except OSError:
        return []  # no /proc (macOS): the process group has to do


# ------------------------------------------------------------------------------------------------- in the child
def _become(spec: Spec, fault: int) -> NoReturn:
    try:
        os.setsid()
        # Whatever we were started with: a shell in the background ignores SIGINT, nohup SIGHUP, Python two more.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir(spec["cwd"])
        _set_limits(spec["limits"], spec["processes"])
        if spec["rules"] is not None:
            _confine(spec["rules"])
    except (OSError, ValueError) as error:
        os.write(fault, f"{error}".encode())
        os._exit(125)
    _execute(spec["argv"], spec["env"])


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    # Not os.execvpe: that imports a module, which the command may well not be allowed to read.
    folders = [""] if "/" in argv[0] else [f"{folder}/" for folder in env["PATH"].split(":")]
    refusal = errno.ENOENT
    for folder in folders:
        try:
            os.execve(f"{folder}{argv[0]}", argv, env)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                refusal = error.errno or refusal
    os.write(2, f"{argv[0]}: {os.strerror(refusal)}\n".encode())
    os._exit(127 if refusal == errno.ENOENT else 126)


def _set_limits(limits: dict[str, list[int]], processes: int | None) -> None:
    if processes is not None:
        # The kernel counts every thread of this user on the machine, so the limit stands above those.
        count = _threads_of_user() + processes
        limits = {**limits, "RLIMIT_NPROC": [count, count]}
    for name, pair in limits.items():
        which: int = getattr(resource, name)
        ceiling = resource.getrlimit(which)[1]
        soft, hard = pair if ceiling == resource.RLIM_INFINITY else (min(value, ceiling) for value in pair)
        resource.setrlimit(which, (soft, hard))


def _threads_of_user() -> int:
    total = 0
    for entry in _processes():
        with contextlib.suppress(OSError):
            if entry.stat().st_uid == os.getuid():
                with os.scandir(f"{entry.path}/task") as tasks:
                    total += sum(1 for _ in tasks)
    return total


def _confine(rules: Rules) -> None:
    attributes = struct.pack("=QQQ", rules["files"], rules["network"], rules["scope"])
    ruleset = _call(_CREATE_RULESET, attributes, rules["size"], 0)
    read = (_EXECUTE | _READ_FILE | _READ_DIR) & rules["files"]
    for paths, rights in (
        (rules["read"], read),
        (rules["write"], rules["files"]),
        (rules["devices"], _READ_FILE | _WRITE_FILE),
    ):
        for path in paths:
            _allow(ruleset, path, rights)
    _drop_capabilities(rules["machine"])
    _prctl(_SET_NO_NEW_PRIVS, 1)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    _filter(bytes.fromhex(rules["seccomp"]))


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH)
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _FILE_RIGHTS  # the kernel refuses rights on a file that only mean something on a folder
    _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    os.close(fd)


def _drop_capabilities(machine: str) -> None:
    # Root without a bounding set is root by name only: executing a program gives it nothing back.
    for capability in range(64):
        with contextlib.suppress(OSError):  # past the last one; or not root, who has none to drop
            _prctl(_CAPBSET_DROP, capability)
    _call(_CAPSET[machine], struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))


def _filter(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code)))
    _prctl(_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(head))


def _prctl(option: int, first: int, second: int = 0) -> None:
    words = (ctypes.c_ulong(word) for word in (first, second, 0, 0))
    if _libc.prctl(option, *words) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _call(number: int, *arguments: int | bytes) -> int:
    words = (word if isinstance(word, bytes) else ctypes.c_long(word) for word in arguments)
    result: int = _libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    os._exit(main())  # nothing is left to be flushed, and tearing the interpreter down takes its time
