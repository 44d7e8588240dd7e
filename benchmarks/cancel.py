"""How soon a call cancelled in decode gives its slot back: from our cancel to the free slot, by the truth log.

Pool and simulator share one event loop, so both speak of the same clock. `python -m benchmarks.cancel`
"""

from __future__ import annotations

import asyncio

from benchmarks.measuring import summary
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.simulator import Simulator, SimulatorSettings, script_models

ROUNDS = 50


async def measure() -> tuple[list[float], list[int]]:
    """Milliseconds to the free slot, and tokens made after the cancel, one of each a round."""
    waits: list[float] = []
    tokens: list[int] = []
    settings = SimulatorSettings(models=script_models(), load_seconds=0, decode_tokens_per_second=100)
    async with Simulator(settings) as server, OllamaConnectionPool([server.url]) as pool:
        for _ in range(ROUNDS):
            stream = pool.stream_generate(model="endless", prompt="go on")
            seen = 0
            async for _ in stream:
                seen += 1
                if seen == 5:
                    break
            cancelled = asyncio.get_running_loop().time()
            await stream.aclose()
            await server.truth.until(lambda truth: not truth.in_slots())
            record = server.truth.requests[-1]
            assert record.slot_freed_at is not None
            waits.append(1000 * (record.slot_freed_at - cancelled))
            tokens.append(record.tokens_after_leaving)
    return waits, tokens


def main() -> str:
    """The table."""
    waits, tokens = asyncio.run(measure())
    return "\n".join(
        [
            "| | |",
            "|---|---|",
            f"| cancel to free slot, ms | {summary(waits)}, slowest {max(waits):.1f} |",
            f"| tokens made after it, most | {max(tokens)} |",
        ]
    )


if __name__ == "__main__":
    print(main())
