"""What an idle engine costs: memory, and CPU over ten seconds of doing nothing. One process, printed as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import cpu_seconds, resident_bytes

SECONDS = 10.0


async def measure() -> dict[str, float]:
    """Open the application on an empty data directory and wait."""
    from backend.bootstrap import open_application  # noqa: PLC0415 - what the import costs is measured
    from infrastructure.config.settings import Paths, ServerSettings, Settings  # noqa: PLC0415

    imported = resident_bytes()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(servers=(ServerSettings(),), paths=Paths(data=Path(folder)))
        async with open_application(settings):
            await asyncio.sleep(1)
            before = cpu_seconds()
            await asyncio.sleep(SECONDS)
            return {
                "imported_mb": imported / 1e6,
                "idle_mb": resident_bytes() / 1e6,
                "cpu_percent": 100 * (cpu_seconds() - before) / SECONDS,
            }


if __name__ == "__main__":
    bare = resident_bytes() / 1e6
    sys.stdout.write(json.dumps({"python_mb": bare, **asyncio.run(measure())}))
