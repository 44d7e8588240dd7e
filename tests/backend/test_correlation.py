"""A request's id: whose it is, and where it turns up again."""

from __future__ import annotations

import pytest

from infrastructure.events.causes import is_correlation
from infrastructure.ids import SYSTEM
from tests.backend.site import Site


async def test_a_callers_id_comes_back_and_is_on_every_event_of_the_run_it_began(site: Site) -> None:
    answer = await site.client.post("/api/v1/runs", json=site.task(), headers={"X-Request-ID": "from-my-ide:7"})
    assert answer.headers["X-Request-ID"] == "from-my-ide:7"
    run = answer.json()["run"]
    await site.application.engine.result(run)
    page = (await site.client.get(f"/api/v1/runs/{run}/events?limit=1000")).json()["events"]
    assert {event["correlation"] for event in page} == {"from-my-ide:7"}
    assert page[0]["causation"] == ""
    assert all(event["causation"] for event in page[1:])


async def test_each_request_without_an_id_gets_its_own(site: Site) -> None:
    ids = [(await site.client.get("/health/live")).headers["X-Request-ID"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(map(is_correlation, ids))


@pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", "-rf"])
async def test_what_is_no_id_is_replaced(site: Site, given: str) -> None:
    answer = await site.client.get("/health/live", headers={"X-Request-ID": given})
    assert answer.status_code == 200
    assert answer.headers["X-Request-ID"] != given


async def test_a_refused_request_has_an_id_too(site: Site) -> None:
    answer = await site.client.get("/api/v1/runs", headers={"Authorization": "Bearer wrong", "X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (401, "mine")


async def test_metrics_tell_of_events_the_bus_the_loop_and_sessions(site: Site) -> None:
    await site.application.bus.drain()
    text = (await site.client.get("/metrics")).text
    assert 'corral_events_total{kind="system.started"} 1.0' in text
    assert 'corral_bus_queued{subscriber="metrics"} 0.0' in text
    assert 'corral_bus_lag_seconds{subscriber="audit"} 0.0' in text
    assert "corral_event_commit_seconds_count 1.0" in text
    assert "corral_loop_lag_seconds_count" in text
    assert "corral_task_failures_total 0.0" in text
    assert "corral_sessions 0.0" in text


async def test_the_program_says_that_it_has_started(site: Site) -> None:
    (started,) = await site.application.log.read(SYSTEM)
    assert (started.event.kind, started.event.verb) == ("system.started", "serve")
    assert is_correlation(started.correlation)
