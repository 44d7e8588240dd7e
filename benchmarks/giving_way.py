"""What a person waits more when guesses fill every slot: first token on an idle pool, and under full speculation.

Two simulated servers of four slots, 20 ms a token; the guesses are in the middle of their answers, or of long prompts,
where a server lets go only when a batch is done and reads one prompt after the other: the first of each server's, or
the last, when the others answer. Idle and full rounds interleave in one process. `python -m benchmarks.giving_way`
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from benchmarks.measuring import summary
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, OllamaConnectionPool
from infrastructure.simulator import Simulator, SimulatorSettings, Truth, script_models

ROUNDS = 40
SLOTS = 4
TOKEN_SECONDS = 0.02
BATCH, BATCH_SECONDS = 512, 0.1
LONG_PROMPT = "word " * 1_000
"""5,000 tokens of the simulator: ten batches."""
PERSON = Call(client="person")
GUESS = Call(client="run", band="speculative")
_NUMBERS = itertools.count()
"""Prompts begin with one each, so that none is in a server's cache."""


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


def _all_answer(truth: Truth) -> bool:
    return sum(bool(each.first_token_at) for each in truth.in_slots()) == SLOTS


def _first_is_read(truth: Truth) -> bool:
    return len(truth.in_slots()) == SLOTS and any(each.prefilled_tokens for each in truth.in_slots())


def _last_is_read(truth: Truth) -> bool:
    return sum(bool(each.prefilled_tokens) for each in truth.in_slots()) == SLOTS


@dataclass(frozen=True)
class Situation:
    """What the guesses are at when the person comes."""

    what: str
    prompt: str
    reached: Callable[[Truth], bool]


_READING = f"{BATCH} tokens a batch, {1000 * BATCH_SECONDS:.0f} ms each"
SITUATIONS = (
    Situation("all answer", "go on", _all_answer),
    Situation(f"the first prompt is read, {_READING}", LONG_PROMPT, _first_is_read),
    Situation(f"the last prompt is read, the others answer, {_READING}", LONG_PROMPT, _last_is_read),
)


@asynccontextmanager
async def _speculation(pool: OllamaConnectionPool, servers: list[Simulator], at: Situation) -> AsyncIterator[None]:
    """Guesses in every slot. One that fails ends it all."""

    async def guess(number: int) -> None:
        async with pool.stream_generate(model="endless", prompt=f"{number} {at.prompt}", call=GUESS) as stream:
            async for _ in stream:
                continue

    async with asyncio.TaskGroup() as group:
        guesses = [group.create_task(guess(next(_NUMBERS))) for _ in range(len(servers) * SLOTS)]
        for server in servers:
            await server.truth.until(at.reached)
        yield
        for each in guesses:
            each.cancel()
    for server in servers:
        await server.truth.until(lambda truth: not truth.in_slots())


async def measure(at: Situation) -> tuple[list[float], list[float], int]:
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
            async with _speculation(pool, servers, at):
                full.append(await _first_token(pool))
        return idle, full, pool.snapshot().calls.preempted


def main() -> None:
    for at in SITUATIONS:
        idle, full, gave_way = asyncio.run(measure(at))
        more = sorted(late - early for late, early in zip(full, idle, strict=True))
        print(f"{at.what}: {gave_way} guesses gave way in {ROUNDS} rounds; a person's first token:")
        print(f"  idle  {summary(idle)} ms")
        print(f"  full  {summary(full)} ms")
        print(f"  more  {summary(more)} ms, 95 of 100 below {more[int(0.95 * len(more))]:.1f}, most {more[-1]:.1f}")


if __name__ == "__main__":
    main()
