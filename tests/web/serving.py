"""The real server over the simulated Ollama and the demo's sample repository, for a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from backend.bootstrap import Application, open_application
from backend.cli.demo import demo_settings
from backend.cli.sampling import DemoPlace, commit_samples, read_samples, write_samples
from backend.security.codes import mint
from backend.security.token import open_keys
from backend.server import open_door
from infrastructure.batch.registry import BatchRegistry, BatchView
from infrastructure.simulator import Simulator, SimulatorSettings

TOKENS_PER_SECOND = 400.0
"""Slow enough for a browser to see a call being written."""


@dataclass(frozen=True)
class Served:
    """Where a browser goes, and what it may ask for."""

    application: Application
    address: str
    repository: Path
    tasks: tuple[str, ...]
    simulator: Simulator

    async def one_time_address(self) -> str:
        """Signs a browser in, once."""
        keys = await asyncio.to_thread(open_keys, self.application.directory.token)
        return f"{self.address}/signin?code={mint(keys, self.application.epoch)}"


@asynccontextmanager
async def steered(simulator: Simulator) -> AsyncGenerator[str]:
    """An address at which the browser's script holds answers of the model: `/hold?TEXT`, `/release?TEXT`."""
    ways = {"/hold": simulator.hold, "/release": simulator.release}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        way, _, text = head.split(b" ")[1].decode().partition("?")
        ways[way](unquote(text))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def served(root: Path, tokens_per_second: float = TOKENS_PER_SECOND) -> AsyncGenerator[Served]:
    """Serve on a free port; its folder is `root`."""
    place = DemoPlace(root)
    samples = await asyncio.to_thread(read_samples)
    await asyncio.to_thread(write_samples, samples, place)
    await commit_samples(place)
    simulated = SimulatorSettings(
        tasks=place.answers,
        first_time_right=0.5,
        num_ctx=32768,
        load_seconds=0.2,
        prefill_tokens_per_second=20_000.0,
        decode_tokens_per_second=tokens_per_second,
    )
    async with (
        Simulator(simulated) as simulator,
        open_application(demo_settings(place, simulator.url), verb="serve") as application,
        open_door(application) as door,
    ):
        yield Served(
            application, door.address, place.repository, tuple(task.prompt for task in samples.task), simulator
        )


async def keep_a_batch(application: Application, out: Path) -> None:
    """A batch as its own command would have left it."""
    now = datetime.now(UTC)
    view = BatchView(
        id="3f2c9a7be401",
        name="humaneval",
        jobs=164,
        out=str(out),
        state="finished",
        done=150,
        failed=14,
        rate_per_hour=212.4,
        started=now,
        updated=now,
        statuses={"done": 138, "unverified": 12, "failed": 14},
    )
    await BatchRegistry(application.directory).write(view)
