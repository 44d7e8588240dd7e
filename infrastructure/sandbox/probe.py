"""The self check's hostile program: a script run inside a sandbox, never imported, told its targets as JSON.

Prints one JSON object: for each attack, whether it got through. An attack that raises did not.
"""

import ctypes
import errno
import json
import os
import platform
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_target: dict[str, str] = json.loads(sys.argv[1])
_libc = ctypes.CDLL(None, use_errno=True)
_PR_GET_NO_NEW_PRIVS = 39
_REFUSED_CALLS = {  # ptrace keyctl add_key userfaultfd perf_event_open bpf unshare mount io_uring_setup
    "x86_64": (101, 250, 248, 323, 298, 321, 272, 165, 425),
    "aarch64": (117, 219, 217, 282, 241, 280, 97, 40, 425),
}


def main() -> None:
    """Try everything."""
    attacks: dict[str, Callable[[], bool]] = {
        "read": lambda: bool(Path(_target["secret"]).read_text()),
        "list": lambda: Path(_target["secret"]) in Path(_target["secret"]).parent.iterdir(),
        "write": lambda: Path(_target["outside"]).write_text("was here") > 0,
        "link": _write_through_a_link,
        "tcp": lambda: _connected(socket.AF_INET, ("127.0.0.1", int(_target["port"]))),
        "unix": lambda: _connected(socket.AF_UNIX, _target["unix"]),
        "abstract": lambda: _connected(socket.AF_UNIX, "\0" + _target["abstract"]),
        "settings": _can_change_the_kernel,
        "signal": lambda: os.kill(int(_target["pid"]), 0) is None,
        "look": lambda: bool(Path("/proc", _target["pid"], "environ").read_bytes()),
        "calls": _a_call_is_not_refused,
        "environment": lambda: _target["variable"] in os.environ,
        "privileges": lambda: _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1,
        "devices": lambda: os.mknod("device", 0o20600, os.makedev(1, 1)) is None,
    }
    print(json.dumps({name: _got_through(attack) for name, attack in attacks.items()}))  # noqa: T201 - a script


def _got_through(attack: Callable[[], bool]) -> bool:
    try:
        return attack()
    except OSError:
        return False


def _can_change_the_kernel() -> bool:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))  # opened, not written
    return True


def _write_through_a_link() -> bool:
    link = Path("link")
    link.symlink_to(_target["outside"])
    return link.write_text("was here") > 0


def _connected(family: int, address: object) -> bool:
    with socket.socket(family) as client:
        client.settimeout(2.0)
        client.connect(address)  # pyright: ignore[reportArgumentType] - an address of either family
    return True


def _a_call_is_not_refused() -> bool:
    zeros = (ctypes.c_long(0),) * 5
    for number in _REFUSED_CALLS[platform.machine()]:
        if _libc.syscall(ctypes.c_long(number), *zeros) != -1 or ctypes.get_errno() != errno.EPERM:
            return True
    return False


if __name__ == "__main__":
    main()
