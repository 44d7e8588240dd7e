"""A few hundred calls in a storm of failures: none lost, none answered twice, nothing leaked, every count right."""

from __future__ import annotations

import pytest

from benchmarks.chaos import SETTINGS, Account, Asked, weather
from benchmarks.storm import Storm
from infrastructure.connection_pool import CallState
from infrastructure.pool.errors import QueueTimeout

CALLS = 600


@pytest.mark.slow
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_a_storm_loses_no_call_and_leaks_nothing(http2: bool):
    account, acts, strikes = await weather(CALLS, seed=7, http2=http2)

    assert account.wrong == []
    assert acts
    assert strikes
    assert account.ends[CallState.DONE] > CALLS / 2


@pytest.mark.parametrize("still", [False, True], ids=["runs", "stands still"])
def test_a_call_may_wait_in_vain_only_while_the_process_stands_still(still: bool):
    storm, account = Storm([], [], seed=1), Account()
    waited = SETTINGS.phases.queue
    call = Asked(1, "call 1", began=0.0, end=CallState.FAILED, error=QueueTimeout(waited))
    storm.came_up = [-1.0] * 3
    storm.stood_still = 0.9 * waited if still else 0.0
    account.book(call, storm)
    assert bool(account.wrong) is not still
