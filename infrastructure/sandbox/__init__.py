"""Where generated code runs: bubblewrap, else Landlock, else nowhere.

Owns the choice of a level and its enforcement; the workflow sees `Sandbox.run(Command) -> Execution` only.
"""

from infrastructure.processes import Stop
from infrastructure.sandbox.base import (
    Check,
    Command,
    Execution,
    Level,
    Limits,
    NoSandbox,
    Sandbox,
    SandboxFault,
    UnsafeCommand,
)
from infrastructure.sandbox.interpreters import interpreter_paths
from infrastructure.sandbox.opening import open_sandbox

__all__ = [
    "Check",
    "Command",
    "Execution",
    "Level",
    "Limits",
    "NoSandbox",
    "Sandbox",
    "SandboxFault",
    "Stop",
    "UnsafeCommand",
    "interpreter_paths",
    "open_sandbox",
]
