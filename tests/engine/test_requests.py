"""The watch for requests of other processes: none is dropped, and what goes wrong is heard of."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from infrastructure.ids import RunId
from infrastructure.running.requests import Requests
from infrastructure.storage.control import ControlStore
from infrastructure.storage.errors import StorageBusy, StorageError
from infrastructure.storage.runs import UnknownRun
from tests.engine.test_stopping import outcome_of
from tests.engine.world import world

HOUR = 3600 * 10**9


class Carrier:
    """Carries out what is asked, and remembers it. Runs that are told to fail do."""

    def __init__(self) -> None:
        self.cancelled: list[RunId] = []
        self.fails: dict[str, list[Exception]] = {}
        self.faults: list[BaseException] = []
        self.done = asyncio.Event()
        self.faulty = asyncio.Event()
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def cancel(self, run: RunId) -> None:
        self.entered.set()
        await self.open.wait()
        if self.fails.get(run):
            raise self.fails[run].pop()
        self.cancelled.append(run)
        self.done.set()

    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        raise AssertionError

    def fault(self, error: BaseException) -> None:
        self.faults.append(error)
        self.faulty.set()

    async def until(self, run: str) -> None:
        while run not in self.cancelled:
            self.done.clear()
            await self.done.wait()

    def requests(self, control: ControlStore) -> Requests:
        return Requests(control, cancel=self.cancel, answer=self.answer, on_fault=self.fault)


@pytest.fixture
def carrier():
    return Carrier()


@pytest.fixture
def control(tmp_path):
    return ControlStore(tmp_path / "control.db")


async def outcome(control: ControlStore, request: int) -> str:
    while (said := await control.outcome_of(request)) is None:
        pass
    return said


async def test_request_that_could_not_be_read_at_first_is_carried_out_later(tmp_path, carrier):
    class Busy(ControlStore):
        times = 2

        async def pending(self, after=0):
            if self.times:
                self.times -= 1
                raise StorageBusy(self.path)
            return await super().pending(after)

    control = Busy(tmp_path / "control.db")
    request = await control.ask_cancel(RunId("a"))
    watch = carrier.requests(control)
    watch.start()
    assert await outcome(control, request) == "done"
    await watch.aclose()
    assert carrier.cancelled == ["a"]
    assert carrier.faults == []


async def test_request_that_comes_without_moving_the_files_time_is_found(tmp_path, carrier):
    """Times of files move in steps: a request may come after the look, and within the same step."""
    frozen = time.time_ns() + HOUR  # it stays young however slow this machine is

    class Frozen(ControlStore):
        late = True

        async def pending(self, after=0):
            found = await super().pending(after)
            if found and self.late:
                self.late = False
                await self.ask_cancel(RunId("late"))
            await asyncio.to_thread(os.utime, self.path, ns=(frozen, frozen))
            return found

        async def mark_handled(self, request, outcome):
            marked = await super().mark_handled(request, outcome)
            await asyncio.to_thread(os.utime, self.path, ns=(frozen, frozen))
            return marked

    control = Frozen(tmp_path / "control.db")
    await control.ask_cancel(RunId("early"))
    await asyncio.to_thread(os.utime, control.path, ns=(frozen, frozen))
    watch = carrier.requests(control)
    watch.start()
    await carrier.until("late")
    await watch.aclose()
    assert carrier.cancelled == ["early", "late"]


async def test_file_that_has_not_changed_for_long_is_not_opened_again(tmp_path, carrier):
    old = time.time_ns() - HOUR
    looks: list[int] = []
    ticks = asyncio.Event()

    class Old(ControlStore):
        async def pending(self, after=0):
            looks.append(after)
            return ()

    class Ticking(Requests):
        count = 0

        async def _changed(self):
            self.count += 1
            if self.count == 4:
                ticks.set()
            return await super()._changed()

    control = Old(tmp_path / "control.db")
    await control.ask_cancel(RunId("a"))
    await asyncio.to_thread(os.utime, control.path, ns=(old, old))
    watch = Ticking(control, cancel=carrier.cancel, answer=carrier.answer, on_fault=carrier.fault)
    watch.start()
    await ticks.wait()
    await watch.aclose()
    assert looks == [0]


async def test_request_that_storage_stands_in_the_way_of_waits_and_keeps_no_other_waiting(control, carrier):
    carrier.fails["a"] = [StorageError(Path("corral.db"))]
    first, second = await control.ask_cancel(RunId("a")), await control.ask_cancel(RunId("b"))
    watch = carrier.requests(control)
    watch.start()
    assert (await outcome(control, second), await outcome(control, first)) == ("done", "done")
    await watch.aclose()
    assert carrier.cancelled == ["b", "a"]


async def test_refusal_is_the_outcome_of_its_request(control, carrier):
    carrier.fails["a"] = [UnknownRun("a")]
    request = await control.ask_cancel(RunId("a"))
    watch = carrier.requests(control)
    watch.start()
    assert await outcome(control, request) == "refused: no run 'a'"
    await watch.aclose()
    assert carrier.faults == []


async def test_unexpected_error_ends_the_watch_and_is_told_and_is_not_met_again(control, carrier):
    carrier.fails["a"] = [ZeroDivisionError("of all things")]
    request = await control.ask_cancel(RunId("a"))
    watch = carrier.requests(control)
    watch.start()
    await carrier.faulty.wait()
    assert [type(error) for error in carrier.faults] == [ZeroDivisionError]
    assert await control.outcome_of(request) == "failed: ZeroDivisionError: of all things"
    await watch.aclose()
    again = carrier.requests(control)
    request = await control.ask_cancel(RunId("b"))
    again.start()
    assert await outcome(control, request) == "done"
    await again.aclose()
    assert len(carrier.faults) == 1


async def test_closing_finishes_the_request_that_is_being_carried_out(control, carrier):
    carrier.open.clear()
    request = await control.ask_cancel(RunId("a"))
    watch = carrier.requests(control)
    watch.start()
    await carrier.entered.wait()
    closing = asyncio.ensure_future(watch.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    carrier.open.set()
    await closing
    assert await control.outcome_of(request) == "done"
    await watch.aclose()


async def with_a_broken_watch(folder, monkeypatch, act) -> None:
    """An engine, with a run that waits, whose watch has met an error that nobody expects."""
    async with world(folder) as ours:
        run = await ours.start(approve=("plan",))
        await ours.until(run, "approval.asked")
        get = ours.app.runs.get

        async def broken(asked):
            if asked == "broken":
                raise ZeroDivisionError
            return await get(asked)

        monkeypatch.setattr(ours.app.runs, "get", broken)
        request = await ours.app.control.ask_cancel(RunId("broken"))
        assert (await outcome_of(ours, request)).startswith("failed: ")
        await ours.engine._requests.aclose()
        await act(ours, run)


async def test_engine_whose_watch_has_ended_takes_nothing_new_and_says_why_in_the_end(tmp_path, monkeypatch, caplog):
    ended = []

    async def act(ours, run) -> None:
        for refused in (ours.start(), ours.engine.resume(run), ours.engine.answer(run, "plan:1", True)):
            with pytest.raises(ZeroDivisionError):
                await refused
        await ours.engine.cancel(run)
        ended.append((await ours.end_of(run)).status)

    with pytest.raises(ZeroDivisionError):
        await with_a_broken_watch(tmp_path, monkeypatch, act)
    assert ended == ["cancelled"], "what is in hand can still be ended"
    assert "its watch for requests has ended" in caplog.text


async def test_error_on_leaving_is_not_hidden_by_one_of_the_watch(tmp_path, monkeypatch):
    async def act(ours, run) -> None:
        raise KeyError(run)

    with pytest.raises(KeyError):
        await with_a_broken_watch(tmp_path, monkeypatch, act)
