"""What the bus costs the log: events a second, CPU an event, and how long a commit takes, without and with subscribers.

A run streams its text in small pieces, so pieces are posted by eight runs side by side, and every fiftieth event is
one that is waited for.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from infrastructure.events.catalogue import NodeCompleted, TextStreamed
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import new_run_id
from infrastructure.storage.database import Database

RUNS, PIECES = 8, 2500
PIECE = TextStreamed(call="coder#0", role="coder", text="def add(a, b):\n    return a + b\n", node="coder", candidate=1)
STEP = NodeCompleted(seconds=0.1, node="coder")


async def stream(log: SqliteEventLog, waits: list[float]) -> None:
    """One run's pieces."""
    run = new_run_id()
    for number in range(PIECES):
        if number % 50:
            log.post(run, 1, PIECE)
            continue
        began = time.perf_counter()
        await log.append(run, 1, STEP)
        waits.append(time.perf_counter() - began)
    await log.flush(run)


async def measure(subscribers: int) -> str:
    """A line of the table."""
    waits: list[float] = []
    told = ""
    with tempfile.TemporaryDirectory() as folder:
        async with Database(Path(folder) / "corral.db") as database:
            log = SqliteEventLog(database)
            began, cpu = time.perf_counter(), time.process_time()
            if subscribers:
                told = await _with_bus(log, subscribers, waits)
            else:
                await asyncio.gather(*(stream(log, waits) for _ in range(RUNS)))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    waits.sort()
    events = RUNS * PIECES
    p99 = 1000 * waits[int(len(waits) * 0.99)]
    return (
        f"| {subscribers} | {events / seconds:,.0f} | {1e6 * cpu / events:.1f} | {1000 * waits[len(waits) // 2]:.1f} |"
        f" {p99:.1f} | {told} |"
    )


async def _with_bus(log: SqliteEventLog, subscribers: int, waits: list[float]) -> str:
    from infrastructure.events.bus import EventBus  # noqa: PLC0415

    seen = [0] * subscribers

    async with EventBus(log) as bus:
        log.observe(bus.publish)
        for number in range(subscribers):

            async def handle(stored: object, number: int = number) -> None:
                seen[number] += 1

            bus.subscribe(f"s{number}", handle)
        await asyncio.gather(*(stream(log, waits) for _ in range(RUNS)))
        await bus.drain()
        lag = max(each.worst_lag_seconds for each in bus.standing())
    assert seen == [RUNS * PIECES] * subscribers, seen
    return f"{1000 * lag:.1f}"


def main(subscribers: tuple[int, ...] = (0, 4)) -> str:
    """The table."""
    lines = [
        "| subscribers | events/s | µs CPU an event | commit p50 ms | p99 ms | worst lag ms |",
        "|---|---|---|---|---|---|",
    ]
    for number in subscribers:
        asyncio.run(measure(number))  # warm-up
        lines += [asyncio.run(measure(number)) for _ in range(3)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(main(tuple(map(int, sys.argv[1:])) or (0, 4)))
