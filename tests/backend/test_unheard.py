"""`corral serve` whose words nobody takes: its reader has gone, its disk is full, its streams were closed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.backend.serving import Served, follow
from tests.backend.site import Frame
from tests.engine.world import TASK, repository, simulator

CLOSED = ("/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
AT_INFO = '[log]\nlevel = "info"\n'

pytestmark = pytest.mark.slow


@asynccontextmanager
async def unheard(how: str, folder: Path, server: str) -> AsyncGenerator[Served]:
    """A server that cannot say anything, once it listens."""
    root, data = Path(__file__).parents[2], folder / "data"
    (folder / "corral.toml").write_text(AT_INFO)
    reader, gone = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(
        *(CLOSED if how == "closed" else ()),
        sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--no-browser", "--server", server,
        "--data", str(data), "--config", str(folder / "corral.toml"),
        cwd=root, env={**os.environ, "PYTHONPATH": str(root), "CORRAL_MODEL": "oracle"},
        stdin=asyncio.subprocess.DEVNULL, **dict.fromkeys(("stdout", "stderr"), full if how == "disk full" else gone),
    )  # fmt: skip
    for descriptor in (gone, full):
        os.close(descriptor)
    try:
        yield Served(process, data, await address_in(data / "engine.lock", process))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def address_in(lock: Path, process: asyncio.subprocess.Process) -> str:
    """Where it listens, once it does."""
    while process.returncode is None:
        if lock.exists() and (held := lock.read_text()) and (address := json.loads(held).get("address")):
            return str(address)
        await asyncio.sleep(0.05)
    raise AssertionError(f"it ended with {process.returncode}")


async def read_again(client: httpx.AsyncClient, rounds: int) -> None:
    """Wait until its settings say so many rounds."""
    while True:
        if (await client.get("/api/v1/config")).json()["settings"]["run"]["rounds"] == rounds:
            return
        await asyncio.sleep(0.05)


def streams_of(process: asyncio.subprocess.Process) -> set[Path]:
    return {Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)}


@pytest.mark.parametrize("how", ["reader gone", "disk full", "closed"])
async def test_server_whose_words_nobody_takes_serves_and_ends_well(tmp_path: Path, how: str) -> None:
    repo = repository(tmp_path / "repo")
    async with (
        simulator(tmp_path) as oracle,
        unheard(how, tmp_path, oracle.url) as server,
        server.client() as client,
    ):
        if how == "closed":
            assert streams_of(server.process) == {Path(os.devnull)}, "no socket or file is in their place"
        (tmp_path / "corral.toml").write_text(AT_INFO + "[run]\nrounds = 7\n")
        server.process.send_signal(signal.SIGHUP)
        await read_again(client, rounds=7)
        run = (await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)})).json()["run"]
        frames: list[Frame] = []
        await follow(client, run, frames, asyncio.Semaphore(0))
        assert frames[-2].json["status"] == "done"
        server.process.terminate()
        assert await server.process.wait() == 0
