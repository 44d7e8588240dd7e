from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.backend.site import Site, site_over
from tests.engine.world import repository, settings_of, simulator


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """The application behind its door, over an instant server."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        yield await stack.enter_async_context(site_over(settings_of(tmp_path, [server]), repository(tmp_path / "repo")))
