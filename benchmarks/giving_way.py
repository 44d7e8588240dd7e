"""What a person waits more when guesses fill every slot: first token on an idle pool, and under full speculation.

Two simulated servers of four slots, 20 ms a token; the guesses are in the middle of their answers, or of a long prompt,
where a server lets go only when a batch of it is done. Idle and full rounds interleave in one process.
`python -m benchmarks.giving_way`
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.measuring import summary
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, OllamaConnectionPool
from infrastructure.simulator import Simulator, SimulatorSettings, Truth, script_models

ROUNDS = 40
SLOTS = 4
TOKEN_SECONDS = 0.02
BATCH, BATCH_SECONDS = 512, 0.1
LONG_PROMPT = "word " * 5_000
"""25,000 tokens of the simulator, below its window."""
PERSON = Call(client="person")
GUESS = Call(client="run", band="speculative")


def _server() -> Simulator:
    return Simulator(
        SimulatorSettings(
            models=script_models(),
            load_seconds=0,
            num_ctx=32768,
            num_parallel=SLOTS,
            prefill_tokens_per_second=BATCH / BATCH_SECONDS,
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


def _decode(truth: Truth) -> bool:
    return sum(bool(each.first_token_at) for each in truth.in_slots()) == SLOTS


def _read(truth: Truth) -> bool:
    return sum(bool(each.prefilled_tokens) for each in truth.in_slots()) == SLOTS


@asynccontextmanager
async def _speculation(pool: OllamaConnectionPool, servers: list[Simulator], *, reading: bool) -> AsyncIterator[None]:
    """Guesses in every slot, all in the middle of their answers, or of their prompts. One that fails ends it all."""

    async def guess(number: int) -> None:
        prompt = f"{number} {LONG_PROMPT if reading else 'go on'}"
        async with pool.stream_generate(model="endless", prompt=prompt, call=GUESS) as stream:
            async for _ in stream:
                continue

    async with asyncio.TaskGroup() as group:
        guesses = [group.create_task(guess(number)) for number in range(len(servers) * SLOTS)]
        for server in servers:
            await server.truth.until(_read if reading else _decode)
        yield
        for each in guesses:
            each.cancel()
    for server in servers:
        await server.truth.until(lambda truth: not truth.in_slots())


async def measure(*, reading: bool) -> tuple[list[float], list[float], int]:
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
            async with _speculation(pool, servers, reading=reading):
                full.append(await _first_token(pool))
        return idle, full, pool.snapshot().calls.preempted


def main() -> None:
    for reading in (False, True):
        idle, full, gave_way = asyncio.run(measure(reading=reading))
        more = sorted(late - early for late, early in zip(full, idle, strict=True))
        where = f"their prompts, {1000 * BATCH_SECONDS:.0f} ms a batch" if reading else "their answers"
        print(f"guesses in the middle of {where}: {gave_way} gave way in {ROUNDS} rounds; a person's first token:")
        print(f"  idle  {summary(idle)} ms")
        print(f"  full  {summary(full)} ms")
        print(f"  more  {summary(more)} ms, 95 of 100 below {more[int(0.95 * len(more))]:.1f}, most {more[-1]:.1f}")


if __name__ == "__main__":
    main()
