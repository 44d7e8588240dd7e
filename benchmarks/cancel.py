"""How soon a cancelled call gives its slot back: from our cancel to the free slot, by the truth log.

Over HTTP/1.1 and over HTTP/2; in decode, with fast tokens since a server frees a slot when its batch is over, and while
a long prompt is read. Pool and simulator share one event loop, so both speak of the same clock.
`python -m benchmarks.cancel`
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable

from benchmarks.measuring import summary
from infrastructure.connection_pool import ChunkStream, OllamaConnectionPool
from infrastructure.simulator import Simulator, SimulatorSettings, script_models

ROUNDS = 100
TOKEN_SECONDS = 0.005
PREFILL_BATCH_SECONDS = 0.02
_BATCH = 512


async def _decoding(stream: ChunkStream, server: Simulator) -> float:
    """Leave it in the middle of its answer; when that was."""
    for _ in range(5):
        await anext(stream)
    left = asyncio.get_running_loop().time()
    await stream.aclose()
    return left


async def _reading(stream: ChunkStream, server: Simulator) -> float:
    """Cancel it while its prompt is being read; when that was."""
    asked = asyncio.ensure_future(anext(stream))
    await server.truth.until(lambda truth: any(record.prefilled_tokens for record in truth.in_slots()))
    left = asyncio.get_running_loop().time()
    asked.cancel()
    await asyncio.wait([asked])
    return left


async def measure(
    leave: Callable[[ChunkStream, Simulator], Awaitable[float]], prompt: str, *, http2: bool
) -> tuple[list[float], list[int]]:
    """Milliseconds to the free slot, and tokens made after the cancel, one of each a round."""
    waits: list[float] = []
    tokens: list[int] = []
    settings = SimulatorSettings(
        models=script_models(),
        load_seconds=0,
        num_ctx=32768,
        prefill_tokens_per_second=_BATCH / PREFILL_BATCH_SECONDS,
        decode_tokens_per_second=1 / TOKEN_SECONDS,
        http2_port=0,
    )
    async with Simulator(settings) as server:
        url = server.http2_url if http2 else server.url
        async with OllamaConnectionPool([url]) as pool:
            for number in range(ROUNDS):
                stream = pool.stream_generate(model="endless", prompt=f"{number} {prompt}")
                left = await leave(stream, server)
                await server.truth.until(lambda truth: not truth.in_slots())
                record = server.truth.requests[-1]
                assert record.slot_freed_at is not None
                waits.append(1000 * (record.slot_freed_at - left))
                tokens.append(record.tokens_after_leaving)
    return waits, tokens


def main() -> str:
    """The table."""
    lines = ["| | cancel to free slot, ms | p99 | slowest | tokens after it, most |", "|---|---|---|---|---|"]
    where = {"in decode": (_decoding, "go on"), "while a prompt is read": (_reading, "word " * 5000)}
    for label, (leave, prompt) in where.items():
        for name, http2 in (("HTTP/1.1", False), ("HTTP/2", True)):
            waits, tokens = asyncio.run(measure(leave, prompt, http2=http2))
            p99 = statistics.quantiles(waits, n=100)[98]
            lines.append(f"| {label}, {name} | {summary(waits)} | {p99:.1f} | {max(waits):.1f} | {max(tokens)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(main())
