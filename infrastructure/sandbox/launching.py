"""How a sandbox's program is started: by the launcher, which stays behind as its reaper.

Owns the start itself, the same for every level, so that nothing outlives Corral, however that ends. Bubblewrap's own
--die-with-parent alone does not see to it: bubblewrap asks the kernel for it late, its first process inside later
still, and if bubblewrap dies between the two, that process waits for it for ever or its command runs with nobody to
stop it. The launcher finds whatever is left, since the kernel makes orphans of its descendants its children.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from infrastructure.sandbox.conditions import memory_file
from infrastructure.sandbox.execution import Start
from infrastructure.sandbox.landlock import Rules, Spec

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GRACE_SECONDS = 3.0  # for the launcher to kill and reap what left the process group


def launched(stack: ExitStack, spec: Spec, *, status: int, inherited: Sequence[int] = ()) -> Start:
    """A start of the launcher.

    Args:
        stack: Closes what is opened for it.
        spec: What it is to run, and under what rules.
        status: Where it says how that ended.
        inherited: Further file descriptors that the command is to find.
    """
    spec_fd = memory_file(stack, json.dumps(spec).encode())
    argv = (sys.executable, "-I", "-S", str(_LAUNCHER), str(spec_fd), str(status))
    return Start(argv=argv, fds=(spec_fd, status, *inherited), grace=_GRACE_SECONDS)


def spec_of(
    argv: Sequence[str],
    *,
    cwd: Path = Path("/"),
    env: dict[str, str] | None = None,
    limits: dict[str, list[int]] | None = None,
    processes: int | None = None,
    rules: Rules | None = None,
) -> Spec:
    """What the launcher is told. Without anything else, only to run the program, as it is, with no environment."""
    return Spec(
        parent=os.getpid(),
        argv=list(argv),
        env=env or {},
        cwd=str(cwd),
        limits=limits or {},
        processes=processes,
        rules=rules,
    )
