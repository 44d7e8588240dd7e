"""The figures of docs/benchmarks.md, all of them: `python -m benchmarks` (or `make bench`)."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime

from benchmarks import api, cancel, decision, quiet, simulator, sse, start, streaming, transports
from infrastructure.compiled import core


def main() -> None:
    """Print every table, with when and where."""
    form = "compiled" if core.compiled else "interpreted"
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, core {form}\n")
    print("Starting\n\n" + start.main() + "\n")
    idle = subprocess.run([sys.executable, "-m", "benchmarks.idle"], check=True, capture_output=True, text=True)
    figures = json.loads(idle.stdout)
    print("Idle engine\n\n| | |\n|---|---|")
    print(f"| bare Python, MB resident | {figures['python_mb']:.0f} |")
    print(f"| application imported | {figures['imported_mb']:.0f} |")
    print(f"| engine open and idle | {figures['idle_mb']:.0f} |")
    print(f"| CPU while idle, % of a core | {figures['cpu_percent']:.2f} |\n")
    print("A cancelled call\n\n" + cancel.main() + "\n")
    print("A decision of the scheduler\n\n" + decision.main() + "\n")
    print("The wire\n\n" + transports.main() + "\n")
    print("Quiet streams\n\n" + quiet.main() + "\n")
    print("Streaming\n\n" + streaming.main() + "\n")
    print("Streaming to SSE clients\n\n" + sse.main() + "\n")
    print("The simulated server\n\n" + simulator.main() + "\n")
    print("The API beside live runs\n\n" + api.main())


if __name__ == "__main__":
    main()
