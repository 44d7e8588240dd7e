from __future__ import annotations

import asyncio

import pytest

from infrastructure.sandbox import NoSandbox, open_sandbox


def _why_not() -> str:
    try:
        asyncio.run(open_sandbox("auto"))
    except NoSandbox as why:
        return str(why)
    return ""


@pytest.fixture(scope="session", autouse=True)
def _sandbox_there() -> None:
    """These tests run generated code, so they need a place where that is held."""
    if reason := _why_not():
        pytest.skip(reason)
