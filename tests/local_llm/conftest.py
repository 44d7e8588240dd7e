"""A simulated server in a thread, and an event loop that runs in another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from infrastructure.simulator import Simulator
from tests.chat_model.clerk import clerk
from tests.pool.servers import MODELS


@pytest.fixture
def server() -> Iterator[Simulator]:
    with clerk(MODELS) as server:
        yield server


@pytest.fixture
def other_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
