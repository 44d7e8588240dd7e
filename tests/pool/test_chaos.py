"""A few hundred calls in a storm of failures: none lost, none answered twice, nothing leaked, every count right."""

from __future__ import annotations

import pytest

from benchmarks.chaos import weather
from infrastructure.connection_pool import CallState

CALLS = 600


@pytest.mark.slow
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_a_storm_loses_no_call_and_leaks_nothing(http2: bool):
    account, acts, strikes = await weather(CALLS, seed=7, http2=http2)

    assert account.wrong == []
    assert acts
    assert strikes
    assert account.ends[CallState.DONE] > CALLS / 2
