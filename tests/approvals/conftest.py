from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infrastructure.events.catalogue import Event
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import RunId
from infrastructure.sessions.approvals import ActionRequest
from infrastructure.sessions.hitl import HITLManager
from infrastructure.storage.database import Database

SESSION = "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61"


@dataclass
class Clock:
    """A time that moves when it is told to."""

    now: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def pause(self, seconds: float) -> None:
        """Sleeps no time at all: the clock jumps instead."""
        self.slept.append(seconds)
        self.move(seconds)


@dataclass
class Desk:
    """A manager over a database of its own."""

    manager: HITLManager
    log: SqliteEventLog
    clock: Clock

    async def events(self, owner: str = SESSION) -> list[Event]:
        return [stored.event for stored in await self.log.read(RunId(owner))]


@asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None, *, watched: bool = False) -> AsyncIterator[Desk]:
    clock = clock or Clock()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(folder / "corral.db", window=0))
        log = SqliteEventLog(database, clock)
        manager = HITLManager(database, log, now=clock, pause=clock.pause, home=Path("/home/somebody"))
        if watched:
            await stack.enter_async_context(manager)
        else:
            stack.push_async_callback(manager.aclose)
        yield Desk(manager, log, clock)


def command(text: str) -> ActionRequest:
    return ActionRequest(tool="run_command", arguments={"command": text}, description=text)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as ours:
        yield ours
