"""Servers that come, go and are full while runs go on."""

from __future__ import annotations

from infrastructure.events.catalogue import CallCompleted, CallPlaced, CallRestarted
from infrastructure.simulator import Outcome
from tests.engine.world import CODER, LONG, paced, simulator, task, world


async def test_run_finishes_on_the_other_server_when_one_dies_in_the_middle_of_an_answer(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    known = task(files={"calc.py": LONG})
    servers = [paced(tmp_path / name, known, num_parallel=1) for name in ("one", "two")]
    async with world(tmp_path / "world", *servers) as ours:
        for server in servers:
            server.hold(CODER)
        run = await ours.start()
        placed = await ours.until(run, "call.placed", "write")
        dying = servers[int(placed.server.removeprefix("gpu"))]
        await dying.truth.until(lambda truth: any(each.first_token_at is not None for each in truth.in_slots()))
        await dying.stop()
        next(server for server in servers if server is not dying).release(CODER)
        result = await ours.end_of(run)
        assert (result.status, result.attempts) == ("done", 1)
        other = next(server for server in servers if server is not dying)
        written = [event for event in ours.events(CallCompleted) if event.call == "write:1:1#0"]
        assert [event.server for event in written] == [f"gpu{servers.index(other)}"]
        assert [event.call for event in ours.events(CallRestarted)] == ["write:1:1#0"]
        places = [event.server for event in ours.events(CallPlaced) if event.call == "write:1:1#0"]
        assert (places[0], places[-1]) == (placed.server, written[0].server)


async def test_runs_share_both_servers(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    servers = [paced(tmp_path / name, num_parallel=1) for name in ("one", "two")]
    async with world(tmp_path / "world", *servers) as ours:
        for server in servers:
            server.hold(CODER)
        runs = [await ours.start() for _ in range(4)]
        for server in servers:
            await server.truth.until(lambda truth: bool(truth.in_slots()))
        for server in servers:
            server.release(CODER)
        assert {(await ours.engine.result(run)).status for run in runs} == {"done"}


async def test_candidate_that_lost_lets_go_of_its_slot(tmp_path):
    """One candidate's answer is short and right, the others' are endless: they are cut off when it has passed."""
    server = paced(tmp_path, task(files={"calc.py": LONG}))
    async with world(tmp_path, server) as ours:
        result = await ours.run(candidates=3)
        assert result.status == "done"
        await server.truth.until(lambda truth: not truth.in_slots())
        lost = [record for record in server.truth.requests if record.outcome is Outcome.CANCELLED]
        assert all(record.tokens_after_leaving <= 2 for record in lost)


async def test_when_no_server_answers_any_more_the_run_ends_as_an_error_and_can_be_seen(tmp_path):
    async with world(tmp_path, simulator(tmp_path)) as ours:
        run = await ours.start(approve=("plan",))
        await ours.until(run, "approval.asked")
        await ours.simulators[0].stop()
        await ours.engine.answer(run, "plan:1", True)
        result = await ours.end_of(run)
        assert (result.status, result.exit_code) == ("error", 3)
        assert result.error.error_class
        assert result.error.hint
        assert ours.kinds()[-1] == "run.finished"
        assert (await ours.engine.result(run)) == result
