"""The clock is set back between two processes: a run goes on from where it was, and keeps its patch."""

from __future__ import annotations

import time

import pytest

from backend.bootstrap import open_application
from infrastructure.events.catalogue import NodeCompleted
from tests.engine.world import CODER, world

HOUR = 3600 * 10**9


@pytest.fixture
def set_clock(monkeypatch):
    """Lets time begin anew, so many hours off: LangGraph remembers the last name that it gave in this process."""
    true = time.time_ns

    def set_off(hours: int) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: true() + hours * HOUR)
        monkeypatch.setattr("langgraph.checkpoint.base.id._last_v6_timestamp", None)

    return set_off


async def test_interrupted_run_goes_on_from_its_last_step(tmp_path, set_clock):
    set_clock(1)
    async with world(tmp_path) as ours:
        ours.simulators[0].hold(CODER)
        run = await ours.start()
        await ours.until(run, "node.completed", "planner")
        await ours.leave()
        ours.simulators[0].release(CODER)
        set_clock(0)
        async with open_application(ours.settings) as app:
            await app.engine.resume(run)
            result = await app.engine.result(run)
            nodes = [stored.event.node for stored in await app.log.read(run) if isinstance(stored.event, NodeCompleted)]
        assert (result.status, result.reason == "", result.patch == "") == ("done", False, False)
        assert len(nodes) == len(set(nodes)), "no step was repeated"


async def test_run_that_waits_for_an_answer_is_answered(tmp_path, set_clock):
    set_clock(1)
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",))
        asked = await ours.until(run, "approval.asked")
        await ours.leave()
        set_clock(0)
        async with open_application(ours.settings) as app:
            await app.engine.resume(run)
            async for stored in app.engine.follow(run):
                if stored.event.kind == "approval.asked" and stored.execution == 2:
                    asked = stored.event
                    break
            await app.engine.answer(run, asked.approval, approved=True)
            result = await app.engine.result(run)
        assert (result.status, result.patch == "") == ("done", False)
