"""Candidates in idle slots: in which band a candidate's calls are asked, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest

from infrastructure.pool.calls import Call, CallUpdate, Watch
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.states import Band, CallState
from infrastructure.workflow.idle import ask_when_idle

CALL = Call(client="ui", prefix="run/coder")


@dataclass
class Asked:
    """One call as the pool got it; a test tells its states and its end."""

    call: Call
    watch: Watch
    end: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def tell(self, state: CallState) -> None:
        self.watch(CallUpdate(state=state))


class Desk:
    """Takes calls, which begin in the queue."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.came = asyncio.Condition()

    async def ask(self, call: Call, watch: Watch) -> str:
        asked = Asked(call, watch)
        asked.tell(CallState.QUEUED)
        self.asked.append(asked)
        async with self.came:
            self.came.notify_all()
        return await asked.end

    async def number(self, wanted: int) -> Asked:
        async with self.came:
            await self.came.wait_for(lambda: len(self.asked) >= wanted)
        return self.asked[wanted - 1]


def nothing(update: CallUpdate) -> None:
    """Watches nothing."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def leads() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def asking(desk: Desk, leads: asyncio.Event) -> asyncio.Task[str]:
    return asyncio.create_task(ask_when_idle(desk.ask, CALL, nothing, leads))


async def test_the_leader_is_asked_in_the_runs_own_band(desk, leads):
    leads.set()
    task = asyncio.create_task(ask_when_idle(desk.ask, CALL, nothing, leads))
    first = await desk.number(1)
    assert first.call == CALL
    first.end.set_result("said")
    assert await task == "said"


async def test_others_are_asked_in_idle_slots_only(desk, asking):
    first = await desk.number(1)
    assert (first.call.band, first.call.client, first.call.prefix) == (Band.SPECULATIVE, "ui", "run/coder")
    first.end.set_result("said")
    assert await asking == "said"


async def test_a_call_that_waits_when_its_candidate_leads_is_asked_anew_in_the_runs_own_band(desk, leads, asking):
    first = await desk.number(1)
    leads.set()
    second = await desk.number(2)
    assert first.end.cancelled()
    assert second.call == CALL
    second.end.set_result("said")
    assert await asking == "said"


async def test_a_call_that_is_being_answered_goes_on_and_is_asked_anew_only_if_it_loses_its_slot(desk, leads, asking):
    first = await desk.number(1)
    first.tell(CallState.STREAMING)
    leads.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not first.end.cancelled()
    first.tell(CallState.PREEMPTED)
    second = await desk.number(2)
    assert first.end.cancelled()
    assert second.call == CALL
    second.end.set_result("said")
    assert await asking == "said"


async def test_a_full_queue_takes_no_guess_which_then_waits_for_its_turn(desk, leads, asking):
    first = await desk.number(1)
    first.end.set_exception(PoolSaturated(512, 3.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asking.done()
    assert len(desk.asked) == 1
    leads.set()
    (await desk.number(2)).end.set_result("said")
    assert await asking == "said"


async def test_an_error_of_the_call_is_its_askers(desk, asking):
    (await desk.number(1)).end.set_exception(LookupError("gone"))
    with pytest.raises(LookupError):
        await asking


@pytest.mark.parametrize("led", [False, True])
async def test_cancelling_stops_the_call(desk: Desk, leads: asyncio.Event, asking: Awaitable[str], led: bool):
    asked = await desk.number(1)
    if led:
        leads.set()
        asked = await desk.number(2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asked.end.cancelled()
