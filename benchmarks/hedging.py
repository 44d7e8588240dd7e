"""Two servers, each of which pauses for seconds before some of its answers: first token with and without hedging."""

from __future__ import annotations

import asyncio
import random
import time

from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.retries import RetryBudget
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings, Toxic, ToxicKind

CALLS, AT_ONCE, PAUSE_SECONDS, SHARE = 1200, 6, 5.0, 0.015
ROUNDS = 1


async def measure(*, hedged: bool, seed: int) -> tuple[list[float], int]:
    """First-token times, and how many requests the servers saw."""
    settings = SimulatorSettings(
        models=(ModelSpec(name="words", text=" ".join(["word"] * 30)),),
        num_parallel=8,
        decode_tokens_per_second=600,
        load_seconds=0.05,
        seed=seed,
    )
    async with Simulator(settings) as one, Simulator(settings) as two:
        servers = [ServerSettings(url=each.url, slots=8) for each in (one, two)]
        async with OllamaConnectionPool(servers) as pool:
            if not hedged:
                pool._dispatcher.hedges = RetryBudget(0, start=0)
            for other in (two, one):  # both have it loaded, and the pool knows what is usual
                label = other.url.removeprefix("http://")
                pool.drain_server(label)
                for _ in range(15):
                    await pool.chat(model="words", messages=[{"role": "user", "content": "hi"}])
                pool.drain_server(label, draining=False)
            for each in (one, two):
                each.add_toxic(Toxic(kind=ToxicKind.LATENCY, seconds=PAUSE_SECONDS, share=SHARE, path="/api/chat"))
            before = len(one.truth.requests) + len(two.truth.requests)
            first: list[float] = []

            async def caller(number: int) -> None:
                chance = random.Random(seed * 100 + number)
                for _ in range(CALLS // AT_ONCE):
                    begun = time.perf_counter()
                    stream = pool.stream_chat(
                        model="words", messages=[{"role": "user", "content": f"hi {chance.random()}"}]
                    )
                    await anext(stream)
                    first.append(time.perf_counter() - begun)
                    async for _ in stream:
                        pass

            await asyncio.gather(*(caller(number) for number in range(AT_ONCE)))
            return first, len(one.truth.requests) + len(two.truth.requests) - before


def main() -> str:
    """A table."""
    rows = ["| | first token p50, ms | p99, ms | slowest, ms | requests for 1,200 calls |\n|---|---|---|---|---|"]
    for name, hedged in (("plain", False), ("hedged", True)):
        times: list[float] = []
        requests = 0
        for seed in range(ROUNDS):
            first, seen = asyncio.run(measure(hedged=hedged, seed=seed))
            times += first
            requests += seen
        ordered = sorted(times)
        p50, p99 = (1000 * ordered[int(share * len(ordered))] for share in (0.5, 0.99))
        rows.append(f"| {name} | {p50:.1f} | {p99:.0f} | {1000 * ordered[-1]:.0f} | {requests / ROUNDS:,.0f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(main())
