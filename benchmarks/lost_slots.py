"""Streams that a client leaves, until a real server has lost its only slot by it, and what becomes of the next call.

Ollama's handler may wait for ever to hand over a token that was under way as the client left (its issue 17131): the
slot is lost until the model is put out of memory. Contenders in turn, each with a server of its own and the same time:
a plain client (httpx), which gives a call up after PATIENCE seconds and then puts the model out itself, as a person
would; and Corral's pool, with the shortest silence that it may suspect set to PATIENCE instead of 30 s.
Needs a real Ollama (docs/real-server.md, `benchmarks/real_servers.py`); skips where there is none.
`python -m benchmarks.lost_slots [--model M ...] [--seconds S]`
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from benchmarks.real_servers import binary, real_server
from infrastructure.config.settings import LaneSettings, PoolSettings, ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool import silence

PATIENCE = 5.0
SECONDS = 60.0
MODELS = ("words", "noise-large")
LOAD = {"num_ctx": 8192, "num_thread": 1}
LONG, SHORT = {**LOAD, "num_predict": 4000}, {**LOAD, "num_predict": 2}


@dataclass
class Found:
    """What a contender met."""

    left: int = 0
    """Streams that it left."""
    silent: list[float] = field(default_factory=list[float])
    """Seconds to the next answer, where that was over PATIENCE."""
    unanswered: int = 0
    """Calls that it had to give up."""


async def plain(url: str, model: str, seconds: float) -> Found:
    """httpx: each stream is left after one to seven lines, then a short call is made."""
    found, end = Found(), time.perf_counter() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http:
        while time.perf_counter() < end:
            found.left += 1
            body = {"model": model, "prompt": f"a {found.left}", "options": LONG}
            async with http.stream("POST", "/api/generate", json=body) as answer:
                lines = answer.aiter_lines()
                for _ in range(1 + found.left % 7):
                    await anext(lines)
            body = {"model": model, "prompt": "b", "options": SHORT, "stream": False}
            try:
                (await http.post("/api/generate", json=body)).raise_for_status()
            except httpx.ReadTimeout:
                found.unanswered += 1
                await http.post("/api/generate", json={"model": model, "keep_alive": 0})
    return found


async def pooled(url: str, model: str, seconds: float) -> Found:
    """The same by the pool."""
    silence.FLOOR_SECONDS = PATIENCE
    found = Found()
    server = ServerSettings(url=url, slots=1)
    lanes = {"one": LaneSettings(model=model, num_ctx=LOAD["num_ctx"], num_thread=LOAD["num_thread"])}
    async with OllamaConnectionPool([server], settings=PoolSettings(), lanes=lanes) as pool:
        for _ in range(silence.MEASURED_CALLS):  # it suspects nobody of whom it knows nothing
            await pool.generate(model=model, prompt="b", options={"num_predict": 2})
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            found.left += 1
            options = {"num_predict": 4000}
            async with pool.stream_generate(model=model, prompt=f"a {found.left}", options=options) as stream:
                for _ in range(1 + found.left % 7):
                    await anext(stream)
            asked = time.perf_counter()
            await pool.generate(model=model, prompt="b", options={"num_predict": 2})
            if (waited := time.perf_counter() - asked) > PATIENCE:
                found.silent.append(waited)
    return found


CONTENDERS: dict[str, Callable[[str, str, float], Awaitable[Found]]] = {"plain client": plain, "Corral": pooled}


async def main(models: list[str], seconds: float) -> None:
    """The table."""
    print(f"One slot, {seconds:.0f} s each; a call is suspicious, or given up, after {PATIENCE:.0f} s\n")
    print("| model | contender | streams left | slots lost | next call answered after, s | unanswered |")
    print("|---|---|---|---|---|---|")
    for model in models:
        for name, contend in CONTENDERS.items():
            async with real_server(parallel=1) as server:
                await server.warm(model, LOAD)
                found = await contend(server.url, model, seconds)
            lost = len(found.silent) + found.unanswered
            waited = f"{min(found.silent):.1f} to {max(found.silent):.1f}" if found.silent else ""
            print(f"| `{model}` | {name} | {found.left} | {lost} | {waited} | {found.unanswered} |", flush=True)


if __name__ == "__main__":
    line = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    line.add_argument("--model", nargs="*", default=list(MODELS))
    line.add_argument("--seconds", type=float, default=SECONDS)
    asked = line.parse_args()
    if binary() is not None:
        asyncio.run(main(asked.model, asked.seconds))
