"""Runs over HTTP: begun, listed, steered, and begun once only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infrastructure.config.settings import ServerSettings
from infrastructure.ids import RunId
from infrastructure.tasks import TaskSpec
from tests.backend.site import Site, site_over
from tests.engine.world import repository, settings_of, simulator


async def waiting(site: Site) -> tuple[RunId, str]:
    """A run that waits for an answer to its plan, and the question."""
    run = await site.begin(approve=["plan"])
    asked = await site.until(run, "approval.asked")
    return run, str(asked["approval"])


async def test_a_task_becomes_a_run_with_a_result_and_a_patch(site: Site) -> None:
    answer = await site.client.post("/api/v1/runs", json=site.task())
    run = answer.json()["run"]
    assert answer.headers["location"] == f"/api/v1/runs/{run}"
    result = await site.application.engine.result(run)
    view = (await site.client.get(answer.headers["location"])).json()
    assert (view["state"], view["status"], view["result"]["status"]) == ("finished", "done", "done")
    assert view["request"]["repo"] == str(site.repo)
    assert view["created"].endswith("Z")
    patch = await site.client.get(f"/api/v1/runs/{run}/patch")
    assert patch.headers["content-type"].startswith("text/x-diff")
    assert patch.text == result.patch
    assert "+    return a + b" in patch.text


async def test_an_xray_shows_what_the_model_got_in_each_call(site: Site) -> None:
    run = await site.begin()
    result = await site.application.engine.result(run)
    answer = await site.client.get(f"/api/v1/runs/{run}/xray")
    assert (answer.status_code, answer.json()["run"]) == (200, run)
    calls = answer.json()["calls"]
    assert len(calls) == result.model_calls
    assert [call["number"] for call in calls] == list(range(1, len(calls) + 1))
    assert {"intent", "planner", "coder"} <= {call["role"] for call in calls}
    for call in calls:
        prompt = call["prompt"]
        assert sum(section["tokens"] for section in prompt["sections"]) == prompt["estimated_tokens"]
        assert 0 < call["prompt_tokens"] <= prompt["window"]
        assert "task" in {section["name"] for section in prompt["sections"]}
    assert (await site.client.get("/api/v1/runs/nothing/xray")).status_code == 404


async def test_a_run_over_http_is_a_guests_whatever_the_caller_says(site: Site) -> None:
    run = await site.begin(guest=False)
    record = await site.application.runs.get(run)
    assert TaskSpec.model_validate_json(record.request_json).guest


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"repo": "project"}, 422, "TaskRefused"),
        ({"repo": "/nowhere/at/all"}, 422, "NotADirectory"),
        ({"task": "   "}, 422, "TaskRefused"),
        ({"task": "x" * 100_000}, 422, "TaskRefused"),
        ({"test_command": "'"}, 422, "TaskRefused"),
        ({"tests": ["test.py"]}, 422, "TaskRefused"),
        ({"model": "big:cloud"}, 422, "CloudModelRefused"),
        ({"model": "nowhere"}, 422, "ModelNowhere"),
        ({"candidates": 99}, 422, "InvalidRequest"),
    ],
)
async def test_a_task_that_cannot_be_taken_says_why(
    site: Site, change: dict[str, object], status: int, name: str
) -> None:
    answer = await site.client.post("/api/v1/runs", json=site.task(**change))
    assert (answer.status_code, answer.json()["type"]) == (status, f"about:corral/{name}")
    assert answer.json()["detail"]
    assert answer.json()["hint"]
    assert await site.application.runs.list() == ()


async def test_a_model_that_a_server_which_cannot_be_asked_may_have_is_worth_another_try(tmp_path: Path) -> None:
    async with simulator(tmp_path) as server:
        settings = settings_of(tmp_path, [server])
        settings = settings.model_copy(
            update={"servers": (*settings.servers, ServerSettings(url="http://127.0.0.1:1"))}
        )
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            answer = await site.client.post("/api/v1/runs", json=site.task(model="nowhere"))
    assert (answer.status_code, answer.json()["type"]) == (503, "about:corral/ModelNowhere")


async def test_the_same_key_and_task_give_the_same_run(site: Site) -> None:
    key = {"Idempotency-Key": "k1"}
    answers = await asyncio.gather(*(site.client.post("/api/v1/runs", json=site.task(), headers=key) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["run"] for answer in answers}) == 1
    assert len(await site.application.runs.list()) == 1


async def test_the_same_key_with_another_task_is_a_conflict(site: Site) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await site.client.post("/api/v1/runs", json=site.task(), headers=key)
    answer = await site.client.post("/api/v1/runs", json=site.task(candidates=2), headers=key)
    assert (answer.status_code, answer.json()["type"]) == (409, "about:corral/KeyReused")
    assert first.json()["run"] in answer.json()["detail"]
    assert len(await site.application.runs.list()) == 1


async def test_without_a_key_each_request_is_a_run_of_its_own(site: Site) -> None:
    assert await site.begin() != await site.begin()


async def test_runs_are_listed_newest_first_page_by_page(site: Site) -> None:
    runs = [await site.begin() for _ in range(3)]
    first = (await site.client.get("/api/v1/runs", params={"limit": 2})).json()
    assert [run["run"] for run in first["runs"]] == [runs[2], runs[1]]
    second = (await site.client.get("/api/v1/runs", params={"limit": 2, "before": first["next"]})).json()
    assert [run["run"] for run in second["runs"]] == [runs[0]]
    assert second["next"] is None


async def test_a_list_has_the_beginning_of_a_long_task_and_the_run_all_of_it(site: Site) -> None:
    task = "Make it faster. " * 1000
    run = await site.begin(task=task)
    short = await site.begin()
    listed = {each["run"]: each["task"] for each in (await site.client.get("/api/v1/runs")).json()["runs"]}
    assert listed[run] == task[:299] + "…"
    whole = (await site.client.get(f"/api/v1/runs/{run}")).json()
    assert whole["task"] == whole["request"]["task"] == task
    assert listed[short] == (await site.client.get(f"/api/v1/runs/{short}")).json()["task"]


async def test_an_answer_lets_a_waiting_run_go_on(site: Site) -> None:
    run, approval = await waiting(site)
    assert (await site.client.get(f"/api/v1/runs/{run}")).json()["state"] == "waiting"
    body = {"approval": approval, "approved": True}
    answer = await site.client.post(f"/api/v1/runs/{run}/answer", json=body)
    assert answer.status_code == 202
    assert (await site.application.engine.result(run)).status == "done"
    again = await site.client.post(f"/api/v1/runs/{run}/answer", json=body)
    assert (again.status_code, again.json()["type"]) == (409, "about:corral/RunNotWaiting")


@pytest.mark.parametrize("approved", ["true", "false"])
async def test_half_characters_of_an_answers_reason_are_kept_as_question_marks(site: Site, approved: str) -> None:
    run, approval = await waiting(site)
    body = f'{{"approval": "{approval}", "approved": {approved}, "reason": "so \\ud83d"}}'.encode()
    json = {"Content-Type": "application/json"}
    (asked,) = (await site.client.get("/api/v1/approvals", params={"owner": run})).json()["approvals"]
    assert (await site.client.post(f"/api/v1/runs/{run}/answer", content=body, headers=json)).status_code == 202
    given = await site.until(run, "approval.given")
    assert (given["approved"], given["reason"]) == (approved == "true", "so ?")
    for path in (f"/api/v1/runs/{run}", f"/api/v1/runs/{run}/events", f"/api/v1/approvals/{asked['id']}"):
        assert (await site.client.get(path)).status_code == 200


async def test_a_run_has_no_patch_before_its_end(site: Site) -> None:
    run, _ = await waiting(site)
    answer = await site.client.get(f"/api/v1/runs/{run}/patch")
    assert (answer.status_code, answer.json()["type"]) == (404, "about:corral/NoPatch")


async def test_a_cancelled_run_is_over_for_good(site: Site) -> None:
    run, approval = await waiting(site)
    assert (await site.client.post(f"/api/v1/runs/{run}/cancel")).status_code == 202
    assert (await site.client.get(f"/api/v1/runs/{run}")).json()["status"] == "cancelled"
    for verb in ("cancel", "interrupt", "resume"):
        answer = await site.client.post(f"/api/v1/runs/{run}/{verb}")
        assert (answer.status_code, answer.json()["type"]) == (409, "about:corral/RunIsOver"), verb
    body = {"approval": approval, "approved": True}
    assert (await site.client.post(f"/api/v1/runs/{run}/answer", json=body)).status_code == 409


async def test_an_interrupted_run_goes_on_when_it_is_resumed(site: Site) -> None:
    run, approval = await waiting(site)
    assert (await site.client.post(f"/api/v1/runs/{run}/interrupt")).status_code == 202
    view = (await site.client.get(f"/api/v1/runs/{run}")).json()
    assert (view["state"], view["reason"]) == ("interrupted", "interrupted by a person")
    last = (await site.application.log.read(run))[-1].seq
    assert (await site.client.post(f"/api/v1/runs/{run}/resume")).status_code == 202
    await site.until(run, "approval.asked", last)
    body = {"approval": approval, "approved": True}
    assert (await site.client.post(f"/api/v1/runs/{run}/answer", json=body)).status_code == 202
    assert (await site.application.engine.result(run)).status == "done"


@pytest.mark.parametrize("path", ["", "/patch", "/events"])
async def test_what_is_no_run_is_not_found(site: Site, path: str) -> None:
    for name in ("0", "..", "%00", "x" * 64, "a b", "'; DROP TABLE runs; --"):
        answer = await site.client.get(f"/api/v1/runs/{name}{path}")
        assert answer.status_code == 404, name


async def test_batches_are_those_of_the_data_directory(site: Site) -> None:
    assert (await site.client.get("/api/v1/batches")).json() == {"batches": []}
    answer = await site.client.get("/api/v1/batches/3f2c9a7be401")
    assert (answer.status_code, answer.json()["type"]) == (404, "about:corral/UnknownBatch")
