from __future__ import annotations

import pytest

from infrastructure.sandbox import NoSandbox, Sandbox, open_sandbox


@pytest.fixture
async def sandbox() -> Sandbox:
    """The strongest there is here."""
    try:
        return await open_sandbox("auto")
    except NoSandbox as why:
        pytest.skip(str(why))
