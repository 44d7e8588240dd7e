"""Chooses a sandbox by trying: a level is used only if its self check held, here and now.

Owns the order of the levels, the reasons why one is not available, and the line a person can type to fix it.
"""

import asyncio
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, assert_never

from infrastructure.processes import ProcessNotStarted, run_process, sweep_scratch
from infrastructure.sandbox.base import Level, NoSandbox, Sandbox, SandboxFault
from infrastructure.sandbox.bubblewrap import BubblewrapSandbox
from infrastructure.sandbox.conditions import Conditions, usable_cgroups
from infrastructure.sandbox.landlock import OLDEST_ABI, Landlock, landlock_abi
from infrastructure.sandbox.launched import LaunchedSandbox
from infrastructure.sandbox.seccomp import this_machine

_log = logging.getLogger(__name__)

_BUBBLEWRAP = "/usr/bin/bwrap"  # Ubuntu's AppArmor profile is bound to this path
_NEEDED_OPTIONS = ("--disable-userns", "--size", "--json-status-fd", "--ro-bind-data")
_USERNS_RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_INSTALLERS = {
    "apt": "sudo apt install bubblewrap",
    "dnf": "sudo dnf install bubblewrap",
    "pacman": "sudo pacman -S bubblewrap",
    "zypper": "sudo zypper install bubblewrap",
    "apk": "sudo apk add bubblewrap util-linux-misc",
}
_APPARMOR = (
    "This system lets programs make user namespaces only under an AppArmor profile. Type: "
    "sudo apt install apparmor-profiles apparmor-utils && sudo install -m0644 "
    "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
    "sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
)


class _Unavailable(Exception):
    """This level cannot be used here."""


async def open_sandbox(
    wanted: Level | Literal["auto"], *, at_once: int | None = None, extra_read: Sequence[Path] = ()
) -> Sandbox:
    """The wanted sandbox, or the strongest that holds here.

    Args:
        wanted: `auto` tries bubblewrap, then Landlock. A named level is that level or an error, and `none` is
            only ever the answer to its own name.
        at_once: Executions at one time; the number of CPUs if not given.
        extra_read: Absolute paths every command may read, from the configuration.

    Raises:
        NoSandbox: None is available, with the reasons and what to type.
    """
    await sweep_scratch()
    conditions = Conditions(at_once=at_once, cgroups=await usable_cgroups(), extra_read=extra_read)
    reasons: dict[Level, str] = {}
    for level in (Level.BUBBLEWRAP, Level.LANDLOCK) if wanted == "auto" else (wanted,):
        try:
            sandbox = await _open(level, conditions)
        except _Unavailable as why:
            reasons[level] = str(why)
            continue
        for stronger, reason in reasons.items():
            _log.warning("sandbox level %s is not available (%s); using %s", stronger, reason, level)
        return sandbox
    raise NoSandbox(reasons, await asyncio.to_thread(_fix, reasons))


async def _open(level: Level, conditions: Conditions) -> Sandbox:
    match level:
        case Level.BUBBLEWRAP:
            sandbox = await _bubblewrap(conditions)
        case Level.LANDLOCK:
            sandbox = _landlock(conditions)
        case Level.NONE:
            return LaunchedSandbox(conditions, None)
        case _:
            assert_never(level)
    try:
        checks = await sandbox.self_check()
    except SandboxFault as fault:
        raise _Unavailable(fault.reason) from fault
    escaped = [check for check in checks if check.needed and not check.held]
    if escaped:
        said = "; ".join(check.name + (f" ({check.note})" if check.note else "") for check in escaped)
        raise _Unavailable(f"its self check failed: not true that {said}")
    return sandbox


async def _bubblewrap(conditions: Conditions) -> Sandbox:
    machine = this_machine()
    program, prlimit = await asyncio.to_thread(_programs)
    if program is None:
        raise _Unavailable("bubblewrap is not installed")
    if prlimit is None:
        raise _Unavailable("prlimit (of util-linux) is not installed")
    if machine is None:
        raise _Unavailable("there is no seccomp filter for this processor")
    try:
        told = await run_process((program, "--help"), cwd=None, env={}, timeout=5.0)
    except ProcessNotStarted as refused:
        raise _Unavailable(refused.reason) from refused
    known = (told.stdout + told.stderr).decode(errors="replace")
    missing = [option for option in _NEEDED_OPTIONS if option not in known]
    if missing:
        raise _Unavailable(f"bubblewrap is older than 0.8: it does not know {', '.join(missing)}")
    return BubblewrapSandbox(Path(program), Path(prlimit), machine, conditions)


def _programs() -> tuple[str | None, str | None]:
    bubblewrap = _BUBBLEWRAP if os.access(_BUBBLEWRAP, os.X_OK) else shutil.which("bwrap")
    return bubblewrap, shutil.which("prlimit", path="/usr/bin:/bin")  # run inside, from /usr


def _landlock(conditions: Conditions) -> Sandbox:
    machine = this_machine()
    abi = landlock_abi()
    if abi < OLDEST_ABI or machine is None:
        raise _Unavailable("it needs Linux 6.2 or later with Landlock, on x86_64 or aarch64")
    return LaunchedSandbox(conditions, Landlock(abi, machine))


def _fix(reasons: dict[Level, str]) -> str:
    reason = reasons.get(Level.BUBBLEWRAP)
    if reason is None:
        return "Ask for level auto, or use a newer kernel."
    if "not installed" in reason or "older" in reason:
        line = next((line for name, line in _INSTALLERS.items() if shutil.which(name)), None)
        return f"Type: {line}" if line else "Install bubblewrap 0.8 or later and util-linux."
    if _is_on(_USERNS_RESTRICTED):
        return _APPARMOR
    return "Generated code does not run here until bubblewrap works: `bwrap --unshare-all --ro-bind / / true`."


def _is_on(switch: Path) -> bool:
    try:
        return switch.read_text().strip() == "1"
    except OSError:
        return False
