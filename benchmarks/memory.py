"""Memory of the pool: of each running stream, and whether it grows with the calls that have been.

Streams: the process opens them through one pool and reads them, while ten simulated servers in another process say a
token a second to each; resident memory before, and once all have tokens (the median of some seconds, and the last).
Growth: small calls one after another, 64 at once, each with a text of its own, over the bare `wire_server`; resident
memory behind each tenth of them. What the kernel holds for sockets is in neither.
`python -m benchmarks.memory [--streams N] [--calls N]`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

import httpx

from benchmarks.hosting import attend, hosted
from benchmarks.measuring import resident_bytes
from infrastructure.config.settings import PoolSettings, ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings

STREAMS = 2000
SERVERS = 10
SPARE = 2
"""Of them, that have no stream if the others are full: a call that a server seemed to lose goes to another one."""
WARM_UP = 50
OPENED_AT_ONCE = 200
READ_SECONDS = 10
OPENING_SECONDS = 60
"""In which some of them must have their first tokens."""
CALLS = 200_000
AT_ONCE = 64
TENTHS = 10
KILO = 1024


async def serve(streams: int) -> None:
    """Servers with room for all together, and the model in memory; their addresses on stdout."""
    settings = SimulatorSettings(
        models=(ModelSpec(name="m", pieces=("alpha", " bravo", " charlie"), loop_to=0),),
        num_parallel=-(-streams // (SERVERS - SPARE)),
        load_seconds=0,
        prefill_tokens_per_second=1e9,
        decode_tokens_per_second=1,
        decode_slowdown=0,
        http2_port=0,
    )
    async with AsyncExitStack() as stack, httpx.AsyncClient() as http:
        servers = [await stack.enter_async_context(Simulator(settings)) for _ in range(SERVERS)]
        for server in servers:
            (await http.post(f"{server.url}/api/generate", json={"model": "m"})).raise_for_status()
        await attend(
            http1=" ".join(server.url for server in servers), http2=" ".join(server.http2_url for server in servers)
        )


async def of_streams(urls: Sequence[str], streams: int) -> dict[str, float]:
    """Open them in this process: kilobytes of each, in the median and at the end, and the tokens that came."""
    servers = [ServerSettings(url=url, slots=-(-streams // (SERVERS - SPARE))) for url in urls]
    async with OllamaConnectionPool(servers, settings=PoolSettings(queue_length=streams)) as pool:
        tokens = 0

        async def read(number: int, first: asyncio.Event) -> None:
            nonlocal tokens
            async with pool.stream_generate(model="m", prompt=f"on {number}") as chunks:
                async for _ in chunks:
                    tokens += 1
                    first.set()

        async def opened(count: int) -> list[asyncio.Task[None]]:
            """Some at a time, so that no server is silent for long."""
            tasks: list[asyncio.Task[None]] = []
            while len(tasks) < count:
                events = [asyncio.Event() for _ in range(min(OPENED_AT_ONCE, count - len(tasks)))]
                began = [asyncio.create_task(read(len(tasks) + number, event)) for number, event in enumerate(events)]
                ready = asyncio.gather(*(event.wait() for event in events))
                async with asyncio.timeout(OPENING_SECONDS):
                    await asyncio.wait([ready, *began], return_when=asyncio.FIRST_COMPLETED)
                for task in began:
                    if task.done():  # by an error: no stream ends by itself
                        task.result()
                tasks += began
            return tasks

        await _cancel(await opened(WARM_UP))
        gc.collect()
        before, tokens = resident_bytes(), 0
        tasks = await opened(streams)
        taken: list[float] = []
        for _ in range(READ_SECONDS):
            await asyncio.sleep(1)
            taken.append((resident_bytes() - before) / streams / KILO)
        said = tokens
        await _cancel(tasks)
        return {"median": statistics.median(taken), "end": taken[-1], "tokens": said / streams}


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def of_calls(url: str, calls: int) -> list[int]:
    """Resident bytes of this process after a first tenth that warms it up, and after each of ten more."""
    async with OllamaConnectionPool([ServerSettings(url=url, slots=AT_ONCE)]) as pool:
        asked = 0

        async def caller(share: int) -> None:
            nonlocal asked
            for _ in range(share):
                asked += 1
                await pool.generate(model="s", prompt=f"text number {asked}")

        found: list[int] = []
        for _ in range(TENTHS + 1):
            await asyncio.gather(*(caller(calls // TENTHS // AT_ONCE) for _ in range(AT_ONCE)))
            gc.collect()
            found.append(resident_bytes())
        return found


async def _child(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{arguments} failed"
    return said.decode()


async def streams_table(streams: int) -> str:
    """Kilobytes of a stream, over both protocols."""
    lines = [f"| {streams:,} streams | KB each | at the end | tokens each |", "|---|---|---|---|"]
    async with hosted("benchmarks.memory", "--serve", "--streams", str(streams)) as server:
        for name, key in (("HTTP/1.1", "http1"), ("HTTP/2", "http2")):
            found = json.loads(await _child("--open", server.said[key], "--streams", str(streams)))
            lines.append(f"| {name} | {found['median']:.1f} | {found['end']:.1f} | {found['tokens']:.1f} |")
    return "\n".join(lines)


async def growth_table(calls: int) -> str:
    """Megabytes by the number of calls."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.wire_server", stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        url = (await server.stdout.readline()).decode().strip()
        found = json.loads(await _child("--ask", url, "--calls", str(calls)))
    finally:
        server.terminate()
        await server.wait()
    done = [f"{number * calls // TENTHS:,}" for number in range(1, TENTHS + 2)]
    return "\n".join(
        [
            "| calls | " + " | ".join(done) + " |",
            "|---" * (len(done) + 1) + "|",
            "| MB resident | " + " | ".join(f"{each / KILO / KILO:.2f}" for each in found) + " |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--serve", action="store_true", help="for the process of the servers")
    parser.add_argument("--open", help="addresses; for the process itself")
    parser.add_argument("--ask", help="address; for the process itself")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.streams))
    elif options.open:
        print(json.dumps(asyncio.run(of_streams(options.open.split(), options.streams))))
    elif options.ask:
        print(json.dumps(asyncio.run(of_calls(options.ask, options.calls))))
    else:
        print(asyncio.run(streams_table(options.streams)) + "\n", flush=True)
        print(asyncio.run(growth_table(options.calls)))


if __name__ == "__main__":
    main()
