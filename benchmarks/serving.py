"""`corral serve` in a process of its own over a simulated Ollama, and its client: for the benchmarks of its streams."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from backend.readers import open_readers
from infrastructure.config.settings import Paths, Settings
from infrastructure.events.log import Stored, follow_file
from infrastructure.ids import RunId

TASK = "Implement add in calc.py"
STUB = "def add(a, b):\n    raise NotImplementedError\n"
RIGHT = "def add(a, b):\n    return a + b\n"
TESTS = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    process: asyncio.subprocess.Process
    address: str
    token: str

    def client(self, connections: int = 100) -> httpx.AsyncClient:
        """A client that is let in."""
        return httpx.AsyncClient(
            base_url=self.address,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=120,
            limits=httpx.Limits(max_connections=connections),
        )


def lay_out(root: Path) -> Path:
    """Write the repository that tasks are about, and what the simulated model knows of them; the latter's path."""
    (root / "repo").mkdir()
    (root / "repo" / "calc.py").write_text(STUB)
    (root / "repo" / "test_calc.py").write_text(TESTS)
    tasks = root / "tasks.jsonl"
    tasks.write_text(json.dumps({"id": "add", "prompt": TASK, "files": {"calc.py": RIGHT}}) + "\n")
    return tasks


@asynccontextmanager
async def served(data: Path, ollama: str) -> AsyncGenerator[Served]:
    """Start `corral serve` on a data directory; killed at the end if it still runs.

    Args:
        data: the data directory.
        ollama: address of the simulated server, which has the model `oracle`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--data", str(data), "--server", ollama,
        env={**os.environ, "CORRAL_MODEL": "oracle"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        while b"signs a browser in" not in await process.stderr.readline():
            assert process.returncode is None, "the server did not start"
        address = json.loads((data / "engine.lock").read_text())["address"]
        yield Served(process, address, (data / "token").read_text())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def begin(client: httpx.AsyncClient, repo: Path) -> str:
    """Start a run; its id."""
    answer = await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)})
    return answer.raise_for_status().json()["run"]


async def stream_of(client: httpx.AsyncClient, run: str, after: int = 0) -> AsyncGenerator[bytes]:
    """The frames of a run's stream after an event's number, as they come, each with its blank line."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    rest = b""
    async with client.stream("GET", f"/api/v1/runs/{run}/events", headers=headers) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_raw():
            *frames, rest = (rest + chunk).split(b"\n\n")
            for frame in frames:
                yield frame + b"\n\n"


async def logs_of(data: Path, runs: Iterable[str]) -> dict[str, list[Stored]]:
    """The log of each run to its end, from the file; the server may be gone."""
    async with open_readers(Settings(paths=Paths(data=data))) as readers:
        return {run: [stored async for stored in follow_file(readers.database, RunId(run))] for run in runs}


def number_of(frame: bytes) -> int | None:
    """The id of a frame; None where it is no event of the log (a comment, the server's farewell)."""
    first = frame.split(b"\n", 1)[0]
    return int(first[4:]) if first.startswith(b"id: ") else None
