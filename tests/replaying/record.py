"""Makes the committed recording anew: `python -m tests.replaying.record`. Needed when a prompt or a step changes.

The run has a wrong first answer and a repair. Everything lies below /tmp/example, with an environment of the system's
Python, so that no path of the machine that recorded it is in the file.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from infrastructure.replaying import write_recording
from tests.engine.world import simulator, world
from tests.replaying.conftest import recording_of

REPAIRED = Path(__file__).with_name("repaired.jsonl")
PLACE = Path("/tmp/example")


async def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    making = await asyncio.create_subprocess_exec(python, "-m", "venv", "--without-pip", str(PLACE / "repo/.venv"))
    assert await making.wait() == 0
    (PLACE / "repo/.gitignore").write_text(".venv\n")
    async with world(PLACE, simulator(PLACE, first_time_right=0.0)) as ours:
        run = await ours.start()
        await ours.end_of(run)
        await write_recording(await recording_of(ours, run), REPAIRED)
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    asyncio.run(main())
