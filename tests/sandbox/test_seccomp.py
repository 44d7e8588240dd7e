"""The filters, read by a small interpreter of the kernel's language, for both machines."""

import errno
import re
import struct
from pathlib import Path

import pytest

from infrastructure.sandbox.seccomp import ALWAYS, HOST_NETWORK, NO_SIGNALS, OWN_NETWORK, Rule, assemble
from infrastructure.sandbox.syscalls import Machine, number

ARCHITECTURE = {Machine.X86_64: 0xC000003E, Machine.AARCH64: 0xC00000B7}
I386, ARM = 0x40000003, 0x40000028
ALLOW, KILL = "allow", "kill"
FILTERS = {"own network": ALWAYS + OWN_NETWORK, "host network": ALWAYS + HOST_NETWORK}


def verdict(program: bytes, architecture: int, nr: int, *arguments: int) -> str | int:
    """What the kernel would do: allow, kill, or fail with an error number."""
    words = [word & 0xFFFFFFFFFFFFFFFF for word in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", nr, architecture, 0, *words)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, k = steps[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x15:
                at += if_true if accumulator == k else if_false
            case 0x35:
                at += if_true if accumulator >= k else if_false
            case 0x45:
                at += if_true if accumulator & k else if_false
            case 0x06:
                return {0x7FFF0000: ALLOW, 0x80000000: KILL}.get(k, k & 0xFFFF)
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@pytest.fixture(params=list(Machine), ids=str)
def machine(request: pytest.FixtureRequest) -> Machine:
    return request.param


def judged(rules: tuple[Rule, ...], machine: Machine, call: str, *arguments: int) -> str | int:
    nr = number(machine, call)
    assert nr is not None
    return verdict(assemble(machine, rules), ARCHITECTURE[machine], nr, *arguments)


@pytest.mark.parametrize("rules", FILTERS.values(), ids=FILTERS)
def test_every_call_without_condition_fails_as_its_rule_says(rules: tuple[Rule, ...], machine: Machine) -> None:
    for rule in rules:
        for call in rule.calls:
            nr = number(machine, call)
            if rule.argument is None and nr is not None:
                assert verdict(assemble(machine, rules), ARCHITECTURE[machine], nr) == rule.error, call


@pytest.mark.parametrize("rules", FILTERS.values(), ids=FILTERS)
def test_a_foreign_architecture_kills(rules: tuple[Rule, ...], machine: Machine) -> None:
    for architecture in (I386, ARM, *(set(ARCHITECTURE.values()) - {ARCHITECTURE[machine]})):
        assert verdict(assemble(machine, rules), architecture, 1) == KILL


def test_the_x32_numbers_of_x86_64_kill() -> None:
    program = assemble(Machine.X86_64, ALWAYS)
    for nr in (0x40000000, 0x40000000 + 41, 0xFFFFFFFF):
        assert verdict(program, ARCHITECTURE[Machine.X86_64], nr) == KILL


CLONE_THREAD_FLAGS = 0x3D0F00
EPERM = errno.EPERM


@pytest.mark.parametrize(
    ("rules", "call", "arguments", "expected"),
    [
        (ALWAYS, "clone", (CLONE_THREAD_FLAGS,), ALLOW),
        (ALWAYS, "clone", (17,), ALLOW),
        *[(ALWAYS, "clone", (1 << bit | 17,), EPERM) for bit in (17, 25, 26, 27, 28, 29, 30)],
        (ALWAYS, "clone3", (), errno.ENOSYS),
        (ALWAYS, "ioctl", (0, 0x5401), ALLOW),
        (ALWAYS, "ioctl", (0, 0x5412), EPERM),
        (ALWAYS, "ioctl", (0, 0xFFFFFFFF00005412), EPERM),
        (ALWAYS, "ioctl", (0, 0x541C), EPERM),
        *[(OWN_NETWORK, "socket", (family,), ALLOW) for family in (1, 2, 10)],
        *[(OWN_NETWORK, "socket", (family,), EPERM) for family in (0, 16, 17, 38, 40, 44)],
        (OWN_NETWORK, "socket", (0xFFFFFFFF00000001,), ALLOW),
        (OWN_NETWORK, "socketpair", (1, 2), ALLOW),
        *[(HOST_NETWORK, "socket", (family,), EPERM) for family in (1, 2, 10, 16, 40)],
        (HOST_NETWORK, "socketpair", (1, 1), ALLOW),
        (HOST_NETWORK, "socketpair", (1, 1 | 0o2000000 | 0o4000), ALLOW),
        (HOST_NETWORK, "socketpair", (1, 5), ALLOW),
        (HOST_NETWORK, "socketpair", (1, 2), EPERM),
        (HOST_NETWORK, "socketpair", (2, 1), EPERM),
        (HOST_NETWORK, "prlimit64", (0, 7), ALLOW),
        (HOST_NETWORK, "prlimit64", (4711, 7), EPERM),
        (HOST_NETWORK, "setpriority", (0, 0, 5), ALLOW),
        (HOST_NETWORK, "setpriority", (0, 4711, 5), EPERM),
        (HOST_NETWORK, "setpriority", (2, 0, 5), EPERM),
        (NO_SIGNALS, "kill", (4711, 9), EPERM),
        (NO_SIGNALS, "clone", (17,), ALLOW),
    ],
)
def test_arguments_decide(
    machine: Machine, rules: tuple[Rule, ...], call: str, arguments: tuple[int, ...], expected: str | int
) -> None:
    assert judged(rules, machine, call, *arguments) == expected


def test_a_mode_of_a_file_seems_to_change(machine: Machine) -> None:
    assert judged(HOST_NETWORK, machine, "fchmodat") == 0
    assert judged(HOST_NETWORK, machine, "utimensat") == 0


@pytest.mark.parametrize("rules", FILTERS.values(), ids=FILTERS)
def test_ordinary_calls_are_allowed(rules: tuple[Rule, ...]) -> None:
    ordinary = {"read": 0, "write": 1, "openat": 257, "mmap": 9, "futex": 202, "execve": 59, "wait4": 61, "vfork": 58}
    for name, nr in ordinary.items():
        assert verdict(assemble(Machine.X86_64, rules), ARCHITECTURE[Machine.X86_64], nr) == ALLOW, name


@pytest.mark.parametrize(
    ("machine", "header", "prefix"),
    [
        (Machine.X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "__NR_"),
        (Machine.AARCH64, "/usr/include/asm-generic/unistd.h", "__NR(?:3264)?_"),
    ],
)
def test_numbers_are_those_of_the_kernel_headers(machine: Machine, header: str, prefix: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed here")
    defined = {name: int(nr) for name, nr in re.findall(rf"#define {prefix}(\w+) (\d+)", Path(header).read_text())}
    calls = {call for rule in (*ALWAYS, *HOST_NETWORK, *NO_SIGNALS) for call in rule.calls}
    known = {call: defined[call] for call in calls if call in defined}

    assert len(known) > 80
    assert {call: number(machine, call) for call in known} == known
