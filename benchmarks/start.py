"""How long the command line takes to start: CPU and wall time of `corral --help` over those of `python -c pass`."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring import cpu_seconds, interleaved, ratios, summary

ROUNDS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "corral --version": [str(Path(sys.executable).with_name("corral")), "--version"],
    "corral --help": [str(Path(sys.executable).with_name("corral")), "--help"],
}


def main() -> str:
    """The table."""
    wall: dict[str, list[float]] = {name: [] for name in COMMANDS}

    def run(name: str) -> float:
        before, started = cpu_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(COMMANDS[name], check=True, stdout=subprocess.DEVNULL)
        wall[name].append(time.perf_counter() - started)
        return cpu_seconds(resource.RUSAGE_CHILDREN) - before

    cpu = interleaved({name: (lambda name=name: run(name)) for name in COMMANDS}, ROUNDS)
    lines = ["| command | CPU s | over the floor | wall s |", "|---|---|---|---|"]
    floor = cpu["python -c pass"]
    lines += [
        f"| `{name}` | {summary(cpu[name])} | {summary(ratios(cpu[name], floor))} | {summary(wall[name])} |"
        for name in COMMANDS
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
