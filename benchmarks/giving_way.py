"""What a person waits more when guesses fill every slot: first token on an idle pool, and under full speculation.

Two simulated servers of four slots, 20 ms a token; the guesses are in the middle of their answers. Idle and full rounds
interleave in one process.
`python -m benchmarks.giving_way`
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.measuring import summary
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, ChunkStream, OllamaConnectionPool
from infrastructure.simulator import Simulator, SimulatorSettings, script_models

ROUNDS = 40
SLOTS = 4
TOKEN_SECONDS = 0.02
PERSON = Call(client="person")
GUESS = Call(client="run", band="speculative")


def _server() -> Simulator:
    return Simulator(
        SimulatorSettings(
            models=script_models(),
            load_seconds=0,
            num_ctx=32768,
            num_parallel=SLOTS,
            prefill_tokens_per_second=5_000,
            decode_tokens_per_second=1 / TOKEN_SECONDS,
        )
    )


async def _first_token(pool: OllamaConnectionPool) -> float:
    """Milliseconds from the call to its first piece."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    async with pool.stream_generate(model="endless", prompt="hi", call=PERSON) as stream:
        await anext(stream)
        return 1000 * (loop.time() - asked)


@asynccontextmanager
async def _speculation(pool: OllamaConnectionPool, servers: list[Simulator]):
    """Guesses in every slot, all in the middle of their answers."""

    async def guess(number: int) -> None:
        async with pool.stream_generate(model="endless", prompt=f"{number} go on", call=GUESS) as stream:
            await _through(stream)

    guesses = [asyncio.create_task(guess(number)) for number in range(len(servers) * SLOTS)]
    try:
        for server in servers:
            await server.truth.until(lambda truth: sum(bool(each.first_token_at) for each in truth.in_slots()) == SLOTS)
        yield
    finally:
        for each in guesses:
            each.cancel()
        await asyncio.gather(*guesses, return_exceptions=True)
        for server in servers:
            await server.truth.until(lambda truth: not truth.in_slots())


async def _through(stream: ChunkStream) -> None:
    async for _ in stream:
        continue


async def measure() -> tuple[list[float], list[float], int]:
    """Milliseconds to a person's first token, idle and under full speculation, and how many guesses gave way."""
    idle: list[float] = []
    full: list[float] = []
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(_server()) for _ in range(2)]
        settings = [ServerSettings(url=each.url, slots=SLOTS) for each in servers]
        pool = await stack.enter_async_context(OllamaConnectionPool(settings))
        for _ in range(2):
            await _first_token(pool)
        for _ in range(ROUNDS):
            idle.append(await _first_token(pool))
            async with _speculation(pool, servers):
                full.append(await _first_token(pool))
        return idle, full, pool.snapshot().calls.preempted


def main() -> None:
    idle, full, gave_way = asyncio.run(measure())
    more = sorted(late - early for late, early in zip(full, idle, strict=True))
    print(f"{gave_way} guesses gave way in {ROUNDS} rounds; a person's first token:")
    print(f"  idle  {summary(idle)} ms")
    print(f"  full  {summary(full)} ms")
    print(f"  more  {summary(more)} ms, 95 of 100 below {more[int(0.95 * len(more))]:.1f}, most {more[-1]:.1f}")


if __name__ == "__main__":
    main()
