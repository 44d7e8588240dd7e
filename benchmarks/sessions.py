"""What a message costs the disk, in each mode of persistence, and whether memory grows with what was said.

Writes: transactions, counted at the database, per 1,000 messages; one session that appends one message after another,
a hundred that do so at once, and a hundred that together bring some hundred or thousand a second, each at moments of
its own. Beside it how long an append took to be acknowledged, and what is missing when the file is opened anew.
`--soak`: messages of 300 characters over many sessions, each used at random; resident memory behind each tenth, and
how late the event loop was at worst. A watchdog ends it where nothing is acknowledged for a while.
`python -m benchmarks.sessions [--messages N] [--folder PATH]`, `python -m benchmarks.sessions --soak`
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.model import Message
from backend.bootstrap import TURN_SECONDS
from benchmarks.measuring import resident_bytes
from infrastructure.config.settings import SessionSettings
from infrastructure.events.log import SqliteEventLog
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.database import Database

MESSAGES = 10_000
AT_ONCE = 100
RATES = (300, 600, 1000)
"""Messages a second of all sessions together."""
SOAK_MESSAGES = 100_000
SOAK_SESSIONS = 2_000
SOAK_AT_ONCE = 100
TENTHS = 10
WATCHDOG_SECONDS = 10
MEGA = 1 << 20
TEXT = "x" * 300

Mode = Literal["strict", "event_driven", "timer"]
MODES: tuple[Mode, ...] = ("strict", "event_driven", "timer")


@dataclass(frozen=True)
class Figures:
    """Of one way to talk in one mode."""

    messages: int
    commits: int
    seconds: float
    waits: list[float]
    lost: int = 0

    @property
    def row(self) -> str:
        cuts = statistics.quantiles(self.waits, n=100)
        per = self.commits / self.messages
        return (
            f"{per * 1000:.1f} | {per:.4f} | {self.messages / self.seconds:,.0f}"
            f" | {cuts[49] * 1000:.1f} | {cuts[98] * 1000:.1f} | {self.lost}"
        )


@asynccontextmanager
async def opened(path: Path, mode: Mode) -> AsyncGenerator[tuple[AsyncSessionManager, Database]]:
    """Sessions on a file."""
    async with Database(path) as database:
        log = SqliteEventLog(database)
        async with AsyncSessionManager(database, log, SessionSettings(persistence=mode)) as sessions:
            yield sessions, database


async def talk(path: Path, mode: Mode, sessions_at_once: int, messages: int, rate: float | None) -> Figures:
    """Append so many messages, and count; without a rate each session sends the next when the last is acknowledged."""
    waits: list[float] = []
    chance = random.Random(1)
    async with opened(path, mode) as (sessions, database):
        names = [(await sessions.create()).session for _ in range(sessions_at_once)]

        async def append(name: str, number: int) -> None:
            began = time.perf_counter()
            await sessions.append_message(name, Message("user", f"{number} {TEXT}"), key=f"k{number}")
            waits.append(time.perf_counter() - began)

        async def one(name: str) -> None:
            due = time.perf_counter()
            for number in range(messages // sessions_at_once):
                if rate is not None:
                    due += chance.expovariate(rate / sessions_at_once)
                    await asyncio.sleep(due - time.perf_counter())
                await append(name, number)

        before, began = database.commits, time.perf_counter()
        await asyncio.gather(*(one(name) for name in names))
        seconds = time.perf_counter() - began
        await sessions.flush()
        commits = database.commits - before
    async with Database(path) as database:
        kept: int = await database.read(
            lambda connection: connection.execute("SELECT COUNT(*) FROM messages").fetchone()[0]
        )
    return Figures(len(waits), commits, seconds, waits, len(waits) - kept)


async def writes_table(folder: Path, messages: int) -> str:
    """Transactions of all modes and ways."""
    lines = [
        "| | mode | per 1,000 messages | per message | messages/s | acknowledged, ms (median) | p99 | lost |",
        "|---|---|---|---|---|---|---|---|",
        "| one write a message | | 1000 | 1 | | | | |",
    ]
    ways: list[tuple[str, int, int, float | None]] = [
        ("one session", 1, messages // 10, None),
        (f"{AT_ONCE} sessions", AT_ONCE, messages, None),
    ]
    ways += [(f"{AT_ONCE} sessions, {rate} messages/s", AT_ONCE, rate * 10, rate) for rate in RATES]
    for name, at_once, count, rate in ways:
        for mode in MODES:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                figures = await talk(Path(place) / "corral.db", mode, at_once, count, rate)
            lines.append(f"| {name} | `{mode}` | {figures.row} |")
            print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


async def soak(folder: Path, messages: int, many: int) -> str:
    """Resident memory by the number of messages, after as many sessions were begun."""
    chance = random.Random(2)
    found: list[float] = []
    late = 0.0
    with tempfile.TemporaryDirectory(dir=folder) as place:
        async with opened(Path(place) / "corral.db", "strict") as (sessions, database):
            names = [each.session for each in await asyncio.gather(*(sessions.create() for _ in range(many)))]
            done, left = 0, messages

            async def worker() -> None:
                nonlocal done, left
                while left > 0:
                    left -= 1
                    name = chance.choice(names)
                    await sessions.append_message(name, Message("user", TEXT))
                    sessions.get_history(name)
                    done += 1
                    if done % (messages // TENTHS) == 0:
                        gc.collect()
                        found.append(resident_bytes() / MEGA)
                        print(f"{done:,}: {found[-1]:.1f} MB, {time.perf_counter() - began:.0f} s", file=sys.stderr)

            async def watch() -> None:
                nonlocal late
                seen, still = -1, 0.0
                while True:
                    before = time.perf_counter()
                    await asyncio.sleep(0.1)
                    late = max(late, time.perf_counter() - before - 0.1)
                    still = still + 0.1 if done == seen else 0.0
                    seen = done
                    if still > WATCHDOG_SECONDS:
                        raise TimeoutError(f"nothing was acknowledged for {WATCHDOG_SECONDS} s after {done}")

            began = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(watch())
                await asyncio.gather(*(worker() for _ in range(SOAK_AT_ONCE)))
                watching.cancel()
            seconds = time.perf_counter() - began
            kept: int = await database.read(
                lambda connection: connection.execute("SELECT SUM(last) FROM sessions").fetchone()[0]
            )
            began = time.perf_counter()
            await sessions.search("is nowhere")
            searched = time.perf_counter() - began
            loaded = sessions.loaded
    heads = [f"{number * messages // TENTHS:,}" for number in range(1, TENTHS + 1)]
    return "\n".join(
        [
            "| messages | " + " | ".join(heads) + " |",
            "|---" * (TENTHS + 1) + "|",
            "| MB resident | " + " | ".join(f"{each:.1f}" for each in found) + " |",
            "",
            f"{kept:,} of {messages:,} kept, {many:,} sessions of which {loaded} in memory,",
            f"{messages / seconds:,.0f} a second, the loop at most {late * 1000:.0f} ms late;",
            f"a search through all that finds nothing took {searched:.2f} s.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--folder", type=Path, default=None, help="on which disk; the temporary folder's by default")
    parser.add_argument("--soak", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.gettempdir())
    sys.setswitchinterval(TURN_SECONDS)  # as an open application does
    if options.soak:
        print(asyncio.run(soak(folder, SOAK_MESSAGES, SOAK_SESSIONS)))
    else:
        print(asyncio.run(writes_table(folder, options.messages)))


if __name__ == "__main__":
    main()
