"""`corral serve` in a process of its own, and readers of its streams."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.backend.site import STREAM, Frame, frames_of


@dataclass
class Served:
    """A server process."""

    process: asyncio.subprocess.Process
    data: Path
    address: str
    said: list[str] = field(default_factory=list[str])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(self.data / 'token').read_text()}"}

    def client(self, connections: int = 200) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.address, headers=self.headers, limits=limits, timeout=120)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; its exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        assert self.process.stderr is not None
        self.said += (await self.process.stderr.read()).decode().splitlines()
        return await self.process.wait()

    async def line_with(self, text: str) -> str:
        """Read what it says up to a line with this text."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.said.append(line.rstrip())
            if text in line:
                return line
        raise AssertionError("\n".join(self.said))


@asynccontextmanager
async def served(
    data: Path,
    servers: Sequence[str],
    *options: str,
    source: Path | None = None,
    until: str = "signs a browser in",
    model: str = "oracle",
) -> AsyncIterator[Served]:
    """Start `corral serve`, and kill it if the test does not end it.

    Args:
        data: Its data directory.
        servers: Addresses of Ollama servers.
        options: Further words of the command line.
        source: Where its packages are; this tree by default.
        until: What it says when it serves.
        model: The model of every role and agent.
    """
    root = source or Path(__file__).parents[2]
    named = [word for server in servers for word in ("--server", server)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--data", str(data), *named, *options,
        cwd=root, env={**os.environ, "PYTHONPATH": str(root), "CORRAL_MODEL": model}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    server = Served(process, data, "")
    try:
        await server.line_with(until)
        server.address = json.loads((data / "engine.lock").read_text())["address"]
        yield server
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def follow(client: httpx.AsyncClient, run: str, into: list[Frame], started: asyncio.Semaphore) -> None:
    """Read a stream to its end; one permit more when the run is seen to begin."""
    async with client.stream("GET", f"/api/v1/runs/{run}/events", headers=STREAM) as answer:
        async for frame in frames_of(answer):
            into.append(frame)
            if frame.event == "run.started":
                started.release()
