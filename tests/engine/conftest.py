from __future__ import annotations

import pytest

from infrastructure.sandbox import NoSandbox, open_sandbox


@pytest.fixture(autouse=True)
async def _sandbox_there() -> None:
    """These tests run generated code, so they need a place where that is held."""
    try:
        await open_sandbox("auto")
    except NoSandbox as why:
        pytest.skip(str(why))
