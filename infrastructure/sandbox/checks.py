"""The self check: a hostile program, run in a sandbox, tries what an attacker would try first.

Owns the targets it is shown (a secret, listeners, a variable), which live in a temporary folder of ours and
never in anybody's home, and what each result means.
"""

import asyncio
import json
import os
import secrets
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from infrastructure.processes import scratch
from infrastructure.sandbox.base import Check, Command, Level, Limits, Sandbox
from infrastructure.sandbox.commands import environment
from infrastructure.sandbox.interpreters import interpreter_paths

_PROBE = Path(__file__).with_name("probe.py")
_LONGEST_PLACE = 60
_HELD = {
    "read": "a file outside cannot be read",
    "list": "a folder outside cannot be listed",
    "write": "a file outside cannot be written",
    "link": "a file outside cannot be written through a symbolic link",
    "tcp": "a TCP server of this machine cannot be reached",
    "unix": "a UNIX socket of this machine cannot be reached",
    "abstract": "an abstract UNIX socket of this machine cannot be reached",
    "settings": "settings of the kernel cannot be changed",
    "signal": "Corral cannot be signalled",
    "look": "another process cannot be looked into",
    "calls": "dangerous system calls are refused",
    "environment": "Corral's environment is not visible",
    "privileges": "no privilege can be gained by executing a program",
    "devices": "no device can be made",
}
"""What it means that an attack did not get through. All are needed."""


async def attacked(sandbox: Sandbox) -> tuple[Check, ...]:
    """Run the hostile program and say what held.

    Raises:
        SandboxFault: The sandbox could not be set up.
    """
    # The address of a UNIX socket has 107 bytes at most; some people's temporary folder alone is longer.
    place = Path("/tmp") if len(await asyncio.to_thread(tempfile.gettempdir)) > _LONGEST_PLACE else None
    async with scratch("check", place) as folder:
        return await _attacked(sandbox, folder)


async def _attacked(sandbox: Sandbox, folder: Path) -> tuple[Check, ...]:
    with ExitStack() as stack:
        targets = await asyncio.to_thread(_prepare, folder, stack)
        execution = await sandbox.run(
            Command(
                argv=(sys.executable, "-I", "-S", "-c", targets.pop("probe"), json.dumps(targets)),
                tree=Path(targets["tree"]),
                read=await asyncio.to_thread(interpreter_paths, Path(sys.executable)),
                limits=Limits(wall_seconds=20.0),
            )
        )
    try:
        through = cast("dict[str, bool]", json.loads(execution.stdout))
    except ValueError:
        return (Check(name="the self check ran", held=False, note=execution.stderr.strip()[-500:]),)
    if await asyncio.to_thread(Path(targets["outside"]).exists):
        through["write"] = True  # whatever the program believes
    needed = sandbox.level is not Level.NONE
    return tuple(Check(name=name, held=not through[key], needed=needed) for key, name in _HELD.items())


def _prepare(folder: Path, stack: ExitStack) -> dict[str, str]:
    (folder / "tree").mkdir()
    (folder / "hidden").mkdir()
    (folder / "hidden" / "secret").write_text("a secret")
    token = secrets.token_hex(8)
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    for address in (str(folder / "hidden" / "socket"), f"\0corral-check-{token}"):
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address)
        listener.listen()
    return {
        "probe": _PROBE.read_text(),
        "tree": str(folder / "tree"),
        "secret": str(folder / "hidden" / "secret"),
        "outside": str(folder / "hidden" / "written"),
        "port": str(server.getsockname()[1]),
        "unix": str(folder / "hidden" / "socket"),
        "abstract": f"corral-check-{token}",
        "pid": str(os.getpid()),
        "variable": next(iter(os.environ.keys() - environment({}, home="", tmp="").keys() - {"PWD"}), "CORRAL"),
    }
