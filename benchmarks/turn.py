"""What a turn of a session costs the server: `python -m benchmarks.turn [ROUNDS]`.

Three processes: a simulated Ollama, the server with one data directory in `strict`, and a client that reads each answer
to its end as server-sent events. CPU time is the server process's own, all its threads together, so that what else the
machine does changes it little. Three answers: a word; some seventy tokens that come at once; the same at twenty tokens
a second in many sessions, as people have it, each token a chunk of its own on its way to the client.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosting import Hosted, hosted
from benchmarks.http1 import connected
from benchmarks.talking import ANSWER, Counted, Talk, begun

ROUNDS = 3
WINDOW = 32768


@dataclass(frozen=True)
class Load:
    """An answer, how fast it is given, and how many sessions take how many turns for it."""

    name: str
    answer: str
    tokens_per_second: float
    sessions: int
    turns: int


LOADS = (
    Load("a word", "Yes.", 1e6, 8, 40),
    Load("70 tokens at once", ANSWER, 1e6, 8, 40),
    Load("70 tokens, 20 a second", ANSWER, 20, 40, 3),
)


@dataclass(frozen=True)
class Cost:
    """Of one turn."""

    milliseconds: float
    transactions: float


async def _turns(talks: Sequence[Talk], turns: int) -> None:
    await asyncio.gather(*(talk.go(turns) for talk in talks))


async def measure(load: Load, folder: Path) -> Cost:
    """One server under one load."""
    simulated = {
        "models": [{"name": "talker", "turns": [load.answer]}], "num_parallel": load.sessions, "num_ctx": WINDOW,
        "load_seconds": 0.0, "prefill_tokens_per_second": 1e6, "decode_tokens_per_second": load.tokens_per_second,
        "decode_slowdown": 0,
    }  # fmt: skip
    async with AsyncExitStack() as stack:
        ollama = await stack.enter_async_context(hosted("benchmarks.hosting", json.dumps(simulated)))
        async with hosted("benchmarks.talking", "--serve", ollama.said["url"], str(folder)) as server:
            cpu = await _measured(load, server)
    counted = Counted(**json.loads((folder / "counted.json").read_text()))
    turns = load.sessions * load.turns
    return Cost(1000 * cpu / turns, counted.transactions / (turns + 2 + load.sessions))


async def _measured(load: Load, server: Hosted) -> float:
    headers = {"Authorization": f"Bearer {server.said['token']}"}
    async with AsyncExitStack() as stack:

        async def talk(number: int) -> Talk:
            connection = await stack.enter_async_context(connected(server.said["url"], headers))
            return Talk(connection, await begun(connection, number))

        await _turns(await asyncio.gather(talk(1), talk(2)), 1)  # what is loaded and learned at first use
        talks = await asyncio.gather(*map(talk, range(load.sessions)))
        before = await server.cpu_seconds()
        await _turns(talks, load.turns)
        return await server.cpu_seconds() - before


def main(rounds: int = ROUNDS) -> str:
    """The table."""
    costs: dict[str, list[Cost]] = {load.name: [] for load in LOADS}
    for _, load in itertools.product(range(rounds), LOADS):
        with tempfile.TemporaryDirectory(prefix="corral-turn-") as folder:
            costs[load.name].append(asyncio.run(measure(load, Path(folder))))
    rows = ["| an answer | ms CPU of the server a turn: median (least, most) | transactions a turn |", "|---|---|---|"]
    for name, each in costs.items():
        spent = [cost.milliseconds for cost in each]
        figures = f"{statistics.median(spent):.1f} ({min(spent):.1f}, {max(spent):.1f})"
        rows.append(f"| {name} | {figures} | {statistics.median(cost.transactions for cost in each):.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:2])))
