"""A process held by a descriptor (Linux 5.3): its number may mean another one by the time it is used.

Owns how the kernel is asked. Python has these calls only where it was built with headers that had them, which many a
Python that is downloaded ready was not; so the kernel is asked itself, by numbers that are the same on every machine.
"""

import ctypes
import errno
import os
import signal
import sys

_PIDFD_SEND_SIGNAL, _PIDFD_OPEN = 424, 434  # asm-generic/unistd.h; alpha alone has others
_libc = ctypes.CDLL(None, use_errno=True)


def open_process(pid: int) -> int:
    """A descriptor of a process; it can be read from when that has ended. Not inherited.

    Raises:
        ProcessLookupError: There is no such process.
        OSError: The system has no such thing, or no descriptor is left.
    """
    return _call(_PIDFD_OPEN, pid, 0)


def send_signal(descriptor: int, number: signal.Signals) -> None:
    """Send a signal to the process that is held.

    Raises:
        ProcessLookupError: It has ended.
        OSError: The system refused.
    """
    _call(_PIDFD_SEND_SIGNAL, descriptor, number, 0, 0)


def _call(number: int, *arguments: int) -> int:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    result: int = _libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
