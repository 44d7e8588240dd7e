"""What began an event, and what led to it: the real log and the fake say the same."""

import asyncio

import pytest

from infrastructure.events.catalogue import Noted, RunStarted
from infrastructure.events.causes import caused_by, correlated, correlation, is_correlation
from infrastructure.events.log import SqliteEventLog
from infrastructure.events.memory import MemoryEventLog
from infrastructure.ids import new_run_id
from infrastructure.storage.database import Database

RUN, OTHER = new_run_id(), new_run_id()
STARTED, NOTED = RunStarted(), Noted(text="x")


@pytest.fixture(params=["sqlite", "memory"])
async def log(request, tmp_path):
    if request.param == "memory":
        yield MemoryEventLog()
        return
    async with Database(tmp_path / "corral.db", window=0.001) as database:
        yield SqliteEventLog(database)


async def test_an_event_bears_what_began_it_and_what_led_to_it_and_reads_back_so(log):
    with correlated("request-1"):
        first = await log.append(RUN, 1, STARTED)
        with caused_by(first):
            second = await log.append(RUN, 1, NOTED)
    assert (first.correlation, first.causation) == ("request-1", "")
    assert (second.correlation, second.causation) == ("request-1", f"{RUN}/1")
    assert await log.read(RUN) == (first, second)


async def test_an_event_may_be_named_as_a_cause_before_it_has_its_number(log):
    with caused_by(log.post(RUN, 1, STARTED)):
        log.post(RUN, 1, NOTED)
        log.post(OTHER, 1, NOTED)
    await log.flush()
    assert (await log.read(RUN))[1].causation == f"{RUN}/1"
    assert (await log.read(OTHER))[0].causation == f"{RUN}/1"


async def test_what_goes_on_by_itself_goes_on_for_whoever_began_it(log):
    with correlated("request-1"):
        await log.append(RUN, 1, STARTED)
    assert (await log.append(RUN, 2, STARTED)).correlation == "request-1"
    with correlated("request-2"):
        assert (await log.append(RUN, 3, STARTED)).correlation == "request-2"
    assert (await log.append(OTHER, 1, STARTED)).correlation == ""


async def test_a_task_begins_with_what_its_maker_had_and_keeps_its_own():
    async def inside() -> str:
        await asyncio.sleep(0)
        return correlation()

    with correlated("outer"):
        task = asyncio.ensure_future(inside())
        with correlated("inner"):
            assert await inside() == "inner"
        assert await task == "outer"
    assert correlation() == ""


async def test_events_that_are_kept_together_bear_it_too_and_are_told_of(tmp_path):
    seen = []
    async with Database(tmp_path / "corral.db", window=0.001) as database:
        log = SqliteEventLog(database)
        log.observe(lambda stored, seconds: seen.append((stored, seconds >= 0)))
        with correlated("request-1"):
            kept = await log.keep([(RUN, NOTED), (RUN, NOTED)], lambda connection, stored: None)
    assert [each.correlation for each in kept] == ["request-1"] * 2
    assert seen == [(each, True) for each in kept]


@pytest.mark.parametrize("text", ["", " ", "a b", "a\nb", "-x", "é", "x" * 65, '"', "a\x00", "<b>"])
def test_a_strangers_word_that_would_harm_a_log_or_a_header_is_no_id(text):
    assert not is_correlation(text)


@pytest.mark.parametrize("text", ["a", "0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61", "batch-1/job:2@host+x.y_z", "x" * 64])
def test_usual_ids_are_taken(text):
    assert is_correlation(text)
