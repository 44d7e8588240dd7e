from __future__ import annotations

from collections.abc import Callable

import pytest

from infrastructure.chat_model import close_chat_pool
from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import close_ollama_pool, configure_ollama_pool
from infrastructure.simulator import Simulator
from tests.chat_model.clerk import clerk


@pytest.fixture
def benchmark() -> Callable[[Callable[[], None]], None]:
    """Runs what the suite would have timed."""
    return lambda run: run()


@pytest.fixture
def vcr() -> None:
    """Nothing is recorded: the simulated server is there."""


@pytest.fixture(scope="module")
def server():
    with clerk() as started:
        yield started


@pytest.fixture
def configured(server: Simulator):
    """The pools of the process are over that server, and are closed afterwards."""
    configure_ollama_pool(Settings(servers=(ServerSettings(url=server.url, slots=4),)))
    yield
    close_chat_pool()
    configure_ollama_pool(None)


@pytest.fixture
async def process(configured: None):
    """As `configured`, in the loop of the test."""
    yield
    await close_ollama_pool()
