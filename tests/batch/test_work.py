"""A batch's work over the port, without an engine: what is done, what is not done again, what is waited for."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.batch import (
    BatchRegistry,
    BatchReport,
    BatchStopped,
    Began,
    Ended,
    FolderInUse,
    Opened,
    Order,
    Rested,
    Retried,
    Waiting,
    WentOn,
    folders,
    work_on,
)
from infrastructure.batch.ledger import Ledger
from infrastructure.batch.records import RecordFile
from infrastructure.config.settings import BudgetSettings, RunSettings
from infrastructure.ids import RunId
from infrastructure.running.errors import TaskRefused
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock
from infrastructure.storage.runs import RequestKey
from infrastructure.tasks import TaskSpec
from infrastructure.workflow.lanes import NoModel
from tests.batch.conftest import Heard, Workshop
from tests.batch.fake_runs import FakeRuns

PLAIN = [{"id": name, "prompt": f"do {name}"} for name in ("a", "b", "c", "d", "e")]


@pytest.fixture
def workshop(workshop_at) -> Workshop:
    return workshop_at("http://127.0.0.1:1")


@pytest.fixture
def runs() -> FakeRuns:
    runs = FakeRuns()
    runs.gate.set()
    return runs


def registry(workshop: Workshop) -> BatchRegistry:
    return BatchRegistry(DataDirectory(workshop.settings.paths.data))


@pytest.fixture
def order(workshop: Workshop) -> Order:
    return workshop.order(workshop.entries(*PLAIN), Heard())


async def work(workshop: Workshop, order: Order, runs: FakeRuns) -> BatchReport:
    return await work_on(order, runs, registry(workshop))


def heard(order: Order) -> Heard:
    assert isinstance(order.on_news, Heard)
    return order.on_news


async def read(path: Path) -> str:
    return await asyncio.to_thread(path.read_text)


async def statuses(workshop: Workshop) -> dict[str, str]:
    records = await asyncio.to_thread(workshop.records)
    return {record["job_id"]: record["status"] for record in records}


async def test_every_job_gets_one_record_and_its_patch(workshop: Workshop, order: Order, runs: FakeRuns) -> None:
    report = await work(workshop, order, runs)
    assert (report.exit_code, report.statuses) == (0, {"done": 5})
    records = await asyncio.to_thread(workshop.records)
    assert [record["job_id"] for record in records] == list("abcde")
    for record in records:
        assert await read(workshop.place.root / record["patch_file"]) == f"patch of {record['run']}\n"
    assert json.loads(await read(workshop.place.report)) == report.model_dump(mode="json")
    assert (await registry(workshop).get(workshop.place.id)).state == "finished"


async def test_task_goes_to_the_batch_band_in_the_name_of_the_batch(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    await work(workshop, order, runs)
    (spec,) = [each for each in runs.specs.values() if each.task == "do a"]
    assert (spec.task, spec.band, spec.client) == ("do a", "batch", "batch:out")
    assert (spec.repo, spec.no_input, spec.approve) == (workshop.place.work / "a", True, ())


async def test_task_carries_what_is_recorded_of_it_so_that_whoever_holds_the_engine_goes_by_that(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    said = RunSettings(repairs=0, rounds=3, candidates=2, profiles=False, budget=BudgetSettings(calls=9))
    settings = workshop.settings.model_copy(update={"run": said})
    await work(workshop, replace(order, settings=settings), runs)
    (spec,) = [each for each in runs.specs.values() if each.task == "do a"]
    params = (await asyncio.to_thread(workshop.records))[0]["params"]
    told = spec.model_dump(mode="json", exclude_none=True)
    assert {name: told[name] for name in ("repairs", "rounds", "candidates", "budget")} == {
        "repairs": 0, "rounds": 3, "candidates": 2, "budget": params["budget"]
    }  # fmt: skip
    assert [params[name] for name in ("repairs", "rounds", "candidates")] == [0, 3, 2]
    assert params["budget"]["calls"] == 9
    assert told["profiles"] is False


async def test_folder_of_one_job_that_cannot_be_made_is_that_jobs_record_and_stops_no_other(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    await asyncio.to_thread(workshop.place.prepare)
    await asyncio.to_thread((workshop.place.work / "b").write_text, "in the way")
    report = await work(workshop, order, runs)
    assert (report.exit_code, report.statuses, report.no_verdict) == (6, {"done": 4, "error": 1}, 1)
    (record,) = [each for each in await asyncio.to_thread(workshop.records) if each["status"] == "error"]
    assert (record["job_id"], record["verdict"], record["run"]) == ("b", None, "")
    assert str(workshop.place.work / "b") in record["reason"]
    await asyncio.to_thread((workshop.place.work / "b").unlink)
    assert (await work(workshop, order, runs)).exit_code == 0


async def test_disk_that_is_full_is_no_jobs_record(
    workshop: Workshop, order: Order, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, contents: dict[str, str], empty: tuple[str, ...] = ()) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    monkeypatch.setattr(folders, "_make_anew", full)
    with pytest.raises(ExceptionGroup) as ended:
        await work(workshop, order, runs)
    assert ended.value.split(OSError)[1] is None
    assert await statuses(workshop) == {}


@pytest.mark.parametrize(("at_once", "most"), [(None, 2), (1, 1), (4, 4), (99, 5)])
async def test_as_many_runs_as_there_is_room_for(
    workshop: Workshop, order: Order, at_once: int | None, most: int
) -> None:
    runs = FakeRuns()
    order = replace(order, wishes=replace(order.wishes, at_once=at_once))
    working = asyncio.create_task(work(workshop, order, runs))
    await runs.until_begun(most)
    runs.gate.set()
    await working
    assert runs.most_at_once == most


async def test_same_command_again_runs_nothing_that_has_a_verdict(workshop: Workshop, order: Order) -> None:
    verdicts = {
        "do a": "done",
        "do b": "unverified",
        "do c": "failed",
        "do d": "budget",
        "do e": "error:UnusableAnswer",
    }
    runs = FakeRuns(ending=lambda spec: verdicts[spec.task])
    runs.gate.set()
    report = await work(workshop, order, runs)
    assert report.exit_code == 6
    assert await statuses(workshop) == {"a": "done", "b": "unverified", "c": "failed", "d": "budget", "e": "error"}
    runs.ending = lambda spec: "done"
    runs.begun.clear()
    report = await work(workshop, order, runs)
    assert [runs.specs[run].task for run in runs.begun] == ["do e"]
    assert (report.statuses["done"], report.records) == (2, 5)
    assert len(await asyncio.to_thread(workshop.records)) == 5
    opened = heard(order).of(Opened)[-1]
    assert (opened.total, opened.finished) == (5, 4)


async def test_cancelled_run_runs_again_with_a_new_id(workshop: Workshop, order: Order) -> None:
    runs = FakeRuns(ending=lambda spec: "cancelled")
    runs.gate.set()
    assert (await work(workshop, order, runs)).exit_code == 6
    runs.ending = lambda spec: "done"
    assert (await work(workshop, order, runs)).exit_code == 0
    assert len(set(runs.begun)) == 10


async def test_changed_setting_is_done_anew_and_the_old_records_are_kept_apart(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    await work(workshop, order, runs)
    await work(workshop, replace(order, wishes=replace(order.wishes, candidates=3)), runs)
    assert len(runs.begun) == 10
    assert len(await asyncio.to_thread(workshop.records)) == 5
    assert (await read(workshop.place.superseded)).count("\n") == 5


async def test_samples_are_records_of_their_own(workshop: Workshop, order: Order) -> None:
    ends = iter(["done", "failed", "done", "failed"])
    runs = FakeRuns(ending=lambda spec: next(ends), room=1)
    runs.gate.set()
    order = workshop.order(workshop.entries(*PLAIN[:2], samples=2), samples=2)
    report = await work(workshop, order, runs)
    records = await asyncio.to_thread(workshop.records)
    assert [(record["job_id"], record["sample_index"]) for record in records] == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
        ("b", 1),
    ]
    assert [record["patch_file"] for record in records][::2] == ["patches/a.diff", "patches/a-1.diff"]
    assert {each.k: each.value for each in report.pass_at} == {1: 0.5, 2: 0.5}


# --------------------------------------------------------------------------- killed at every step


async def test_run_that_finished_before_its_record_is_not_run_again(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    await work(workshop, order, runs)
    before = await asyncio.to_thread(workshop.records)
    await asyncio.to_thread(workshop.place.records.write_bytes, b'{"torn')
    runs.begun.clear()
    await work(workshop, order, runs)
    assert runs.begun == []
    assert await asyncio.to_thread(workshop.records) == before
    assert heard(order).of(Opened)[-1].cut == 6


async def test_unfinished_run_is_gone_on_with_under_its_id(workshop: Workshop, order: Order) -> None:
    runs = FakeRuns()
    killed = asyncio.create_task(work(workshop, order, runs))
    await heard(order).until(Began)
    killed.cancel()
    await asyncio.wait([killed])
    first = tuple(runs.begun)
    runs.gate.set()
    await work(workshop, order, runs)
    assert set(first) <= set(runs.results)
    assert len(runs.results) == 5
    assert [each.again for each in heard(order).of(Began)].count(True) == len(first)


async def test_run_written_down_but_never_begun_is_begun_under_that_id(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    runs.refuses = ZeroDivisionError("killed here")
    with pytest.raises(ExceptionGroup):
        await work(workshop, order, runs)
    written = {json.loads(line)["key"] for line in (await read(workshop.place.ledger)).splitlines()}
    assert written
    runs.refuses = None
    await work(workshop, order, runs)
    assert written <= set(runs.results)
    assert len(runs.results) == 5


async def test_patch_that_cannot_be_kept_leaves_no_record(workshop: Workshop, order: Order, runs: FakeRuns) -> None:
    await asyncio.to_thread((workshop.place.patches / "a.diff").mkdir, parents=True)
    with pytest.raises(ExceptionGroup) as caught:
        await work(workshop, order, runs)
    assert caught.group_contains(OSError)
    assert "a" not in await statuses(workshop)
    await asyncio.to_thread((workshop.place.patches / "a.diff").rmdir)
    runs.begun.clear()
    await work(workshop, order, runs)
    assert "do a" not in {runs.specs[run].task for run in runs.begun}, "its run had finished"
    assert len(await statuses(workshop)) == 5


# ------------------------------------------------------------------------------ no server, and stops


async def test_batch_waits_for_a_server_says_so_once_and_goes_on(
    workshop: Workshop, order: Order, runs: FakeRuns
) -> None:
    naps: list[float] = []
    runs.up = False

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        states.append((await registry(workshop).get(workshop.place.id)).state)
        runs.up = len(naps) > 7
        await asyncio.sleep(0)

    states: list[str] = []
    report = await work(workshop, replace(order, sleep=sleep), runs)
    assert report.statuses == {"done": 5}
    (waiting,) = heard(order).of(Waiting)
    assert "connection refused" in waiting.reason
    assert len(heard(order).of(WentOn)) == 1
    assert set(naps) == {2.0}
    assert (await read(workshop.place.ledger)).count("\n") == 5, "waiting begins nothing anew"


async def test_run_that_loses_its_server_is_begun_again(workshop: Workshop, order: Order) -> None:
    ends = iter(["error:ServerUnreachable", "error:StreamBroken"])
    runs = FakeRuns(ending=lambda spec: next(ends, "done"), room=1)
    runs.gate.set()
    report = await work(workshop, order, runs)
    assert report.statuses == {"done": 5}
    assert [each.ticket.label for each in heard(order).of(Retried)] == ["a", "a"]


async def test_job_that_always_loses_its_server_ends_as_an_error(workshop: Workshop, order: Order) -> None:
    runs = FakeRuns(ending=lambda spec: "error:ServerUnreachable" if spec.task == "do a" else "done")
    runs.gate.set()
    report = await work(workshop, order, runs)
    assert report.statuses == {"done": 4, "error": 1}
    assert report.errors == {"ServerUnreachable": 1}


@pytest.mark.parametrize("how", ["result", "refusal"])
async def test_error_that_every_job_would_meet_stops_the_batch(workshop: Workshop, order: Order, how: str) -> None:
    runs = FakeRuns(ending=lambda spec: "error:ModelNowhere")
    runs.gate.set()
    if how == "refusal":
        runs.refuses = NoModel()
    with pytest.raises(BatchStopped) as caught:
        await work(workshop, order, runs)
    assert caught.value.exit_code == 3
    assert "the same command goes on" in caught.value.hint
    assert await statuses(workshop) == {}
    assert (await registry(workshop).get(workshop.place.id)).state == "stopped"
    runs.refuses, runs.ending = None, lambda spec: "done"
    assert (await work(workshop, order, runs)).exit_code == 0


async def test_task_that_cannot_be_taken_is_that_jobs_error_alone(workshop: Workshop, order: Order) -> None:
    class Choosy(FakeRuns):
        async def ensure(self, key: RequestKey, spec: TaskSpec) -> RunId:
            if spec.task == "do b":
                raise TaskRefused("no", "Say it otherwise.")
            return await super().ensure(key, spec)

    runs = Choosy()
    runs.gate.set()
    report = await work(workshop, order, runs)
    assert report.statuses == {"done": 4, "error": 1}
    assert report.errors == {"TaskRefused": 1}


async def test_stop_interrupts_what_runs_begins_nothing_more_and_leaves_no_record(
    workshop: Workshop, order: Order
) -> None:
    runs = FakeRuns()
    working = asyncio.create_task(work(workshop, order, runs))
    await heard(order).until(Began)
    order.stop.set()
    report = await working
    assert (report.exit_code, report.missing, report.interrupted) == (130, 5, True)
    assert len(heard(order).of(Rested)) == len(runs.begun) <= 2
    assert (await registry(workshop).get(workshop.place.id)).state == "interrupted"
    order.stop.clear()
    runs.gate.set()
    assert (await work(workshop, order, runs)).exit_code == 0
    assert len(runs.results) == 5


async def test_stop_ends_the_wait_for_a_server(workshop: Workshop, order: Order) -> None:
    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    working = asyncio.create_task(work(workshop, replace(order, sleep=for_ever), FakeRuns(up=False)))
    await heard(order).until(Waiting)
    order.stop.set()
    assert (await working).exit_code == 130


async def test_stop_after_the_last_job_is_no_interruption(workshop: Workshop, order: Order, runs: FakeRuns) -> None:
    class StopsLate(Heard):
        def __call__(self, news, tally) -> None:
            super().__call__(news, tally)
            if len(self.of(Ended)) == 5:
                order.stop.set()

    assert (await work(workshop, replace(order, on_news=StopsLate()), runs)).exit_code == 0


async def test_folder_in_use_is_refused(workshop: Workshop, order: Order, runs: FakeRuns) -> None:
    await asyncio.to_thread(workshop.place.prepare)
    lock = EngineLock(workshop.place.lock, verb="batch")
    assert await asyncio.to_thread(lock.try_acquire)
    with pytest.raises(FolderInUse):
        await work(workshop, order, runs)
    await asyncio.to_thread(lock.close)
    assert (await work(workshop, order, runs)).exit_code == 0


# ------------------------------------------------------------------------------------------- folders


async def test_own_folder_has_its_files_and_tests_and_is_a_repository(workshop: Workshop, runs: FakeRuns) -> None:
    line = {"id": "x/y", "prompt": "p", "files": {"src/a.py": "a"}, "tests": {"tests/test_a.py": "t"}}
    await asyncio.to_thread((workshop.place.work / "x-y").mkdir, parents=True)
    await asyncio.to_thread((workshop.place.work / "x-y" / "stale").touch)
    await work(workshop, workshop.order(workshop.entries(line)), runs)
    folder = workshop.place.work / "x-y"
    assert await read(folder / "src" / "a.py") == "a"
    spec = runs.specs[runs.begun[0]]
    assert (spec.repo, spec.tests) == (folder, (folder / "tests" / "test_a.py",))
    assert await asyncio.to_thread((folder / ".git").is_dir)
    assert not await asyncio.to_thread((folder / "stale").exists)


@pytest.mark.parametrize("spoiled", [None, "src/a.py", ".git/HEAD", "src/more.py"])
async def test_own_folder_that_is_as_it_should_be_is_left_alone(
    workshop: Workshop, runs: FakeRuns, spoiled: str | None
) -> None:
    line = {"id": "x", "prompt": "p", "files": {"src/a.py": "a\r\n"}, "tests": {"t.py": "t"}}
    await work(workshop, workshop.order(workshop.entries(line)), runs)
    folder = workshop.place.work / "x"
    await asyncio.to_thread(os.utime, folder / "t.py", ns=(1, 1))
    if spoiled is not None:
        await asyncio.to_thread((folder / spoiled).write_text, "spoiled")
    for file in (workshop.place.records, workshop.place.ledger):
        await asyncio.to_thread(file.unlink)
    again = FakeRuns()
    again.gate.set()
    await work(workshop, workshop.order(workshop.entries(line)), again)
    assert again.specs[again.begun[0]].repo == folder
    left_alone = (await asyncio.to_thread((folder / "t.py").stat)).st_mtime_ns == 1
    assert left_alone is (spoiled is None)
    assert await asyncio.to_thread((folder / "src" / "a.py").read_bytes) == b"a\r\n"
    assert not await asyncio.to_thread((folder / "src" / "more.py").exists)


async def test_tests_beside_a_repository_lie_outside_of_it(workshop: Workshop, runs: FakeRuns) -> None:
    repo = workshop.root / "repo"
    await asyncio.to_thread(repo.mkdir)
    line = {"id": "a", "prompt": "p", "repo": "repo", "tests": {"tests/test_a.py": "t"}}
    entries = await asyncio.to_thread(workshop.entries, line)
    await work(workshop, workshop.order(entries), runs)
    spec = runs.specs[runs.begun[0]]
    assert (spec.repo, spec.tests) == (repo, (workshop.place.work / "a" / "test_a.py",))
    assert await asyncio.to_thread(lambda: list(repo.iterdir())) == []


def test_files_of_a_batch_can_be_opened_twice(workshop: Workshop) -> None:
    workshop.place.prepare()
    for opened in (RecordFile(workshop.place), Ledger(workshop.place)):
        opened.close()
        opened.close()
