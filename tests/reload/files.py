"""A settings file that a test writes, the manager that reads it, and time that a test lets pass."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.config.load import load_settings
from infrastructure.config.manager import ConfigSource, ConfigurationManager, News

HOME: Mapping[str, str] = {"HOME": "/home/ada"}


@dataclass
class Told:
    """A subscriber that keeps what it is told."""

    news: list[News] = field(default_factory=list[News])
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, news: News) -> None:
        self.news.append(news)
        self._more.set()

    async def next(self) -> News:
        """The oldest that was not asked for yet."""
        while not self.news:
            self._more.clear()
            await self._more.wait()
        return self.news.pop(0)


class Steps:
    """Sleeping that goes on when a test says so."""

    def __init__(self) -> None:
        self._asked: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        go_on = asyncio.Event()
        self._asked.put_nowait((seconds, go_on))
        await go_on.wait()

    async def asleep(self) -> float:
        """Wait until somebody sleeps; how long it wants to. It goes on with the next call."""
        seconds, self._go_on = await self._asked.get()
        return seconds

    def wake(self) -> None:
        self._go_on.set()


async def manager_of(
    file: Path, environ: Mapping[str, str] = HOME, flags: Mapping[str, object] | None = None
) -> ConfigurationManager:
    """A manager of the settings in this file, over an environment of its own."""
    source = ConfigSource(file, lambda: load_settings(file, environ, flags))
    return await asyncio.to_thread(ConfigurationManager.begin, source)
