"""Real Ollama servers for a benchmark: started here, with as much parallelism and memory as it asks for.

`CORRAL_OLLAMA` names the `ollama` binary and `CORRAL_OLLAMA_MODELS` its store, which holds the models of
docs/real-server.md. What a server did is read from its own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx

LOADED = b"loaded runners"


@dataclass
class RealServer:
    """A server under way."""

    url: str
    log: Path

    @property
    def loads(self) -> int:
        """Models it has loaded so far."""
        return self.log.read_bytes().count(LOADED)

    async def warm(self, model: str, options: dict[str, object]) -> None:
        """Load a model, and nothing else."""
        async with httpx.AsyncClient(base_url=self.url, timeout=120) as http:
            answer = await http.post("/api/generate", json={"model": model, "options": options, "keep_alive": "30m"})
            answer.raise_for_status()


def binary() -> tuple[str, str] | None:
    """The binary and its store; None, with a word of why, where they are not named."""
    found = os.environ.get("CORRAL_OLLAMA"), os.environ.get("CORRAL_OLLAMA_MODELS")
    if None in found:
        print("skipped: CORRAL_OLLAMA and CORRAL_OLLAMA_MODELS name no real server's binary and store")
        return None
    return str(found[0]), str(found[1])


@contextlib.asynccontextmanager
async def real_server(*, parallel: int = 2, loaded: int = 1) -> AsyncGenerator[RealServer]:
    """A server of its own, on a free port; ended with the block."""
    named = binary()
    assert named is not None, "asked before"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": named[1],
        "OLLAMA_NUM_PARALLEL": str(parallel),
        "OLLAMA_MAX_LOADED_MODELS": str(loaded),
    }
    with tempfile.TemporaryDirectory(prefix="corral-real-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as out:  # noqa: ASYNC230 - once, before anything is measured
            process = await asyncio.create_subprocess_exec(named[0], "serve", env=env, stdout=out, stderr=out)
        try:
            server = RealServer(f"http://127.0.0.1:{port}", log)
            await _ready(server.url)
            yield server
        finally:
            process.terminate()
            await process.wait()


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if (await http.get("/api/version")).is_success:
                    return
            await asyncio.sleep(0.05)
    raise TimeoutError(f"{url} does not answer")
