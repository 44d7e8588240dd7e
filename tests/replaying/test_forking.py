"""A run that begins as another did: recorded up to a step, live from there, with one thing changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from infrastructure.events.catalogue import CallCompleted, CallReplayed
from infrastructure.replaying import play
from infrastructure.running.forking import UnknownStep, prefix_of
from infrastructure.storage.runs import RunState
from infrastructure.storage.steps import steps_of
from infrastructure.tasks import Fork
from tests.engine.world import QUESTION, asked, simulator, task, world
from tests.replaying.conftest import recording_of

HOUR = timedelta(hours=1)


async def forked(ours, run, step, *, temperature=None, **changes):
    """A fork to its end: its id, its result, and the calls that were answered from the record and live."""
    spec = {"fork": Fork(run=run, step=step, temperature=temperature), **changes}
    new = await ours.start(**spec)
    result = await ours.end_of(new)
    taken = [event.call for event in ours.events(CallReplayed)]
    return new, result, taken, [event.call for event in ours.events(CallCompleted)]


async def test_up_to_the_step_answers_are_recorded_and_from_there_on_live(tmp_path):
    server = simulator(tmp_path, first_time_right=0.0)
    async with world(tmp_path, server) as ours:
        run = await ours.start()
        first = await ours.end_of(run)
        before = asked(server)
        _, result, taken, live = await forked(ours, run, "write:1:2")
        assert taken == ["intent#0", "planner:1#0", "tester:1#0", "write:1:1#0", "debugger:1:1#0"]
        assert live[0] == "write:1:2#0"
        assert asked(server) == before + len(live)
        assert (result.status, result.patch) == ("done", first.patch)


async def test_fork_can_be_replayed_as_any_run(tmp_path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        run = await ours.start()
        await ours.end_of(run)
        new, *_ = await forked(ours, run, "planner:1", temperature=0.9)
        assert (await play(await recording_of(ours, new))).difference == ()


async def test_other_temperature_holds_for_every_role_from_the_step_on(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.end_of(run)
        new, _, taken, live = await forked(ours, run, "tester:1", temperature=1.5)
        assert taken == ["intent#0", "planner:1#0"]
        recording = await recording_of(ours, new)
        asked_at = {
            call.step: b'"temperature": 1.5' in recording.contents[call.request_blob] for call in recording.calls
        }
        assert [step for step, changed in asked_at.items() if changed] == [call.partition("#")[0] for call in live]


async def test_other_task_applies_from_the_step_on(tmp_path):
    server = simulator(
        tmp_path, task(), {"id": "other", "prompt": "Implement sum in calc.py", "files": {"calc.py": "x = 1\n"}}
    )
    async with world(tmp_path, server) as ours:
        run = await ours.start()
        await ours.end_of(run)
        new, _, taken, live = await forked(ours, run, "planner:1", text="Implement sum in calc.py")
        assert taken == ["intent#0"]
        assert "planner:1#0" in live
        assert (await play(await recording_of(ours, new))).difference == ()


async def test_more_candidates_from_the_step_on(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.end_of(run)
        _, result, _, _ = await forked(ours, run, "write:1:1", candidates=3)
        assert result.candidates == 3


async def test_fork_needs_no_repository(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.end_of(run)
        shutil.rmtree(ours.repo)
        _, result, _, _ = await forked(ours, run, "planner:1")
        assert result.status == "done"


async def test_answers_of_a_person_before_the_step_hold(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan",), no_input=True)
        await ours.end_of(run)
        await ours.engine.answer(run, "plan:1", True, "fine")
        await ours.engine.result(run)
        while (await ours.record(run)).state is not RunState.FINISHED:
            await ours.until(run, "run.finished")
        _, result, _, _ = await forked(ours, run, "write:1:1", approve=("plan",), no_input=True)
        assert result.status == "done", "nobody was asked again"


@pytest.mark.parametrize("step", ["tester:1", "run_tests:1:1", "write:1:2", "run_tests:1:2"])
async def test_clock_that_was_put_back_takes_nothing_from_a_fork(tmp_path, step):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        run = await ours.start(approve=("plan",), no_input=True)
        await ours.end_of(run)
        await ours.engine.answer(run, "plan:1", True, "fine")
        while (await ours.record(run)).state is not RunState.FINISHED:
            await ours.until(run, "run.finished")
        recording = await recording_of(ours, run)
        right = prefix_of(recording, step)
        assert {"intent", "planner:1"} <= {name for name, _ in right.calls}
        assert step not in {name for name, _ in (*right.calls, *right.tools)}
        assert ("run_tests:1:1" in {name for name, _ in right.tools}) is (step in ("write:1:2", "run_tests:1:2"))
        for kept in range(1, len(recording.calls)):
            back = recording.calls[kept].started
            crooked = replace(
                recording,
                calls=[put_back(each, back) for each in recording.calls],
                tools=[put_back(each, back) for each in recording.tools],
                events=[each if each.at < back else replace(each, at=each.at - HOUR) for each in recording.events],
            )
            found = prefix_of(crooked, step)
            assert (found.calls.keys(), found.tools.keys(), found.decided) == (
                right.calls.keys(), right.tools.keys(), {"plan:1": (True, "fine")},
            )  # fmt: skip
            assert [each.step for each in steps_of(crooked.calls, ())] == [
                each.step for each in steps_of(recording.calls, ())
            ]


def put_back(used, instant):
    """The same, if it was before that instant, else an hour earlier."""
    return used if used.started < instant else replace(used, started=used.started - HOUR, ended=used.ended - HOUR)


async def test_unknown_step_is_refused_with_those_there_are(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(text=QUESTION)
        await ours.end_of(run)
        recording = await recording_of(ours, run)
        with pytest.raises(UnknownStep, match="has no step 'planner:1'") as caught:
            prefix_of(recording, "planner:1")
        assert "intent, responder" in caught.value.hint
