# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH116, PTH208, PTH211, T201 - attacks name the system call they mean, and print to be read
"""Attacks that reach for something of the machine's. Run inside a sandbox: NAME, then the targets as JSON.

Each returns something true where it got through; raising OSError is being held.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import sys
from pathlib import Path

host = json.loads(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
NUMBERS = {
    "x86_64": {"ptrace": 101, "process_vm_readv": 310, "shmget": 29},
    "aarch64": {"ptrace": 117, "process_vm_readv": 270, "shmget": 194},
}


def syscall(name, *words):
    ctypes.set_errno(0)
    number = NUMBERS[os.uname().machine][name]
    return libc.syscall(ctypes.c_long(number), *(ctypes.c_long(word) for word in words))


def connected(family, address):
    with socket.socket(family) as client:
        client.settimeout(3)
        client.connect(address)
        return client.send(b"from inside")


def read_a_secret_in_home():
    return Path(host["secret"]).read_text()


def list_home():
    return ".ssh" in os.listdir(host["home"])


def list_the_folder_above_the_tree():
    return "host" in os.listdir("..")


def write_outside_the_tree():
    return Path(host["written"]).write_text("from inside")


def write_through_a_symlink():
    os.symlink(host["written"], "link")
    return Path("link").write_text("from inside")


def read_through_a_symlinked_folder():
    os.symlink(host["home"], "folder")
    return Path("folder/.ssh/id_ed25519").read_text()


def hard_link_a_secret_into_the_tree():
    os.link(host["secret"], "mine")
    return Path("mine").read_text()


def delete_a_file():
    os.unlink(host["scrap"])
    return True


def truncate_a_file():
    os.truncate(host["scrap"], 0)
    return True


def rename_a_file():
    os.rename(host["scrap"], host["scrap"] + "-renamed")
    return True


def open_a_file_to_everybody():
    before = os.stat(host["scrap"]).st_mode
    os.chmod(host["scrap"], 0o777)
    return os.stat(host["scrap"]).st_mode != before


def change_the_times_of_a_file():
    before = os.stat(host["scrap"]).st_mtime
    os.utime(host["scrap"], (1, 1))
    return os.stat(host["scrap"]).st_mtime != before


def make_a_folder():
    os.mkdir(host["written"])
    return True


def read_another_process_environment():
    return Path(f"/proc/{host['victim']}/environ").read_bytes()


def reach_files_through_another_process_root():
    return os.listdir(f"/proc/{host['corral']}/root{host['home']}")


def see_the_processes_of_the_machine():
    return str(host["corral"]) in os.listdir("/proc")


def signal_another_process():
    os.kill(host["victim"], 0)
    return True


def signal_corral():
    os.kill(host["corral"], 0)
    return True


def attach_to_another_process():
    return syscall("ptrace", PTRACE_SEIZE, host["victim"], 0, 0) == 0


def read_another_process_memory():
    syscall("process_vm_readv", host["victim"], 0, 1, 0, 1, 0)
    return ctypes.get_errno() not in (errno.EPERM, errno.ESRCH)


def lower_the_limits_of_another_process():
    return resource.prlimit(host["victim"], resource.RLIMIT_NOFILE)


def slow_another_process_down():
    os.setpriority(os.PRIO_PROCESS, host["victim"], 5)
    return True


def pin_another_process():
    os.sched_setaffinity(host["victim"], {0})
    return True


def reach_a_tcp_server():
    return connected(socket.AF_INET, ("127.0.0.1", host["port"]))


def reach_a_udp_server():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"from inside", ("127.0.0.1", host["udp"]))
    return False  # only the server knows whether it came


def reach_a_unix_socket_by_path():
    return connected(socket.AF_UNIX, host["unix"])


def reach_an_abstract_unix_socket():
    return connected(socket.AF_UNIX, "\0" + host["abstract"])


def reach_a_unix_datagram_socket_from_a_pair():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"from inside", host["log"])


def attach_shared_memory():
    return syscall("shmget", host["shared_memory_key"], 0, 0) >= 0


if __name__ == "__main__":
    try:
        print("GOT THROUGH" if globals()[sys.argv[1]]() else "held")
    except OSError as held:
        print("held:", held)
