"""A model that hangs while its server answers: how soon it is found, and what else is taken for it.

`python -m benchmarks.hung [--calls N]`. First with the pool's own limits: a stream and a call without a byte on a
server whose model stops, beside a second server. Then a slow server, fifty times as fast as it would be, and the pool's
limits with it: long prompts, loads, another program's calls. Every suspicion there is a wrong one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import Call, OllamaConnectionPool
from infrastructure.pool import hung, silence, watchman
from infrastructure.pool.silence import MEASURED_CALLS
from infrastructure.simulator import Fault, FaultKind, ModelSpec, Simulator, SimulatorSettings
from infrastructure.transport.errors import StreamBroken

ROUNDS = 3
CALLS = 300
SCALE = 50.0
TEXT = " ".join(f"word{number}" for number in range(40))
ASKED = [{"role": "user", "content": "go on"}]
MODELS = (ModelSpec(name="words", text=TEXT), ModelSpec(name="other", text=TEXT))


# ------------------------------------------------------------------------------------------- how soon
async def found(slots: int) -> tuple[float, float]:
    """Seconds from the silence to the end of the stream, and to the other call's answer from elsewhere."""
    settings = SimulatorSettings(models=MODELS, num_parallel=slots, decode_tokens_per_second=400)
    async with Simulator(settings) as one, Simulator(settings) as two:
        servers = [ServerSettings(url=each.url, name=each.url, slots=slots) for each in (one, two)]
        async with OllamaConnectionPool(servers) as pool:
            for server, other in ((two, one), (one, two)):
                pool.drain_server(server.url, draining=False)
                pool.drain_server(other.url)
                for _ in range(MEASURED_CALLS):
                    await pool.chat(model="words", messages=ASKED)
            began = time.monotonic()
            one.set_fault("words", Fault(kind=FaultKind.HANG, after_chunks=3))
            stream = pool.stream_chat(model="words", messages=ASKED)
            for _ in range(3):
                await anext(stream)
            one.set_fault("words", Fault(kind=FaultKind.HANG))
            waiting = asyncio.create_task(pool.chat(model="words", messages=ASKED))
            await one.truth.until(lambda truth: len(truth.in_slots()) == 2)
            await asyncio.sleep(1)  # too late to ask a second server for being late: that is another benchmark
            pool.drain_server(two.url, draining=False)
            with suppress(StreamBroken):
                await anext(stream)
            ended = time.monotonic() - began
            assert (await waiting).server == two.url
            return ended, time.monotonic() - began


# --------------------------------------------------------------------------------------- what else
async def slow(calls: int) -> tuple[int, int, int]:
    """Calls that were answered by a slow server, how often it was suspected, and condemned."""
    suspicions = _Counter()
    logging.getLogger(hung.__name__).addHandler(suspicions)
    logging.getLogger(hung.__name__).setLevel(logging.INFO)
    silence.FLOOR_SECONDS /= SCALE
    watchman.ROUND_SECONDS /= SCALE
    settings = SimulatorSettings(
        models=MODELS,
        num_parallel=2,
        max_loaded_models=1,
        load_seconds=20,
        prefill_tokens_per_second=40,
        decode_tokens_per_second=8,
        time_scale=1 / SCALE,
        num_ctx=8192,
    )
    async with Simulator(settings) as server:
        servers = [ServerSettings(url=server.url, slots=2)]
        async with OllamaConnectionPool(servers) as ours, OllamaConnectionPool(servers) as others:
            numbers = iter(range(calls))
            async with asyncio.TaskGroup() as group:
                for pool, share in ((ours, 0.1), (ours, 0.1), (ours, 0.1), (others, 0.3)):
                    group.create_task(_ask_on(pool, numbers, share))
            counts = [pool.snapshot().calls for pool in (ours, others)]
    condemned = sum(each.tripped for each in counts)
    return sum(each.done for each in counts), suspicions.count - condemned, condemned


class _Counter(logging.Handler):
    """Counts what is told."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.count += 1


async def _ask_on(pool: OllamaConnectionPool, numbers: Iterator[int], share_of_other: float) -> None:
    for number in numbers:
        rng = random.Random(f"slow/{number}")
        prompt = f"{number} " + " ".join(["word"] * rng.choice((20, 20, 200, 2000)))
        model = "other" if rng.random() < share_of_other else "words"
        await pool.generate(model=model, prompt=prompt, call=Call(client=str(number % 3)))


async def _soon(rounds: int) -> list[tuple[int, tuple[float, float]]]:
    slots = [2, 3] * rounds
    return list(zip(slots, await asyncio.gather(*map(found, slots)), strict=True))


def main(arguments: Sequence[str]) -> str:
    """Two tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.hung")
    parser.add_argument("--calls", type=int, default=CALLS)
    given = parser.parse_args(arguments)
    times = asyncio.run(_soon(ROUNDS))
    rows = [
        "| slots of the server | stream ended after, s: median, most | other call answered after, s |",
        "|---|---|---|",
    ]
    for slots, name in ((2, "2, both taken"), (3, "3, one free: a probe")):
        ended, answered = zip(*(each for number, each in times if number == slots), strict=True)
        spread = [f"{statistics.median(values):.1f}, {max(values):.1f}" for values in (ended, answered)]
        rows.append(f"| {name} | {spread[0]} | {spread[1]} |")
    done, judged, condemned = asyncio.run(slow(given.calls))
    rows += ["", "| slow server: calls answered | suspected | condemned |", "|---|---|---|"]
    rows.append(f"| {done} | {judged} | {condemned} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
