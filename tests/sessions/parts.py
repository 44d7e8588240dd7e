"""Sessions on a file, opened as often as a test wants, and a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.model import Message, ToolCall
from infrastructure.config.settings import SessionSettings
from infrastructure.events.bus import EventBus
from infrastructure.events.log import SqliteEventLog
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.sessions.ports import Clock
from infrastructure.storage.database import Database


@dataclass(frozen=True)
class Opened:
    sessions: AsyncSessionManager
    contexts: AsyncAgentContextManager
    log: SqliteEventLog
    database: Database


@asynccontextmanager
async def opened(
    path: Path, settings: SessionSettings | None = None, clock: Clock | None = None, flushed: bool = True
) -> AsyncGenerator[Opened]:
    """Everything on this file; with `flushed` False it ends as a crash would: what is only in memory is gone."""
    async with Database(path) as database, EventBus(log := SqliteEventLog(database)) as bus:
        log.observe(bus.publish)
        sessions = await AsyncSessionManager(database, log, settings, clock=clock).__aenter__()
        contexts = AsyncAgentContextManager(sessions, database, log, bus)
        try:
            yield Opened(sessions, contexts, log, database)
        finally:
            if flushed:
                await sessions.aclose()


class HandClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self._now = 100.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, future))
        self._slept.set()
        await future

    async def asleep(self) -> float:
        """Wait until somebody sleeps, and return the seconds until the first is woken."""
        while not (left := [until for until, future in self._sleepers if not future.done()]):
            self._slept.clear()
            await self._slept.wait()
        return min(left) - self._now

    def move(self, seconds: float) -> None:
        self._now += seconds
        for until, future in self._sleepers:
            if until <= self._now + 1e-9 and not future.done():
                future.set_result(None)


def user(text: str) -> Message:
    return Message("user", text)


def asks(*calls: str, text: str = "") -> Message:
    return Message("assistant", text, tool_calls=tuple(call(each) for each in calls))


def call(name: str) -> ToolCall:
    return ToolCall("read_file", {"path": f"{name}.py", "lines": [1, 2]}, name)
