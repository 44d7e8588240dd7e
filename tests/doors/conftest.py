from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conversation.stack import called, simulator
from tests.doors.house import House, house

WRITE = called("write_file", '{"path": "a.py", "content": "x = 1"}')


@pytest.fixture
async def talker(tmp_path: Path) -> AsyncIterator[House]:
    """A model that greets, and goes on doing so."""
    async with simulator("Hello.", "Hello again.") as server, house(tmp_path, server.url, message_bytes=2048) as here:
        yield here


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[House]:
    """A model that wants to write a file, and says so when it is done."""
    async with simulator(WRITE, "Written.") as server, house(tmp_path, server.url) as here:
        yield here
