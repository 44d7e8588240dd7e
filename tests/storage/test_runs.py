from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.ids import RunId, new_run_id
from infrastructure.storage.database import Database, ReadOnlyDatabase
from infrastructure.storage.runs import (
    MOVES,
    AmbiguousRun,
    IllegalMove,
    RunExists,
    RunReader,
    RunState,
    RunStore,
    UnknownRun,
)
from tests.storage.moves import finished, moved

START = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.time = START

    def __call__(self):
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "corral.db", window=0) as database:
        yield database


@pytest.fixture
def runs(database):
    return RunStore(database, Clock())


async def add(runs, run=None):
    run = RunId(run) if run else new_run_id()
    return await runs.create(run=run, thread=run, task="do it", repo="/repo", request_json='{"a": 1}')


async def bring_to(runs, run, state):
    """Take a new run to a state by legal moves."""
    if state is RunState.FINISHED:
        await finished(runs, run, "failed", "none", "{}")
    elif state is not RunState.QUEUED:
        await runs.begin(run, "me")
        if state is not RunState.RUNNING:
            await moved(runs, run, state)


async def test_new_run_is_queued_and_reads_back_as_it_was_created(runs):
    created = await add(runs)
    assert created == await runs.get(created.run)
    assert created.state is RunState.QUEUED
    assert (created.created, created.started, created.ended) == (START + timedelta(seconds=1), None, None)
    assert created.created.tzinfo is UTC
    assert created.execution == 0


async def test_id_is_taken_only_once(runs):
    created = await add(runs)
    with pytest.raises(RunExists):
        await add(runs, created.run)


async def test_half_a_character_in_a_task_is_replaced_not_refused(runs):
    run = new_run_id()
    await runs.create(run=run, thread=run, task="caf\udce9", repo="/r", request_json="{}")
    assert (await runs.get(run)).task == "caf?"
    assert (await moved(runs, run, RunState.INTERRUPTED, reason="no file \udce9")).reason == "no file ?"


async def test_run_is_found_by_a_prefix_that_only_it_has(runs):
    await add(runs, "0198aa-1")
    await add(runs, "0198ab-2")
    assert (await runs.get("0198ab")).run == "0198ab-2"


async def test_prefix_that_several_have_names_them_newest_first(runs):
    await add(runs, "0198aa-1")
    await add(runs, "0198ab-2")
    with pytest.raises(AmbiguousRun) as ambiguous:
        await runs.get("0198a")
    assert ambiguous.value.matches == ("0198ab-2", "0198aa-1")


async def test_whole_id_wins_over_longer_ones_that_begin_with_it(runs):
    for run in ("a", "ab", "ac"):
        await add(runs, run)
    assert (await runs.get("a")).run == "a"


async def test_whole_id_is_found_even_among_very_many_longer_ones(runs):
    await add(runs, "a")
    for number in range(12):
        await add(runs, f"a{number:02}")
    assert (await runs.get("a")).run == "a"


@pytest.mark.parametrize("asked", ["", "zz", "%", "_", "a' OR 1=1 --", "ü"])
async def test_what_is_no_id_finds_nothing(runs, asked):
    await add(runs, "0198aa-1")
    with pytest.raises(UnknownRun):
        await runs.get(asked)


async def test_list_is_newest_first_and_pages_by_the_last_one_seen(runs):
    made = [(await add(runs)).run for _ in range(5)]
    first = await runs.list(limit=2)
    second = await runs.list(limit=10, before=first[-1].run)
    assert [record.run for record in (*first, *second)] == made[::-1]


async def test_unfinished_are_all_but_the_finished_oldest_first(runs):
    made = {state: (await add(runs)).run for state in RunState}
    for state, run in made.items():
        await bring_to(runs, run, state)
    assert [record.state for record in await runs.unfinished()] == [
        state for state in RunState if state is not RunState.FINISHED
    ]


@pytest.mark.parametrize("wanted", [state for state in RunState if state is not RunState.FINISHED])
@pytest.mark.parametrize("state", list(RunState))
async def test_run_moves_only_where_it_may(runs, state, wanted):
    run = (await add(runs)).run
    await bring_to(runs, run, state)
    before = await runs.get(run)
    if wanted in MOVES[state] or wanted is state is not RunState.FINISHED:
        assert (await moved(runs, run, wanted, reason="why")).state is wanted
        assert (await runs.get(run)).reason == "why"
    else:
        with pytest.raises(IllegalMove):
            await moved(runs, run, wanted)
        assert await runs.get(run) == before


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.FINISHED])
async def test_run_finishes_from_every_state_and_only_once(runs, state):
    run = (await add(runs)).run
    await bring_to(runs, run, state)
    done = await finished(runs, run, "done", "given", '{"patch": "x"}')
    assert (done.state, done.status, done.judge, done.result_json) == ("finished", "done", "given", '{"patch": "x"}')
    assert done.ended is not None
    assert done.ended > done.created
    with pytest.raises(IllegalMove):
        await finished(runs, run, "failed", "none", "{}")
    with pytest.raises(IllegalMove):
        await runs.begin(run, "me")
    assert await runs.get(run) == done


async def test_finish_without_a_status_is_refused(runs):
    run = (await add(runs)).run
    with pytest.raises(ValueError, match="status"):
        await moved(runs, run, RunState.FINISHED)
    assert (await runs.get(run)).state is RunState.QUEUED


async def test_each_beginning_counts_and_the_first_start_stays(runs):
    run = (await add(runs)).run
    assert await runs.begin(run, "first") == 1
    first = await runs.get(run)
    await moved(runs, run, RunState.INTERRUPTED, reason="its user stopped it")
    assert await runs.begin(run, "second") == 2
    again = await runs.get(run)
    assert (again.state, again.owner, again.execution, again.reason) == ("running", "second", 2, "")
    assert again.started == first.started


async def test_what_a_run_came_to_is_void_when_it_goes_on(runs):
    run = (await add(runs)).run
    await runs.begin(run, "me")
    await moved(runs, run, RunState.WAITING, reason="asks", status="needs_input", judge="none", result_json="{}")
    await runs.begin(run, "me")
    again = await runs.get(run)
    assert (again.reason, again.status, again.judge, again.result_json) == ("", "", "", "")


async def test_run_of_a_killed_owner_can_be_begun_again(runs):
    run = (await add(runs)).run
    await runs.begin(run, "killed")
    assert await runs.begin(run, "next") == 2


async def test_unknown_run_cannot_be_changed(runs):
    run = new_run_id()
    for change in (runs.begin(run, "me"), finished(runs, run, "done", "", ""), runs.remove(run)):
        with pytest.raises(UnknownRun):
            await change


async def test_only_a_finished_run_is_removed(runs):
    run = (await add(runs)).run
    with pytest.raises(IllegalMove):
        await runs.remove(run)
    await finished(runs, run, "cancelled", "none", "{}")
    await runs.remove(run)
    assert await runs.list() == ()


async def test_another_process_reads_the_table(runs, tmp_path):
    created = await add(runs)
    async with ReadOnlyDatabase(tmp_path / "corral.db") as database:
        reader = RunReader(database)
        assert await reader.get(created.run[:20]) == created
        assert await reader.unfinished() == await reader.list() == (created,)
