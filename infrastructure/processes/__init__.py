"""The only place in the repository that spawns a process (a test searches for any other)."""

from infrastructure.processes.capture import FLOOD_FACTOR
from infrastructure.processes.pidfd import open_process, send_signal
from infrastructure.processes.running import Finished, ProcessNotStarted, Stop, Watch, run_process
from infrastructure.processes.scratch import Scratch, scratch, sweep_scratch

__all__ = [
    "FLOOD_FACTOR",
    "Finished",
    "ProcessNotStarted",
    "Scratch",
    "Stop",
    "Watch",
    "open_process",
    "run_process",
    "scratch",
    "send_signal",
    "sweep_scratch",
]
