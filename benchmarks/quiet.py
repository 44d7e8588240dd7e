"""What quiet streams cost running ones on one HTTP/2 connection: 30 wait for their first token while 50 stream.

A simulated server in another process, its h2 face, tokens at fixed times. The gap that each token arrives late by is
taken for the own transport and for httpx[http2], in interleaved rounds. `python -m benchmarks.quiet`
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from benchmarks.hosting import attend, hosted
from benchmarks.measuring import interleaved
from infrastructure.simulator import Fault, FaultKind, ModelSpec, Simulator, SimulatorSettings
from infrastructure.transport.http2 import Http2Transport

RUNNING = 50
QUIET = 30
SECONDS = 4
"""Of a round; all streams are left then. To wait for their ends is no use: over httpx one may lie unread for ever, as
the quiet streams sit before it in the line of those that read."""
RATE = 20
ROUNDS = 5
_ENDLESS = ModelSpec(name="running", pieces=("alpha", " bravo"), loop_to=0)
_SILENT = ModelSpec(name="quiet", text="never", fault=Fault(kind=FaultKind.HANG))


async def serve() -> None:
    """A server with room for all; its address on stdout."""
    settings = SimulatorSettings(
        models=(_ENDLESS, _SILENT),
        num_parallel=RUNNING + QUIET,
        load_seconds=0,
        prefill_tokens_per_second=1e9,
        decode_tokens_per_second=RATE,
        decode_slowdown=0,
        http2_port=0,
    )
    async with Simulator(settings) as simulator:
        await attend(url=simulator.http2_url.replace("h2c", "http"))


@asynccontextmanager
async def own() -> AsyncIterator[httpx.AsyncClient]:
    """Corral's HTTP/2 under the API of httpx, so that both sides pay the same above the transport."""
    async with httpx.AsyncClient(transport=Http2Transport(idle_seconds=30), timeout=None) as client:
        yield client


@asynccontextmanager
async def theirs() -> AsyncIterator[httpx.AsyncClient]:
    """httpx[http2] as it comes."""
    async with httpx.AsyncClient(http1=False, http2=True, timeout=None) as client:
        yield client


CONTENDERS = {"own transport": own, "httpx[http2]": theirs}


async def _ask(client: httpx.AsyncClient, url: str, model: str, late: list[float]) -> None:
    """Note by how many milliseconds each gap between tokens is longer than it should be."""
    loop = asyncio.get_running_loop()
    before: float | None = None
    async with client.stream("POST", f"{url}/api/generate", json={"model": model, "prompt": "on"}) as answer:
        async for _ in answer.aiter_lines():
            now = loop.time()
            if before is not None:
                late.append(1000 * (now - before - 1 / RATE))
            before = now


async def measure(name: str, quiet: int) -> list[float]:
    """All late tokens of a round, with a server of its own."""
    async with hosted("benchmarks.quiet", "--serve") as server, AsyncExitStack() as stack:
        url = server.said["url"]
        client = await stack.enter_async_context(CONTENDERS[name]())
        late: list[float] = []
        models = ["quiet"] * quiet + ["running"] * RUNNING
        asked = [asyncio.create_task(_ask(client, url, model, late)) for model in models]
        await asyncio.sleep(SECONDS)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return late


def main() -> str:
    """The table."""
    shapes = [(name, quiet) for quiet in (0, QUIET) for name in CONTENDERS]
    contenders: dict[str, Callable[[], list[float]]] = {
        f"{name} | {quiet}": (lambda name=name, quiet=quiet: asyncio.run(measure(name, quiet)))
        for name, quiet in shapes
    }
    figures = interleaved(contenders, ROUNDS)
    lines = ["| transport | quiet streams | tokens | p50 ms | p99 ms | most ms |", "|---|---|---|---|---|---|"]
    for label, rounds in figures.items():
        late = sorted(each for round_ in rounds for each in round_)
        p99 = statistics.quantiles(late, n=100)[98]
        lines.append(f"| {label} | {len(late):,} | {statistics.median(late):.2f} | {p99:.1f} | {late[-1]:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve())
    else:
        print(main())
