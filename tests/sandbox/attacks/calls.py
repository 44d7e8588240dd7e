# ruff: noqa: T201 - attacks name the system call they mean, and print to be read
"""Makes system calls that no test suite needs and prints, as JSON, the error number each one came back with."""

import ctypes
import errno
import fcntl
import json
import os
import socket

libc = ctypes.CDLL(None, use_errno=True)
X86_64 = {
    "ptrace": 101, "process_vm_writev": 311, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "setns": 308, "unshare": 272, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250,
    "add_key": 248, "request_key": 249, "kexec_load": 246, "init_module": 175, "finit_module": 313,
    "delete_module": 176, "swapon": 167, "reboot": 169, "acct": 163, "open_by_handle_at": 304,
    "name_to_handle_at": 303, "syslog": 103, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159,
    "quotactl": 179, "personality": 135, "vmsplice": 278, "fanotify_init": 300, "sethostname": 170, "kcmp": 312,
    "modify_ldt": 154, "iopl": 172,
}  # fmt: skip
AARCH64 = {
    "ptrace": 117, "process_vm_writev": 271, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "setns": 268, "unshare": 97, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "keyctl": 219,
    "add_key": 217, "request_key": 218, "kexec_load": 104, "init_module": 105, "finit_module": 273,
    "delete_module": 106, "swapon": 224, "reboot": 142, "acct": 89, "open_by_handle_at": 265,
    "name_to_handle_at": 264, "syslog": 116, "settimeofday": 170, "clock_settime": 112, "adjtimex": 171,
    "quotactl": 60, "personality": 92, "vmsplice": 75, "fanotify_init": 262, "sethostname": 161, "kcmp": 272,
}  # fmt: skip
EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsmount": 432, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
NUMBERS = (X86_64 if os.uname().machine == "x86_64" else AARCH64) | EVERYWHERE
CLONE = 56 if os.uname().machine == "x86_64" else 220
SIGCHLD, CLONE_NEWUSER, CLONE_NEWNET = 17, 0x10000000, 0x40000000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
FAMILIES = {"AF_NETLINK": 16, "AF_PACKET": 17, "AF_ALG": 38, "AF_VSOCK": 40, "AF_BLUETOOTH": 31, "AF_XDP": 44}


def error_of(number, *words):
    ctypes.set_errno(0)
    filled = [*words, 0, 0, 0, 0, 0][:6]
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(word) for word in filled))
    if result == 0 and number == CLONE:
        os._exit(0)
    return ctypes.get_errno() if result == -1 else 0


def error_of_socket(family, kind):
    try:
        socket.socket(family, kind).close()
    except OSError as error:
        return error.errno
    return 0


def error_of_ioctl(request):
    try:
        fcntl.ioctl(1, request, b"x")
    except OSError as error:
        return error.errno
    return 0


errors = {name: error_of(number) for name, number in NUMBERS.items()}
errors["clone a user namespace"] = error_of(CLONE, CLONE_NEWUSER | SIGCHLD)
errors["clone a network namespace"] = error_of(CLONE, CLONE_NEWNET | SIGCHLD)
errors["clone3"] = error_of(435)
errors["TIOCSTI"] = error_of_ioctl(TIOCSTI)
errors["TIOCLINUX"] = error_of_ioctl(TIOCLINUX)
for name, family in FAMILIES.items():
    errors[name] = error_of_socket(family, socket.SOCK_RAW)
print(json.dumps({name: errno.errorcode.get(error, error) for name, error in errors.items()}))
