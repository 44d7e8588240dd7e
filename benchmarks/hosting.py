"""Servers in processes of their own, which tell their CPU time when they are asked.

Owns both ends: `hosted` starts one and asks it, `attend` is what the process does once it listens. A simulated Ollama
is one of them: `python -m benchmarks.hosting SETTINGS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.measuring import cpu_seconds

LEAVES_SECONDS = 20


@dataclass(frozen=True)
class Hosted:
    """A server process."""

    process: asyncio.subprocess.Process
    said: dict[str, str]
    """What it said when it listened."""

    async def cpu_seconds(self) -> float:
        """What it has used so far, by its own count."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return float(await self.process.stdout.readline())


@asynccontextmanager
async def hosted(*arguments: str) -> AsyncGenerator[Hosted]:
    """Run a module of this package in a process of its own, until the block is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, f"{arguments} did not start"
        yield Hosted(process, json.loads(line))
        process.stdin.close()
        await asyncio.wait_for(process.wait(), LEAVES_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def attend(**said: str) -> None:
    """Say that this process listens, and tell its CPU time at each line of stdin; returns at its end."""
    asked = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    print(json.dumps(said), flush=True)
    while await asked.readline():
        print(cpu_seconds(), flush=True)


async def _simulate(text: str) -> None:
    from infrastructure.simulator import Simulator, SimulatorSettings  # noqa: PLC0415

    async with Simulator(SimulatorSettings.model_validate_json(text)) as simulator:
        await attend(url=simulator.url)


if __name__ == "__main__":
    asyncio.run(_simulate(sys.argv[1]))
