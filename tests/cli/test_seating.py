"""What a person is told of their seat at the engine: whose guest, why it stays, what holds the code."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from backend.attach.seat import Seat
from backend.cli.console import open_terminal
from backend.cli.errors import Refused
from backend.cli.seating import UnheldGuest, Wanted, check_seat, open_seat
from backend.routers.pool import POOL_EXAMPLE
from backend.store import open_store
from infrastructure.batch import Wishes
from infrastructure.batch.identity import holders_of, params_of
from infrastructure.config.settings import Paths, Settings
from infrastructure.events.catalogue import TestsRan
from infrastructure.events.catalogue.work import TestCounts
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock, Holder
from tests.attach.doors import always, answer, door
from tests.cli.conftest import Solve

HOLDER = Holder(pid=42, verb="serve", started=datetime(2026, 1, 5, tzinfo=UTC))


@pytest.fixture
def err() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(paths=Paths(data=tmp_path / "data"))


@pytest.mark.slow
def test_holder_prints_its_own_result_before_it_stays_for_others(solve: Solve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def staying(self: Seat) -> None:
        sys.stdout.write("staying\n")

    monkeypatch.setattr(Seat, "_stay_for_guests", staying)
    done = solve()
    assert done.out.startswith("diff --git a/text.py")
    assert done.out.endswith("staying\n")


@pytest.mark.parametrize(
    ("runs", "said"), [(1, "another command's run goes on in this process"), (3, "3 runs of other commands go on")]
)
async def test_why_a_holder_stays_and_what_ctrl_c_does_is_one_line(
    settings: Settings, err: io.StringIO, runs: int, said: str
) -> None:
    seat = open_seat(settings, "run", open_terminal(io.StringIO(), err))
    with seat._on_stay(runs, lambda: None):
        (line,) = err.getvalue().splitlines()
    assert said in line
    assert "Ctrl-C hands over" in line


async def test_first_ctrl_c_while_staying_hands_over(settings: Settings, err: io.StringIO) -> None:
    handed = asyncio.Event()
    seat = open_seat(settings, "run", open_terminal(io.StringIO(), err))
    with seat._on_stay(1, handed.set):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(handed.wait(), 60)
    assert err.getvalue().splitlines()[-1] == "handing over"


def test_guest_cannot_choose_the_sandbox(settings: Settings, err: io.StringIO) -> None:
    seat = open_seat(settings, "run", open_terminal(io.StringIO(), err), Wanted(sandbox="none"))
    with pytest.raises(Refused, match=r"held by `corral serve` \(process 42\)") as refused:
        seat._on_guest(HOLDER)
    assert "--data" in refused.value.hint


async def test_guest_is_refused_where_its_holder_asks_other_servers_than_it_named(settings: Settings) -> None:
    mine, other = "http://127.0.0.1:1", "http://127.0.0.1:2"
    asks = {**POOL_EXAMPLE, "servers": [{**POOL_EXAMPLE["servers"][0], "url": mine}]}
    directory = DataDirectory(settings.paths.data)
    terminal = open_terminal(io.StringIO(), io.StringIO())
    async with open_store(settings, verb="serve", on_wait=lambda _: None):
        pass  # makes the database
    with EngineLock(directory.lock, verb="serve") as lock:
        assert await asyncio.to_thread(lock.try_acquire)
        async with door(always(answer(200, asks))) as opened:
            lock.announce(opened.address)
            async with open_seat(settings, "run", terminal, Wanted(servers=frozenset({mine}))) as seat:
                await check_seat(seat, terminal)
            async with open_seat(settings, "run", terminal) as seat:
                await check_seat(seat, terminal)
            for wanted in ({other}, {mine, other}):
                with pytest.raises(Refused, match=f"--server: .*`corral serve` .* which asks {mine}$") as refused:
                    async with open_seat(settings, "run", terminal, Wanted(servers=frozenset(wanted))) as seat:
                        await check_seat(seat, terminal)
                assert "--data" in refused.value.hint


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({}, ""),
        ({"run": {"repairs": 0}}, ""),  # what a task carries
        ({"pool": {"num_predict": 77}}, r"^pool\.num_predict: .*`corral serve` .*has other values"),
        ({"sandbox": {"seconds": 7}, "model": "b"}, r"^the model and its lane, sandbox\.seconds: "),
        ({"a later version": {}}, "which is another version"),
        (None, "which is another version"),
    ],
)
async def test_guest_whose_records_would_tell_of_other_settings_than_its_holders_is_refused(
    settings: Settings, theirs: dict[str, object] | None, said: str
) -> None:
    directory = DataDirectory(settings.paths.data)
    terminal = open_terminal(io.StringIO(), io.StringIO())
    view = {} if theirs is None else {"settings": settings.model_dump(mode="json", exclude_defaults=True) | theirs}
    async with open_store(settings, verb="serve", on_wait=lambda _: None):
        pass  # makes the database
    with EngineLock(directory.lock, verb="serve") as lock:
        assert await asyncio.to_thread(lock.try_acquire)
        async with door(always(answer(200, view))) as opened:
            lock.announce(opened.address)
            wanted = Wanted(told=partial(holders_of, models=[None]))
            with pytest.raises(Refused, match=said) if said else nullcontext():
                async with open_seat(settings, "batch", terminal, wanted) as seat:
                    await check_seat(seat, terminal)
            assert [each.path for each in opened.asked] == ["/api/v1/config"]
            async with open_seat(settings, "run", terminal) as seat:
                await check_seat(seat, terminal)  # who records nothing of it may be a guest


def test_all_that_is_recorded_of_a_batch_its_tasks_carry_or_its_holder_is_asked() -> None:
    carried = {"candidates", "repairs", "rounds", "budget"}
    asked = {"lanes", "num_predict", "sandbox"}  # holders_of
    assert set(params_of(Settings(), Wishes())) == carried | asked | {"corral", "prompts"}


def test_guest_that_chose_none_is_told_whose_it_is(settings: Settings, err: io.StringIO) -> None:
    open_seat(settings, "run", open_terminal(io.StringIO(), err))._on_guest(HOLDER)
    assert "the engine is held by `corral serve` (process 42); this joins it as a guest" in err.getvalue()


def test_guest_is_warned_once_where_its_tests_ran_without_a_sandbox(settings: Settings, err: io.StringIO) -> None:
    terminal = open_terminal(io.StringIO(), err)
    guest = UnheldGuest(open_seat(settings, "run", terminal), terminal)
    ran = TestsRan(attempt=0, suite="judge", counts=TestCounts(passed=1), sandbox="landlock")
    guest.see(ran)
    assert err.getvalue() == ""
    for _ in range(2):
        guest.see(ran.model_copy(update={"sandbox": "none"}))
    assert err.getvalue().count("warning: no sandbox (level none)") == 1
