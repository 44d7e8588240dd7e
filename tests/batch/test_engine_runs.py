"""Batches over the real engine and a simulated server: records, waiting, and who goes first."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path

from infrastructure.batch import (
    BatchPlace,
    BatchRegistry,
    Began,
    Ended,
    Retried,
    Waiting,
    WentOn,
    read_records,
    work_on,
)
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.events.catalogue import SnapshotTaken
from infrastructure.ids import RunId
from infrastructure.simulator import Simulator, is_right_first_time
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.runs import RequestKey
from infrastructure.tasks import TaskSpec
from tests.batch.conftest import (
    SEED,
    Heard,
    Workshop,
    engine_runs,
    job_line,
    oracle_task,
    problem,
    simulator_settings,
    tiny_server,
    write_lines,
)

PROBLEMS = [problem(number) for number in range(1, 5)]
LINES = [job_line(each) for each in PROBLEMS]


def registry(workshop: Workshop) -> BatchRegistry:
    return BatchRegistry(DataDirectory(workshop.settings.paths.data))


async def test_problems_are_solved_and_recorded_with_repairs_inside(tmp_path: Path, workshop_at) -> None:
    async with tiny_server(tmp_path, PROBLEMS) as server:
        workshop, host = workshop_at(server.url), server.url.removeprefix("http://")
        order = workshop.order(await asyncio.to_thread(workshop.entries, *LINES), samples=1)
        async with workshop.application() as app:
            report = await work_on(order, engine_runs(app), registry(workshop))
    assert report.statuses == {"done": 4}
    assert report.simulated
    wrong_first = [each.task_id for each in PROBLEMS if not is_right_first_time(each.task_id, SEED, 0.5)]
    assert 0 < len(wrong_first) < 4
    records = await asyncio.to_thread(workshop.records)
    assert [record["task_id"] for record in records if record["repairs"] == 1] == wrong_first
    for record, each in zip(records, PROBLEMS, strict=True):
        assert (record["verdict"], record["judge"], record["model"]) == ("passed", "given", "oracle")
        assert record["host"] == host
        assert record["solution"] == each.solution
        assert record["started_at"] < record["ended_at"]
        assert record["params"]["repairs"] == 2
    samples = await asyncio.to_thread(workshop.place.samples.read_text)
    assert samples.count('{"task_id":"Tiny/') == 4


def make_ignoring_repository(folder: Path) -> None:
    for name in ("objects", "refs"):
        (folder / ".git" / name).mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / ".gitignore").write_text("*\n")


async def test_own_form_is_judged_by_its_tests_even_inside_a_repository_that_ignores_all(
    tmp_path: Path, workshop_at
) -> None:
    await asyncio.to_thread(make_ignoring_repository, tmp_path)
    async with tiny_server(tmp_path, [problem(1)]) as server:
        workshop = workshop_at(server.url)
        line = {
            "id": "own", "prompt": problem(1).task, "files": {"solution.py": problem(1).stub},
            "tests": {"tests/test_it.py": problem(1).test_file},
        }  # fmt: skip
        order = workshop.order(await asyncio.to_thread(workshop.entries, line))
        async with workshop.application() as app:
            await work_on(order, engine_runs(app), registry(workshop))
    (record,) = await asyncio.to_thread(workshop.records)
    assert (record["status"], record["judge"], record["files"]) == ("done", "given", ["solution.py"])
    assert record["solution"] is None
    assert record["tests"]["passed"] == 1


async def test_folder_of_a_batch_inside_the_repository_it_works_on_is_nothing_that_a_run_sees(
    tmp_path: Path, workshop_at
) -> None:
    repo = tmp_path / "repo"
    await asyncio.to_thread(repo.mkdir)
    await asyncio.to_thread((repo / "solution.py").write_text, problem(1).stub)
    async with tiny_server(tmp_path, [problem(1)]) as server:
        workshop = workshop_at(server.url)
        lines = [
            {"id": "given", "prompt": problem(1).task, "repo": "repo", "tests": {"test_it.py": problem(1).test_file}},
            {"id": "after", "prompt": problem(1).task, "repo": "repo"},
        ]
        entries = await asyncio.to_thread(workshop.entries, *lines)
        order = replace(workshop.order(entries, at_once=1), place=BatchPlace(repo / "out"))
        async with workshop.application() as app:
            await work_on(order, engine_runs(app), registry(workshop))
            records = {each.job_id: each for each in await asyncio.to_thread(list, read_records(order.place.records))}
            events = [
                each.event for record in records.values() for each in await app.log.read(RunId(record.run), 0, 1000)
            ]
    assert [each.files for each in events if isinstance(each, SnapshotTaken)] == [1, 1]
    given, after = records["given"], records["after"]
    assert (given.status, given.judge, given.tests.passed, given.tests.errors) == ("done", "given", 1, 0)
    assert given.reason.startswith("test_it.py::")  # at the root, and not where the batch wrote it
    assert after.judge != "found"  # not the other job's tests, found beside its patch


async def test_key_leads_to_one_run_however_often_it_is_ensured(tmp_path: Path, workshop_at) -> None:
    async with tiny_server(tmp_path, [problem(1)]) as server:
        workshop = workshop_at(server.url)
        async with workshop.application() as app:
            runs, key = engine_runs(app), RequestKey("key", "identity")
            spec = TaskSpec(task="Why?", repo=tmp_path, no_input=True)
            assert await runs.known(key) is None
            run = await runs.ensure(key, spec)
            assert await runs.ensure(key, spec) == run
            await runs.interrupt(run, "to see it go on")
            assert (await runs.outcome(run)).resting or (await runs.outcome(run)).result.status == "done"
            assert await runs.ensure(key, spec) == run
            assert not (await runs.outcome(run)).resting
            known = await runs.known(key)
            assert known is not None
            assert (known.run, known.finished) == (run, True)
            assert await runs.ensure(key, spec) == run
            assert len(await app.runs.list()) == 1
            assert runs.slots() == 2


async def test_batch_waits_until_a_server_is_there(tmp_path: Path, workshop_at) -> None:
    async with tiny_server(tmp_path, PROBLEMS) as gone:
        url, port = gone.url, gone.port
    heard = Heard()
    async with AsyncExitStack() as later:

        async def sleep(seconds: float) -> None:
            if not later_up:
                later_up.append(await later.enter_async_context(tiny_server(tmp_path, PROBLEMS, port=port)))

        later_up: list[Simulator] = []
        workshop = workshop_at(url)
        order = replace(workshop.order(await asyncio.to_thread(workshop.entries, *LINES[:2]), heard), sleep=sleep)
        async with workshop.application() as app:
            report = await work_on(order, engine_runs(app), registry(workshop))
            assert len(await app.runs.list()) == 2
    assert report.statuses == {"done": 2}
    kinds = [type(news) for news in heard.news]
    assert kinds.count(Waiting) == kinds.count(WentOn) == 1
    assert kinds.index(Waiting) < kinds.index(WentOn) < kinds.index(Began)


async def test_server_that_dies_in_the_middle_is_waited_for(tmp_path: Path, workshop_at) -> None:
    heard = Heard()
    tasks = await asyncio.to_thread(write_lines, tmp_path / "tasks.jsonl", [oracle_task(each) for each in PROBLEMS])
    slow = simulator_settings(tasks, time_scale=1.0, decode_tokens_per_second=1.0)
    async with AsyncExitStack() as later:

        async def sleep(seconds: float) -> None:
            if not again:
                again.append(await later.enter_async_context(Simulator(simulator_settings(tasks, port=port))))

        again: list[Simulator] = []
        async with Simulator(slow) as first:
            port = first.port
            workshop = workshop_at(first.url)
            order = workshop.order(await asyncio.to_thread(workshop.entries, *LINES[:2]), heard)
            app = await later.enter_async_context(workshop.application())
            working = asyncio.create_task(work_on(replace(order, sleep=sleep), engine_runs(app), registry(workshop)))
            await first.truth.until(lambda truth: len(truth.in_slots()) == 2)
        report = await working
    assert report.statuses == {"done": 2}
    assert len(heard.of(Retried)) >= 2
    assert len(heard.of(Waiting)) == 1
    assert len(heard.of(Ended)) == 2


async def test_persons_run_goes_before_queued_calls_of_the_batch(tmp_path: Path, workshop_at) -> None:
    problems = [problem(number) for number in range(1, 5)]
    async with tiny_server(tmp_path, problems, num_parallel=1, load_seconds=0.0) as server:
        workshop = workshop_at(server.url)
        one_slot = workshop.settings.servers[0].model_copy(update={"slots": 1})
        workshop = Workshop(tmp_path, workshop.settings.model_copy(update={"servers": (one_slot,)}))
        lines = [job_line(each) for each in problems]
        order = workshop.order(await asyncio.to_thread(workshop.entries, *lines), Heard(), at_once=4)
        server.hold("as its docstring says")
        async with workshop.application() as app:
            working = asyncio.create_task(work_on(order, engine_runs(app), registry(workshop)))
            await queued(app.pool, batch=3)
            task = TaskSpec(task="Why? " + "word " * LONGER, repo=tmp_path / "out", no_input=True)
            run = await app.engine.start(task)
            await queued(app.pool, batch=3, interactive=1)
            server.release("as its docstring says")
            await app.engine.result(run)
            await working
    took = sorted((record for record in server.truth.requests if record.slot_taken_at), key=lambda it: it.slot_taken_at)
    assert [record.prompt_tokens > LONGER for record in took[:2]] == [False, True], "next after the one in the slot"
    assert sum(record.prompt_tokens > LONGER for record in took) >= 2
    assert len(took) > 8


LONGER = 1_500
"""Words of the question, more than any prompt of the batch has tokens."""


async def queued(pool: OllamaConnectionPool, **wanted: int) -> None:
    """Wait until so many calls of each band are in the queue."""
    async with aclosing(pool.changes()) as changes:
        async for snapshot in changes:
            if {band: number for band, number in snapshot.queued.items() if number} == wanted:
                return
