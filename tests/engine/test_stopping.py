"""Stopping a run, for good or for a while, from here or from elsewhere; and two programs on one data directory."""

from __future__ import annotations

import asyncio

from backend.bootstrap import open_application
from backend.readers import open_readers
from infrastructure.events.log import follow_file
from infrastructure.simulator import Outcome
from infrastructure.storage.runs import RunState
from infrastructure.tasks import TaskSpec
from tests.engine.world import LONG, REPAIR, TASK, asked, paced, repository, settings_of, simulator, task, world


def speaking(truth) -> bool:
    """Whether a model is in the middle of an answer."""
    return any(record.first_token_at is not None for record in truth.in_slots())


async def in_the_repair(ours) -> str:
    """A run whose first answer was wrong and whose second is being spoken: until `REPAIR` is released."""
    ours.simulators[0].hold(REPAIR)
    run = await ours.start()
    await ours.until(run, "work.diagnosis_made")
    await ours.simulators[0].truth.until(speaking)
    return run


async def outcome_of(ours, request: int) -> str:
    """What came of a request; it is written right after it was carried out."""
    while (outcome := await ours.app.control.outcome_of(request)) is None:
        pass
    return outcome


def long_repair(folder, **settings):
    return paced(folder, task(files={"calc.py": LONG}), first_time_right=0.0, **settings)


async def test_cancelled_run_stops_the_model_within_two_tokens_and_keeps_its_patch(tmp_path):
    server = long_repair(tmp_path, tokens_per_second=200)
    async with world(tmp_path, server) as ours:
        run = await in_the_repair(ours)
        speaker = server.truth.in_slots()[-1]
        server.release(REPAIR)  # it goes on for twenty seconds
        await ours.engine.cancel(run)
        await server.truth.until(lambda truth: not truth.in_slots())
        assert speaker.outcome is Outcome.CANCELLED
        assert speaker.tokens_after_leaving <= 2
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, result.reason) == ("cancelled", 130, "cancelled by a person")
        assert ours.kinds()[-1] == "run.finished"
        assert (await ours.record(run)).state is RunState.FINISHED
        before = asked(server)
        again = await ours.run(candidates=1, budget=None, repairs=0)
        assert again.status in ("done", "failed"), "the server is free for the next run"
        assert asked(server) > before


async def test_cancel_from_another_process_reaches_the_run(tmp_path):
    server = long_repair(tmp_path)
    async with world(tmp_path, server) as ours:
        run = await in_the_repair(ours)
        request = await ours.app.control.ask_cancel(run)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code) == ("cancelled", 130)
        await server.truth.until(lambda truth: not truth.in_slots())
        assert await outcome_of(ours, request) == "done"


async def test_cancel_of_what_is_over_is_refused_in_words(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run()
        request = await ours.app.control.ask_cancel(result.run)
        assert (await outcome_of(ours, request)).startswith("refused: ")


async def test_interrupted_run_goes_on_from_its_last_step(tmp_path):
    server = long_repair(tmp_path)
    async with world(tmp_path, server) as ours:
        run = await in_the_repair(ours)
        before = asked(server)
        await ours.engine.interrupt(run, "stopped by its user")
        result = await ours.end_of(run)
        assert (result.status, result.exit_code, result.reason) == ("cancelled", 130, "stopped by its user")
        assert ours.kinds()[-1] == "run.interrupted"
        record = await ours.record(run)
        assert (record.state, record.reason) == (RunState.INTERRUPTED, "stopped by its user")
        assert (await ours.engine.result(run)).reason == "stopped by its user"
        server.release(REPAIR)
        await ours.engine.resume(run)
        result = await ours.end_of(run)
        assert (result.status, result.attempts) == ("done", 2)
        after = [stored for stored in ours.seen if stored.execution == 2]
        assert next(stored.event.node for stored in after if stored.event.kind == "node.started") == "coder"
        inner = [stored.event.node for stored in after if stored.event.kind == "node.started"]
        assert inner[:2] == ["coder", "write"], "the candidate goes on inside"
        assert asked(server) == before + 2, "only the broken-off answer and the review are asked for"


async def test_interrupting_or_cancelling_twice_at_once_is_once(tmp_path):
    server = long_repair(tmp_path)
    async with world(tmp_path, server) as ours:
        run = await in_the_repair(ours)
        await asyncio.gather(ours.engine.interrupt(run, "one"), ours.engine.interrupt(run, "two"))
        await ours.end_of(run)
        assert ours.kinds().count("run.interrupted") == 1
        assert (await ours.record(run)).reason == "one"


async def test_cancel_after_an_interruption_still_ends_the_run_for_good(tmp_path):
    server = long_repair(tmp_path)
    async with world(tmp_path, server) as ours:
        run = await in_the_repair(ours)
        await asyncio.gather(ours.engine.interrupt(run, "one"), ours.engine.cancel(run))
        assert (await ours.record(run)).status == "cancelled"
        assert (await ours.record(run)).state is RunState.FINISHED


async def test_leaving_the_application_interrupts_what_runs(tmp_path):
    server = long_repair(tmp_path)
    async with server:
        settings, repo = settings_of(tmp_path, [server]), repository(tmp_path / "repo")
        server.hold(REPAIR)
        async with open_application(settings) as app:
            run = await app.engine.start(TaskSpec(task=TASK, repo=repo))
            async for stored in app.engine.follow(run):
                if stored.event.kind == "work.diagnosis_made":
                    break
            await server.truth.until(speaking)
        async with open_readers(settings) as readers:
            record = await readers.runs.get(run)
            assert (record.state, record.reason) == (RunState.INTERRUPTED, "the engine was shut down")
            events = [stored async for stored in follow_file(readers.database, run, ends_when_interrupted=True)]
            assert events[-1].event.kind == "run.interrupted"
        server.release(REPAIR)
        async with open_application(settings) as app:
            await app.engine.resume(run)
            assert (await app.engine.result(run)).status == "done"


async def test_second_program_waits_for_the_first_and_then_goes_on(tmp_path):
    async with world(tmp_path) as ours:
        waiting: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def on_wait(holder) -> None:
            if not waiting.done():  # told again when the holder has taken its name back and still holds
                waiting.set_result(holder)

        async def second() -> str:
            async with open_application(ours.settings, verb="batch", on_wait=on_wait) as app:
                run = await app.engine.start(TaskSpec(task=TASK, repo=ours.repo))
                return (await app.engine.result(run)).status

        other = asyncio.create_task(second())
        holder = await waiting
        assert (holder.verb, other.done()) == ("run", False)
        assert (await ours.run()).status == "done", "the holder works on"
        await ours.leave()
        assert await other == "done"


async def test_readers_need_no_lock(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run()
        async with open_readers(ours.settings) as readers:
            assert (await readers.runs.get(result.run)).status == "done"
            assert (await asyncio.to_thread(readers.holder)).verb == "run"
            seen = [stored async for stored in follow_file(readers.database, result.run)]
            assert seen == ours.seen


async def test_one_instant_server_is_enough_for_many_runs_at_once(tmp_path):
    async with world(tmp_path, simulator(tmp_path, num_parallel=1)) as ours:
        runs = [await ours.start() for _ in range(4)]
        results = [await ours.engine.result(run) for run in runs]
        assert {result.status for result in results} == {"done"}
        assert len(set(runs)) == 4
