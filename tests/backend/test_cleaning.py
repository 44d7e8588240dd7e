"""Old things go while the engine works, and what it works on stays."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from infrastructure.config.settings import RetentionSettings
from infrastructure.ids import SYSTEM
from tests.backend.site import Site, site_over
from tests.engine.world import repository, settings_of, simulator

CLEAN = "/api/v1/clean"
NOTHING_KEPT = {"trees_days": 0, "tokens_days": 0, "runs_days": 0}
HOUR = 3600.0


async def finished(site: Site) -> str:
    run = await site.begin()
    await site.until(run, "run.finished")
    await site.application.engine.result(run)
    return run


async def test_old_trees_go_and_those_of_a_run_that_can_go_on_stay(site: Site) -> None:
    directory, old, waiting = site.application.directory, await finished(site), await site.begin(approve=["plan"])
    await site.until(waiting, "approval.asked")
    assert directory.tree(old).is_dir()
    answer = await site.client.post(CLEAN, json={"trees_days": 0})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["trees"], answer.json()["runs"]) == (1, 0)
    assert not directory.tree(old).exists()
    assert directory.tree(waiting).is_dir()
    assert (await site.application.recordings.of_run(old)).snapshot, "it can be replayed all the same"
    approval = (await site.client.get(f"/api/v1/approvals?owner={waiting}")).json()["approvals"][0]
    decided = {"approval": approval["key"], "approved": True, "reason": ""}
    assert (await site.client.post(f"/api/v1/runs/{waiting}/answer", json=decided)).status_code == 202
    assert (await site.until(waiting, "run.finished"))["status"] == "done"


async def test_without_a_body_the_settings_rule(site: Site) -> None:
    old = await finished(site)
    assert (await site.client.post(CLEAN)).json()["trees"] == 0
    assert site.application.directory.tree(old).is_dir()


async def test_what_the_body_leaves_out_the_settings_rule(tmp_path: Path) -> None:
    async with simulator(tmp_path) as server:
        settings = settings_of(tmp_path, [server]).model_copy(update={"retention": RetentionSettings(trees_days=0)})
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            await finished(site)
            answer = (await site.client.post(CLEAN, json={"tokens_days": 30})).json()
    assert (answer["trees"], answer["runs"]) == (1, 0)


@pytest.mark.parametrize("days", ["1e6", "1e12", "1e309"])
async def test_more_days_than_there_are_keep_all_for_ever(site: Site, days: str) -> None:
    await finished(site)
    body = f'{{"trees_days": {days}, "tokens_days": {days}, "runs_days": {days}}}'
    answer = await site.client.post(CLEAN, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert not any(answer.json().values())


async def test_a_forgotten_run_goes_with_all_that_it_had(site: Site) -> None:
    old = await finished(site)
    answer = (await site.client.post(CLEAN, json=NOTHING_KEPT)).json()
    assert (answer["trees"], answer["runs"]) == (1, 1)
    assert (await site.client.get(f"/api/v1/runs/{old}")).status_code == 404


async def test_contents_that_a_step_may_yet_name_stay_for_a_day(site: Site) -> None:
    blobs, folder = site.application.blobs, site.application.directory.blobs
    young, old = [await blobs.put(content) for content in (b"young", b"old")]
    for sha, hours in ((young, 23), (old, 25)):
        put = time.time() - hours * HOUR
        os.utime(folder / sha[:2] / sha[2:], (put, put))
    assert (await site.client.post(CLEAN)).json()["blob_bytes"] == len(b"old")
    assert await blobs.has(young)
    assert not await blobs.has(old)


async def test_events_of_deleted_sessions_and_of_the_program_go_when_they_are_old(site: Site) -> None:
    gone, there = [(await site.client.post("/api/v1/sessions", json={})).json()["session"] for _ in range(2)]
    await site.client.delete(f"/api/v1/sessions/{gone}")
    log = site.application.log
    deleted, lived = await log.read(gone), await log.read(there)
    assert deleted
    told = len(await log.read(SYSTEM))
    assert (await site.client.post(CLEAN)).json()["events"] == 0, "they are not old"
    await site.application.agent_contexts.switch_agent(there, "ask", by="person")
    answer = (await site.client.post(CLEAN, json=NOTHING_KEPT)).json()
    assert answer["events"] == len(deleted) + told - 1
    assert await log.read(gone) == ()
    assert (await log.read(there))[: len(lived)] == lived
    assert len(await log.read(SYSTEM)) == 1, "the next number is counted from the last"


async def test_one_cleans_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    list_runs = type(site.application.runs).list

    async def slowly(*arguments: object) -> object:
        begun.set()
        await go_on.wait()
        return await list_runs(*arguments)

    monkeypatch.setattr(type(site.application.runs), "list", slowly)
    first = asyncio.ensure_future(site.client.post(CLEAN))
    await begun.wait()
    second = await site.client.post(CLEAN)
    assert (second.status_code, second.json()["type"]) == (409, "about:corral/CleaningUnderWay")
    go_on.set()
    assert (await first).status_code == 200
    assert (await site.client.post(CLEAN)).status_code == 200
