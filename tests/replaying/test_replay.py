"""A run repeated from its recording: equal to the last byte, asking nobody, or the first difference is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from backend.bootstrap import open_application
from infrastructure.replaying import NotReplayable, keep_replay, play
from infrastructure.running import executing
from infrastructure.storage.blobs import sha_of
from infrastructure.storage.runs import RunState
from infrastructure.workflow.race import Lost, Race
from tests.engine.world import LONG, QUESTION, REPAIR, asked, paced, simulator, task, world
from tests.replaying.conftest import recording_of

ENDED = "work.candidate_ended"


async def recorded(folder, server=None, **spec):
    """A run to its end, and its recording."""
    async with world(folder, *([server] if server else [])) as ours:
        run = await ours.start(**spec)
        await ours.end_of(run)
        return await recording_of(ours, run)


async def equal(recording) -> None:
    replayed = await play(recording)
    assert replayed.difference == ()
    assert replayed.equal
    assert replayed.calls == len(recording.calls)


@pytest.mark.parametrize(
    "spec",
    [
        {"text": QUESTION},
        {},
        {"candidates": 3},
        {"budget": {"calls": 1}},
        {"budget": {"calls": 5}, "candidates": 3},
        {"budget": {"tokens": 1500}},
        {"budget": {"tokens": 3000}, "candidates": 2},
        {"approve": ("plan",), "no_input": True},
        {"test_command": "no-such-command"},
    ],
    ids=str,
)
async def test_replay_is_equal_and_asks_nobody(tmp_path, spec):
    server = simulator(tmp_path, first_time_right=0.0)
    async with world(tmp_path, server) as ours:
        run = await ours.start(**spec)
        await ours.end_of(run)
        before = asked(server)
        await equal(await recording_of(ours, run))
        assert asked(server) == before


async def test_recorded_winner_wins_again_and_losers_lose_where_they_did(tmp_path):
    """The losers are in the middle of their first answer when the winner passes."""
    server = paced(tmp_path, task(files={"calc.py": LONG}), tokens_per_second=900)
    recording = await recorded(tmp_path, server, candidates=3)
    outcomes = [each.event.outcome for each in recording.events if each.event.kind == "work.candidate_ended"]
    assert outcomes == ["done", "lost", "lost"]
    await equal(recording)


async def test_later_candidate_that_won_wins_again(tmp_path, monkeypatch):
    """Both are through in the same instants of a replay, whose answers are all there; in the recording the second was
    far ahead: the first did not begin before it was over."""
    over, run, won = asyncio.Event(), Race.run, Race.won

    async def late(self, place, work):
        if place.number != 1:
            return await run(self, place, work)
        work.close()
        await over.wait()
        return Lost("another passed first")

    def winning(self, round_number, number):
        over.set()
        return won(self, round_number, number)

    monkeypatch.setattr(Race, "run", late)
    monkeypatch.setattr(Race, "won", winning)
    recording = await recorded(tmp_path, candidates=3)
    monkeypatch.undo()
    ended = [(each.event.candidate, each.event.outcome) for each in recording.events if each.event.kind == ENDED]
    assert ended[0] in ((2, "done"), (3, "done"))
    assert (1, "lost") in ended
    replayed = await play(recording)
    assert replayed.difference == ()
    assert [(each.event.candidate, each.event.outcome) for each in replayed.events if each.event.kind == ENDED] == ended


@pytest.mark.parametrize("way", ["resumed", "interrupted", "cancelled"])
async def test_run_that_was_stopped_in_the_middle_is_repeated_as_far_as_it_came(tmp_path, way):
    server = simulator(tmp_path, first_time_right=0.0)
    async with world(tmp_path, server) as ours:
        server.hold(REPAIR)
        run = await ours.start(candidates=2)
        await ours.until(run, "work.diagnosis_made")
        if way == "cancelled":
            await ours.engine.cancel(run)
        else:
            await ours.engine.interrupt(run, "for a while")
        server.release(REPAIR)
        if way == "resumed":
            await ours.engine.resume(run)
        await ours.engine.result(run)
        recording = await recording_of(ours, run)
        assert recording.state == (RunState.INTERRUPTED if way == "interrupted" else RunState.FINISHED)
        await equal(recording)


async def test_answers_of_a_person_are_given_again(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("plan", "patch"), no_input=True)
        await ours.end_of(run)
        await ours.engine.answer(run, "plan:1", True, "fine")
        await ours.until(run, "work.patch_reviewed")
        while (await ours.record(run)).state is not RunState.WAITING:
            await ours.until(run, "node.waiting", "approve_patch")
        await ours.engine.answer(run, "patch:1", False, "too clever")
        result = await ours.end_of(run)
        assert result.status == "cancelled"
        await equal(await recording_of(ours, run))


async def test_repository_may_be_gone(tmp_path):
    recording = await recorded(tmp_path)
    for file in (tmp_path / "repo").iterdir():
        file.unlink()
    (tmp_path / "repo").rmdir()
    await equal(recording)


# ---------------------------------------------------------------------------------------- differences


async def test_other_question_is_told_with_its_step_and_first_line(tmp_path):
    recording = await recorded(tmp_path)
    replayed = await play(replace(recording, setup=recording.setup.model_copy(update={"task": "Implement sub"})))
    assert replayed.difference[0] == "intent#0: the intent is asked another question than in the recording"
    told = "\n".join(replayed.difference)
    assert "Implement add in calc.py" in told
    assert "Implement sub" in told


async def test_question_that_was_never_asked_is_told_with_its_step(tmp_path):
    recording = await recorded(tmp_path)
    calls = tuple(call for call in recording.calls if call.role != "planner")
    replayed = await play(replace(recording, calls=calls))
    assert replayed.difference[0].startswith("planner:1#0: the planner is asked a question that the recording does not")


async def test_other_answer_of_the_coder_leads_to_another_test_run(tmp_path):
    recording = await recorded(tmp_path)
    calls = tuple(
        replace(call, answer_json=call.answer_json.replace("a + b", "a * b")) if call.role == "coder" else call
        for call in recording.calls
    )
    replayed = await play(replace(recording, calls=calls))
    assert replayed.difference[0].startswith("run_tests:1:1 (judge): the tool is asked for something else")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"patch": "another"}, "the result differs in 'patch'"),
        ({"reason": "another"}, "the result differs in 'reason'"),
        ({"model_calls": 99}, "the result differs in 'model_calls'"),
    ],
)
async def test_other_result_is_told(tmp_path, change, said):
    recording = await recorded(tmp_path)
    replayed = await play(replace(recording, result=recording.result.model_copy(update=change)))
    assert replayed.difference[0] == said


async def test_other_event_is_told(tmp_path):
    recording = await recorded(tmp_path)
    events = tuple(
        replace(each, event=each.event.model_copy(update={"summary": "other"}))
        if each.event.kind == "work.plan_drafted"
        else each
        for each in recording.events
    )
    replayed = await play(replace(recording, events=events))
    assert replayed.difference[0].endswith("of the run differs")
    assert '"summary": "other"' in replayed.difference[1]


async def test_recorded_answer_that_nobody_asks_for_is_a_difference(tmp_path):
    recording = await recorded(tmp_path)
    extra = replace(recording.tools[0], step="nowhere:1")
    replayed = await play(replace(recording, tools=(*recording.tools, extra)))
    assert replayed.difference == (
        f"nowhere:1 ({extra.name}): the recording has it, and the replay did not ask for it",
    )


async def test_limits_of_a_test_run_may_be_others(tmp_path):
    """They say how it was carried out, not what was asked: settings may have changed before a run went on."""
    recording = await recorded(tmp_path)
    await equal(replace(recording, setup=recording.setup.model_copy(update={"seconds": 7.0})))


# --------------------------------------------------------------------------------------- what is not replayable


async def test_run_that_goes_on_is_not_replayed(tmp_path):
    server = simulator(tmp_path)
    async with world(tmp_path, server) as ours:
        server.hold("Corral's planner")
        run = await ours.start()
        await ours.until(run, "node.started", "planner")
        with pytest.raises(NotReplayable, match="goes on still"):
            await recording_of(ours, run)
        server.release("Corral's planner")
        await ours.end_of(run)


async def test_run_of_an_older_corral_is_refused_with_what_to_do(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.end_of(run)
        await ours.app.recordings._writing.write(
            lambda on: on.execute("DELETE FROM recordings WHERE run = ?", (run,)).rowcount
        )
        with pytest.raises(NotReplayable, match="older Corral") as caught:
            await recording_of(ours, run)
        assert caught.value.hint


# ------------------------------------------------------------------------------------------------- recording


async def test_every_test_run_and_every_look_outside_is_recorded(tmp_path):
    given = tmp_path / "elsewhere" / "test_given.py"
    given.parent.mkdir()
    given.write_text("import unittest\nfrom calc import add\n\n\nclass G(unittest.TestCase):\n    def test(self):\n"
                     "        self.assertEqual(add(2, 2), 4)\n")  # fmt: skip
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        run = await ours.start(tests=(given,))
        await ours.end_of(run)
        recording = await recording_of(ours, run)
    used = [(each.step, each.name) for each in recording.tools]
    expected = ["given", "plan", "judge", "advice"]
    assert [name for step, name in used if step == "run_baseline"] == expected
    assert ("tester:1", "plan") in used
    assert ("tester:1", "written") in used
    assert ("run_tests:1:1", "judge") in used
    assert ("run_tests:1:2", "judge") in used
    request = json.loads(
        recording.contents[next(each for each in recording.tools if each.name == "judge").request_blob]
    )
    assert request["limits"]["wall_seconds"] == 60
    assert request["files"]["test_given.py"] == sha_of(given.read_bytes())
    given.unlink()
    await equal(recording)


async def test_step_that_runs_again_takes_the_report_of_its_test_run(tmp_path):
    """The step is killed after its tests ran, so to say: its checkpoint is lost, the report is not."""
    async with world(tmp_path) as ours:
        run = await ours.start(approve=("patch",), no_input=True)
        await ours.end_of(run)
        before = await ours.app.recordings.tools_of(run)
        await ours.app.checkpoints.adelete_thread(run)
        await ours.engine.resume(run, no_input=True)
        await ours.engine.result(run)
        assert await ours.app.recordings.tools_of(run) == before
        again = [each async for each in ours.engine.follow(run) if each.event.kind == "work.tests_ran"]
        first = [each.event for each in again if each.execution == 1]
        assert [each.event for each in again if each.execution == 2] == first, "to the tenth of a microsecond"


async def test_run_that_was_stopped_before_its_first_step_is_replayed_as_it_began_in_the_end(tmp_path, monkeypatch):
    """What it was to begin with is kept before the graph has it; settings may be others when it goes on."""
    reached = asyncio.Event()

    async def never(*given):
        reached.set()
        await asyncio.Event().wait()

    async with world(tmp_path, candidates=2) as ours:
        with monkeypatch.context() as patch:
            patch.setattr(executing, "drive", never)
            run = await ours.start()
            await reached.wait()
            await ours.leave()
        others = ours.settings.model_copy(update={"run": ours.settings.run.model_copy(update={"candidates": 1})})
        async with open_application(others) as app:
            await app.engine.resume(run)
            assert (await app.engine.result(run)).candidates == 1
            there = replace(ours, app=app)
            assert (await play(await recording_of(there, run))).difference == ()


async def test_replay_is_kept_whole_or_not_at_all(tmp_path):
    """Whichever of its commits is the last: what is there then is a finished run."""
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.end_of(run)
        recording = await recording_of(ours, run)
        replayed = await play(recording)
        writing = ours.app.log._database._writing
        carry_out, seen = writing.carry_out, []

        def looking(connection, jobs):
            carry_out(connection, jobs)
            row = connection.execute("SELECT state FROM runs WHERE run = ?", (replayed.run,)).fetchone()
            last = connection.execute(
                "SELECT kind FROM events WHERE run = ? ORDER BY seq DESC", (replayed.run,)
            ).fetchone()
            seen.append((row, last))

        writing.carry_out = looking
        await keep_replay(recording, replayed, runs=ours.app.runs, log=ours.app.log, recordings=ours.app.recordings)
        assert set(seen) <= {(None, None), (("finished",), ("run.finished",))}
        told = await ours.app.log.read(replayed.run)
        assert [stored.event for stored in told[2:-1]] == [stored.event for stored in replayed.events]
        assert (await ours.app.runs.get(replayed.run)).execution == 1


async def test_call_keeps_what_it_took(tmp_path):
    server = paced(tmp_path, tokens_per_second=500)
    recording = await recorded(tmp_path, server)
    assert all(call.decode_seconds > 0 for call in recording.calls)
