"""A seat at the engine: held, a guest's, taken over. Holders and guests are seats of this one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.attach.seat import Seat
from backend.bootstrap import Application, open_application
from infrastructure.config.settings import Settings
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver, RunNotWaiting, TaskRefused
from infrastructure.simulator import Simulator
from infrastructure.storage.errors import StorageError
from infrastructure.storage.lock import EngineLock, Holder
from infrastructure.storage.runs import RequestKey, RunState
from infrastructure.tasks import TaskSpec, request_of
from tests.attach.doors import Asked, door
from tests.engine.world import CODER, LONG, QUESTION, TASK, asked, paced, repository, settings_of, simulator, task
from tests.storage.moves import moved

LOOK = 0.01


@dataclass
class Heard:
    """What a seat tells."""

    hosts: list[Holder] = field(default_factory=list)
    held: int = 0
    stays: list[int] = field(default_factory=list)
    leaves: bool = False

    def hold(self) -> None:
        self.held += 1

    @contextmanager
    def stay(self, runs: int, leave: Callable[[], None]) -> Generator[None]:
        self.stays.append(runs)
        if self.leaves:
            leave()
        yield


def seat(settings: Settings, heard: Heard | None = None) -> Seat:
    heard = heard or Heard()
    return Seat(settings, verb="run", on_guest=heard.hosts.append, on_hold=heard.hold, on_stay=heard.stay)


@dataclass
class Place:
    settings: Settings
    repo: Path
    server: Simulator

    @property
    def lock(self) -> Path:
        return self.settings.paths.data / "engine.lock"

    def spec(self, text: str = TASK, **more: object) -> TaskSpec:
        return TaskSpec.model_validate({"task": text, "repo": self.repo, **more})

    async def prepare(self) -> None:
        """Let there be a database."""
        async with open_application(self.settings):
            pass

    async def taken(self, address: str = "") -> EngineLock:
        """The lock, held by somebody who does nothing."""
        lock = EngineLock(self.lock, verb="serve")
        assert await asyncio.to_thread(lock.try_acquire)
        if address:
            await asyncio.to_thread(lock.announce, address)
        return lock


@asynccontextmanager
async def place(folder: Path, server: Simulator | None = None) -> AsyncIterator[Place]:
    async with server or simulator(folder) as opened:
        yield Place(settings_of(folder, [opened]), repository(folder / "repo"), opened)


def slow(folder: Path) -> Simulator:
    return paced(folder, task(files={"calc.py": LONG}), tokens_per_second=1000)


async def until(watched: Seat, run: RunId, kind: str) -> None:
    async with aclosing(watched.follow(run)) as events:
        async for stored in events:
            if stored.event.kind == kind:
                return
    raise AssertionError(f"the run ended without {kind}")


# ------------------------------------------------------------------------------- here and as a guest
async def test_guest_has_the_holder_run_its_task_and_reads_the_result(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        host, visitor = Heard(), Heard()
        async with seat(here.settings, host) as holder, seat(here.settings, visitor) as guest:
            assert guest.application is None
            run = await guest.start(here.spec())
            result = await guest.result(run)
            assert (result.run, result.status) == (run, "done")
            assert [each.event.kind async for each in guest.follow(run)][-1] == "run.finished"
            assert holder.application is not None
            await holder.application.engine.result(run)  # the guest may know the end before it is put away
        assert [each.verb for each in visitor.hosts] == ["run"]
        assert (host.hosts, host.held, visitor.held, host.stays) == ([], 0, 0, [])


async def test_name_that_is_not_utf8_is_refused_to_a_guest_as_to_a_holder(tmp_path: Path) -> None:
    async with place(tmp_path) as here, seat(here.settings) as holder, seat(here.settings) as guest:
        odd = tmp_path / "caf\udce9"
        await asyncio.to_thread(odd.mkdir)
        for each in (holder, guest):
            with pytest.raises(TaskRefused, match="is not UTF-8"):
                await each.start(TaskSpec(task=TASK, repo=odd))


async def test_resuming_a_run_that_is_over_is_refused_to_a_guest_as_to_a_holder(tmp_path: Path) -> None:
    async with place(tmp_path) as here, seat(here.settings) as holder, seat(here.settings) as guest:
        run = await holder.start(here.spec(QUESTION))
        await holder.result(run)
        for each in (holder, guest):
            with pytest.raises(RunIsOver, match=r"is over \(done\)"):
                await each.resume(run)


async def test_guest_answers_a_question_once(tmp_path: Path) -> None:
    async with place(tmp_path) as here, seat(here.settings), seat(here.settings) as guest:
        run = await guest.start(here.spec(approve=("plan",)))
        await until(guest, run, "approval.asked")
        with pytest.raises(RunNotWaiting):
            await guest.answer(run, "another", approved=True)
        await guest.answer(run, "plan:1", approved=True)
        assert (await guest.result(run)).status == "done"
        with pytest.raises(RunNotWaiting):
            await guest.answer(run, "plan:1", approved=True)


async def test_guest_that_resumes_for_want_of_input_waits_for_the_new_result(tmp_path: Path) -> None:
    async with place(tmp_path) as here, seat(here.settings), seat(here.settings) as guest:
        run = await guest.start(here.spec(approve=("plan",), no_input=True))
        assert (await guest.result(run)).status == "needs_input"
        seen = [each.seq async for each in guest.follow(run)]
        await guest.resume(run)
        ending = asyncio.ensure_future(guest.result(run))
        async for stored in guest.follow(run, seen[-1]):
            if stored.event.kind == "approval.asked":
                assert not ending.done(), "the old result was taken for the new one"
                await guest.answer(run, "plan:1", approved=True)
        assert (await ending).status == "done"


async def test_key_of_a_batch_is_known_whoever_began_the_run(tmp_path: Path) -> None:
    key = RequestKey("batch-1", "the identity of a job")
    async with place(tmp_path) as here, seat(here.settings) as holder, seat(here.settings) as guest:
        assert await guest.keyed(key) is None
        run = await guest.start(here.spec(QUESTION), key)
        assert await guest.keyed(key) == await holder.keyed(key) == run
        assert await holder.start(here.spec(QUESTION), key) == run


# --------------------------------------------------------------------------------------- taking over
async def test_holder_stays_for_its_guests_run_and_no_longer(tmp_path: Path) -> None:
    async with place(tmp_path, slow(tmp_path)) as here:
        host, visitor = Heard(), Heard()
        holder = await seat(here.settings, host).__aenter__()
        async with seat(here.settings, visitor) as guest:
            run = await guest.start(here.spec())
            await holder.__aexit__(None, None, None)
            assert host.stays == [1]
            assert (await guest.result(run)).status == "done"
            assert [each.event.kind async for each in guest.follow(run)].count("run.started") == 1


async def test_holder_that_wants_to_go_hands_over_and_the_guest_goes_on(tmp_path: Path) -> None:
    async with place(tmp_path, slow(tmp_path)) as here:
        host, visitor = Heard(leaves=True), Heard()
        holder = await seat(here.settings, host).__aenter__()
        async with seat(here.settings, visitor) as guest:
            run = await guest.start(here.spec())
            await until(guest, run, "call.text")
            await holder.__aexit__(None, None, None)
            kinds = [each.event.kind async for each in guest.follow(run)]
            assert kinds.count("run.started") == 2
            assert (await guest.result(run)).status == "done"
            assert guest.application is not None
        assert (host.stays, visitor.held) == ([1], 1)


async def test_guest_that_resumed_a_run_of_nobodys_follows_it_over_a_change_of_holders(tmp_path: Path) -> None:
    async with place(tmp_path, slow(tmp_path)) as here:
        here.server.hold(CODER)
        async with open_application(here.settings) as application:
            run = await application.engine.start(here.spec())  # a command's own: no engine goes on with it by itself
            await application.engine.interrupt(run, "by a person")
        holder = await seat(here.settings, Heard(leaves=True)).__aenter__()
        async with seat(here.settings) as guest:
            await guest.resume(run)
            kinds: list[str] = []
            left = False
            async for stored in guest.follow(run):
                kinds.append(stored.event.kind)
                if not left and stored.event.kind == "call.text" and stored.execution == 2:
                    left = True
                    await holder.__aexit__(None, None, None)
                    here.server.release(CODER)
            assert (kinds.count("run.started"), kinds[-1]) == (3, "run.finished")
            assert (await guest.result(run)).status == "done"


async def test_question_open_when_the_holder_goes_is_asked_again_by_the_next(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        holder = await seat(here.settings, Heard(leaves=True)).__aenter__()
        async with seat(here.settings) as guest:
            run = await guest.start(here.spec(approve=("plan",)))
            ending = asyncio.ensure_future(guest.result(run))
            await until(guest, run, "approval.asked")
            await holder.__aexit__(None, None, None)
            asked_again: set[int] = set()
            while not ending.done():  # following anew starts over
                async for stored in guest.follow(run):
                    again = stored.event.kind == "approval.asked" and stored.execution == 2
                    if again and stored.seq not in asked_again:
                        asked_again.add(stored.seq)
                        await guest.answer(run, "plan:1", approved=True)
                await asyncio.wait([ending], timeout=LOOK)
            assert len(asked_again) == 1
            assert (await ending).status == "done"


async def test_waiting_run_that_a_killed_holder_left_asks_again_with_the_next(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        async with open_application(here.settings) as application:
            run = await application.engine.start(here.spec(approve=("plan",), guest=True))
            async with aclosing(application.engine.follow(run)) as events:
                async for stored in events:
                    if stored.event.kind == "approval.asked":
                        break
        async with open_application(here.settings) as application:
            await application.engine.interrupt(run, "by a person")
            await application.runs.begin(run, "somebody")
            await moved(application.runs, run, RunState.WAITING)  # as `kill -9` leaves it
        async with open_application(here.settings) as application:
            assert application.engine.manage_resources().live == (run,)
            async with aclosing(application.engine.follow(run)) as events:
                async for stored in events:
                    if stored.event.kind == "approval.asked" and stored.execution == 4:
                        break
            await application.engine.answer(run, "plan:1", approved=True)
            assert (await application.engine.result(run)).status == "done"


async def test_guest_is_told_of_each_new_holder(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.prepare()
        lock = await here.taken()
        hosts: list[str] = []
        changed = asyncio.Event()

        def on_guest(holder: Holder) -> None:
            hosts.append(holder.verb)
            changed.set()

        async with Seat(here.settings, verb="run", on_guest=on_guest):
            assert hosts == ["serve"]
            changed.clear()
            # As if the next one had been faster: the lock stays taken, and its file names another.
            other = Holder(pid=os.getpid(), verb="batch", started=datetime.now(UTC))
            await asyncio.to_thread(here.lock.write_text, other.model_dump_json() + "\n")
            await changed.wait()
            assert hosts == ["serve", "batch"]
        await asyncio.to_thread(lock.close)


async def test_second_command_on_a_new_data_directory_waits_until_there_is_something_to_read(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await asyncio.to_thread(here.settings.paths.data.mkdir, mode=0o700)
        lock = await here.taken()
        sitting = asyncio.ensure_future(seat(here.settings).__aenter__())
        while not await asyncio.to_thread((here.settings.paths.data / "token").exists):  # noqa: ASYNC110 - another's file
            await asyncio.sleep(LOOK)
        assert not sitting.done()
        await asyncio.to_thread(lock.close)
        taken = await sitting
        assert taken.application is not None
        await taken.__aexit__(None, None, None)


async def test_task_accepted_by_a_holder_that_dies_before_it_says_so_is_begun_once(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        accepted: list[RunId] = []
        dying: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def accept(request: Asked) -> bytes:
            spec = TaskSpec.model_validate({**(request.body or {}), "guest": True})
            accepted.append(await opened[0].engine.start(spec, request_of(request.headers["idempotency-key"], spec)))
            dying.set_result(None)
            return b""

        opened: list[Application] = []
        async with door(accept) as broken:
            async with open_application(here.settings) as application:
                opened.append(application)
                await application.announce(broken.address)
                guest = await seat(here.settings).__aenter__()
                starting = asyncio.ensure_future(guest.start(here.spec()))
                await dying
            run = await starting
        assert accepted == [run]
        assert (await guest.result(run)).status == "done"
        assert guest.application is not None
        assert [each.run for each in await guest.application.runs.list()] == [run]
        await guest.__aexit__(None, None, None)


# --------------------------------------------------------------------------------- what goes wrong
async def test_what_stands_in_the_way_of_taking_over_is_raised_to_whoever_waits(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.prepare()
        lock = await here.taken()
        async with seat(here.settings) as guest:
            starting = asyncio.ensure_future(guest.start(here.spec()))
            for name in ("checkpoints.db", "checkpoints.db-wal", "checkpoints.db-shm"):
                await asyncio.to_thread((here.settings.paths.data / name).unlink, missing_ok=True)
            await asyncio.to_thread((here.settings.paths.data / "checkpoints.db").mkdir)
            await asyncio.to_thread(lock.close)
            with pytest.raises((StorageError, OSError)):
                await starting
            with pytest.raises((StorageError, OSError)):
                await guest.result(RunId("any"))
        assert await asyncio.to_thread(lock.try_acquire), "the lock is let go all the same"
        await asyncio.to_thread(lock.close)


async def test_cancelled_while_it_waits_for_a_holder_it_leaves_nothing_behind(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.prepare()
        lock = await here.taken()

        async def visit(sat: asyncio.Event) -> None:
            async with seat(here.settings) as guest:
                sat.set()
                await guest.start(here.spec())

        sat = asyncio.Event()
        visiting = asyncio.ensure_future(visit(sat))
        await sat.wait()
        visiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await visiting
        await asyncio.to_thread(lock.close)
        assert await asyncio.to_thread(lock.try_acquire), "nobody else took it"
        await asyncio.to_thread(lock.close)
        assert asked(here.server) == 0
