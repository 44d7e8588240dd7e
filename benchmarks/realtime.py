"""Workloads C and D in real time: calls served and models loaded, with simulated servers in processes of their own.

The calls are those of the comparison in virtual time (`workloads`), fewer of them, and the servers have its speeds,
slots and memory. But here, as on a real server, a prompt stalls the streams beside it, so that the same servers do
less: the calls come as much later as keeps the load what it is there; with `--as-is` they come at the times of the
comparison. All durations are divided by a number, so that a workload takes some three minutes; what is printed is
multiplied by it again. Loads and cache hits are read in the servers' logs. The rival sends each call where the
fewest are, with Corral's own client of one server, so that nothing but the decision differs.
`python -m benchmarks.realtime [--only C,D] [--routers corral] [--calls N] [--as-is]`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from benchmarks.claims import percentile
from benchmarks.measuring import cpu_seconds
from benchmarks.prompts import prompt_of
from benchmarks.scheduling import GRACE_SECONDS
from benchmarks.simulated import simulated, truth_of
from benchmarks.virtual import DECODE_RATE, PREFILL_RATE, Request, Spec
from benchmarks.workloads import FOUR, Workload
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, OllamaConnectionPool
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError
from infrastructure.transport.messages import GenerateRequest

CALLS = 1500
FASTER = {"C": 15.0, "D": 6.0}
"""By how much time is scaled down."""

Ask = Callable[[Request, str], Awaitable[float]]
"""Asks for the whole answer to this prompt; the moment of its first token."""
Router = Callable[[Sequence[str], Sequence[Spec]], AbstractAsyncContextManager[Ask]]


@asynccontextmanager
async def corral(urls: Sequence[str], specs: Sequence[Spec]) -> AsyncGenerator[Ask]:
    """The pool, which is told the slots and how many models fit."""
    servers = [
        ServerSettings(url=url, slots=spec.slots, max_loaded_models=spec.places)
        for url, spec in zip(urls, specs, strict=True)
    ]
    async with OllamaConnectionPool(servers) as pool:

        async def ask(request: Request, prompt: str) -> float:
            options = {"num_predict": request.output}
            call = Call(prefix=request.prefix)
            async with pool.stream_generate(model=request.model, prompt=prompt, options=options, call=call) as stream:
                await anext(stream)
                first = time.monotonic()
                async for _ in stream:
                    pass
            return first

        yield ask


@asynccontextmanager
async def least_connections(urls: Sequence[str], specs: Sequence[Spec]) -> AsyncGenerator[Ask]:
    """Each call goes, when it comes, where the fewest are."""
    async with AsyncExitStack() as stack:
        clients = [OllamaClient(ServerSettings(url=url)) for url in urls]
        for client in clients:
            stack.push_async_callback(client.aclose)
        running = Counter(dict.fromkeys(urls, 0))

        async def ask(request: Request, prompt: str) -> float:
            client = min(clients, key=lambda client: running[client.server.url])
            running[client.server.url] += 1
            options = {"num_predict": request.output}
            asked = GenerateRequest(model=request.model, prompt=prompt, options=options)
            try:
                async with client.generate(asked) as chunks:
                    await anext(chunks)
                    first = time.monotonic()
                    async for _ in chunks:
                        pass
            finally:
                running[client.server.url] -= 1
            return first

        yield ask


ROUTERS: Mapping[str, Router] = {"corral": corral, "least connections": least_connections}


@dataclass
class Seen:
    """What came of a workload; seconds are real ones, from when a call was due."""

    first: list[float] = field(default_factory=list[float])
    """To the first token, of the calls that were answered in time."""
    errors: Counter[str] = field(default_factory=Counter[str])
    late: int = 0
    """Calls that were not answered a minute of the workload after the last one came."""
    loads: int = 0
    hits: int = 0
    requests: int = 0
    """That the servers saw."""
    cpu: float = 0.0
    """Share of a core that the client took."""


def _stretched(workload: Workload) -> float:
    """How much longer the servers need for the calls than in virtual time, as slots share the reading of prompts."""
    rng = random.Random(0)
    pairs = [workload.lengths.draw(rng) for _ in range(20_000)]
    prompt = statistics.fmean(prompt for prompt, _ in pairs) / PREFILL_RATE
    decode = statistics.fmean(output for _, output in pairs) / DECODE_RATE
    apart = sum(spec.places * spec.speed * spec.slots / (prompt + decode) for spec in workload.servers)
    shared = sum(spec.places * spec.speed / (prompt + decode / spec.slots) for spec in workload.servers)
    return apart / shared


async def measure(workload: Workload, router: Router, faster: float, calls: int, stretched: float) -> Seen:
    """Send the calls when they are due, and count."""
    seen = Seen()
    requests = [replace(request, at=request.at * stretched) for request in workload.requests(seed=0)[:calls]]
    loop = asyncio.get_running_loop()
    async with simulated(workload.servers, workload.mix, faster) as urls, router(urls, workload.servers) as ask:
        cpu, began = cpu_seconds(), loop.time()

        async def one(number: int, request: Request) -> None:
            due = began + request.at / faster
            await asyncio.sleep(due - loop.time())
            try:
                seen.first.append(await ask(request, prompt_of(request, number)) - due)
            except OllamaError as error:
                seen.errors[type(error).__name__] += 1

        tasks = [asyncio.create_task(one(number, request)) for number, request in enumerate(requests)]
        over = began + (requests[-1].at + GRACE_SECONDS) / faster
        _, late = await asyncio.wait(tasks, timeout=over - loop.time())
        seen.late = len(late)
        seen.cpu = (cpu_seconds() - cpu) / (loop.time() - began)
        for url, spec in zip(urls, workload.servers, strict=True):
            await _read_log(url, len(spec.loaded), seen)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return seen


async def _read_log(url: str, first_loads: int, seen: Seen) -> None:
    truth = await truth_of(url)
    asked = [record for record in truth["requests"] if record["prompt_tokens"]]
    seen.loads += len(truth["loads"]) - first_loads
    seen.requests += len(asked)
    seen.hits += sum(record["cached_tokens"] > record["prompt_tokens"] / 2 for record in asked)


def _row(name: str, seen: Seen, faster: float, calls: int) -> str:
    served = len(seen.first) / calls
    errors = ", ".join(f"{count} {kind}" for kind, count in seen.errors.items()) or "none"
    return (
        f"| {name} | {calls:,} | {faster:g} | {served:.1%} | {errors} | {seen.loads} ({seen.loads / calls:.2%}) "
        f"| {seen.hits / max(1, seen.requests):.0%} | {faster * statistics.fmean(seen.first):.1f} "
        f"| {faster * percentile(seen.first, 0.99):.1f} | {seen.cpu:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="C,D", help="letters of workloads, with commas between")
    parser.add_argument("--routers", default=",".join(ROUTERS), help="names, with commas between")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--as-is", action="store_true", help="the calls come as often as in virtual time")
    options = parser.parse_args()
    print(
        "| workload, router | calls | time divided by | served | errors | loads | hits "
        "| first token: mean, s | p99, s | core of the client |\n" + "|---" * 10 + "|"
    )
    for key in options.only.upper().split(","):
        for name in options.routers.split(","):
            stretched = 1.0 if options.as_is else _stretched(FOUR[key])
            seen = asyncio.run(measure(FOUR[key], ROUTERS[name], FASTER[key], options.calls, stretched))
            print(_row(f"{key}, {name}", seen, FASTER[key], options.calls), flush=True)


if __name__ == "__main__":
    main()
