"""`kill -9` of whoever holds the engine, once and again: the others go on, and nothing is done or counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from infrastructure.events.catalogue import CallCompleted, CallQueued, RunStarted
from infrastructure.ids import RunId
from tests.attach.commands import CODER, INTENT, PLANNER, PROBLEMS, Bench, Command, bench

pytestmark = pytest.mark.slow


async def killed(made: Bench, holder: Command, rest: list[Command]) -> Command:
    """Kill the holder, which leaves the rest; the one of them that holds the engine then."""
    await holder.kill()
    rest.remove(holder)
    return await made.held_by(*(command for command in rest if command.process.returncode is None))


async def assert_nothing_asked_twice(made: Bench, run: RunId) -> None:
    """The run was begun more than once, and what had been answered before was not asked again."""
    answered: set[str] = set()
    before = begun = 0
    for each in await made.events(run):
        match each.event:
            case RunStarted():
                begun, before = begun + 1, len(answered)
            case CallQueued() as asked:
                assert asked.call not in answered, "a recorded answer was not used"
            case CallCompleted() as call:
                answered.add(call.call)
    assert begun > 1
    assert before > 0, "no answer was there when it was begun again"


async def assert_each_job_counted_once(made: Bench, runs: Iterable[str]) -> None:
    """Every job has one record, and there are no runs but those of the jobs and these."""
    assert Counter(record["job_id"] for record in made.records) == Counter(each.task_id for each in PROBLEMS)
    rows = await made.rows()
    assert len(rows) == len(PROBLEMS) + len(set(runs))
    assert {record["run"] for record in made.records} == {row.run for row in rows} - set(runs)


async def test_holder_killed_and_the_next_one_too_and_all_finish(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(PLANNER)
        made.simulator.hold(CODER)
        first = await made.run()
        await first.event("call.completed")
        second, batch = await made.run(), await made.batch("--at-once", "2", "--output", "json")
        for guest in (second, batch):
            await guest.says("joins it as a guest")
        await made.until_rows(4)  # two runs, and two jobs at once
        runs = (await first.run(), await second.run())
        await second.event("call.completed")

        left = [first, second, batch]
        holder = await killed(made, first, left)
        made.simulator.release(PLANNER)
        await made.until(runs[1], "call.completed", after=(await made.until(runs[1], "run.interrupted")).seq)
        await killed(made, holder, left)
        made.simulator.release(CODER)
        for command in left:
            assert await command.ended() == 0, command.text

        if holder is batch:
            batch = await made.batch("--output", "json")
            assert await batch.ended() == 0, batch.text
        assert batch.result["statuses"] == {"done": len(PROBLEMS)}
        resumed = await made.command("resume", runs[0], "--output", "json")
        assert await resumed.ended() == 0, resumed.text
        for run in runs:
            await assert_nothing_asked_twice(made, run)
            assert (await made.row(run)).status == "done"
        await assert_each_job_counted_once(made, runs)
        assert made.simulator.truth.most_at_once() == 2


async def test_guest_takes_over_with_what_its_run_had_got(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(CODER)
        holder = await made.run()
        await made.held_by(holder)
        guest = await made.run()
        run = await guest.run()
        await made.until(run, "call.completed")
        await holder.kill()
        made.simulator.release(CODER)
        assert await guest.ended() == 0, guest.text
        assert "the holder is gone; this process holds the engine now" in guest.text
        assert guest.result["status"] == "done"
        await assert_nothing_asked_twice(made, run)
        *seen, _ = guest.documents
        assert [each["seq"] for each in seen] == list(range(1, len(seen) + 1)), "a pause loses and repeats nothing"


async def test_guest_that_resumed_a_run_of_nobodys_goes_on_with_it_when_the_holder_is_killed(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(INTENT)
        alone = await made.run()
        run = await alone.run()
        await alone.event("call.text")
        await alone.kill()
        made.simulator.hold(CODER)
        made.simulator.release(INTENT)
        holder = await made.run()
        await made.held_by(holder)
        resumed = await made.command("resume", run, "--output", "ndjson")
        await resumed.event("call.completed")
        await holder.kill()
        made.simulator.release(CODER)
        assert await resumed.ended() == 0, resumed.text
        assert resumed.result["status"] == "done"
        await assert_nothing_asked_twice(made, run)


async def test_batch_that_is_killed_as_a_guest_and_outlives_its_next_holder_counts_each_job_once(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(CODER)
        holder = await made.run()
        await made.held_by(holder)
        batch = await made.batch("--at-once", "2")
        await batch.says("joins it as a guest")
        await made.until_rows(3)
        await batch.kill()
        # What was begun at another's door is known by its key: as a guest again, and as the holder in the end.
        again = await made.batch("--at-once", "2")
        await again.says("joins it as a guest")
        await again.says("going on")
        await holder.kill()
        made.simulator.release(CODER)
        assert await again.ended() == 0, again.text
        assert "holds the engine now" in again.text
        await assert_each_job_counted_once(made, [await holder.run()])
