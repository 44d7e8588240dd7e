"""Two commands on one data directory: whose engine it is, who stays, who goes, and what is said."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from infrastructure.simulator import Outcome
from tests.attach.commands import JOB, Bench, Command, bench
from tests.engine.world import QUESTION, RIGHT, TASK

pytestmark = pytest.mark.slow


async def a_holder_that_stays(made: Bench) -> tuple[Command, Command]:
    """A holder whose own run is done, and the guest in the middle of an answer for which it stays."""
    made.simulator.hold(QUESTION)
    made.simulator.hold(TASK)
    holder = await made.run(task=QUESTION, output="json")
    await made.held_by(holder)
    guest = await made.run()
    await guest.event("call.text")
    made.simulator.release(QUESTION)
    await holder.says("staying, since another command's run goes on")
    return holder, guest


def most_at_once(made: Bench) -> int:
    return made.simulator.truth.most_at_once()


async def test_second_run_is_a_guest_and_both_share_one_queue(tmp_path: Path) -> None:
    async with bench(tmp_path, num_parallel=1) as made:
        made.simulator.hold(TASK)
        first = await made.run()
        await first.event("call.text")
        second, third = await made.run(), await made.run()
        for guest in (second, third):
            said = await guest.says("joins it as a guest")
            assert f"`corral run` (process {first.pid})" in said
            await guest.event("call.queued")
        made.simulator.release(TASK)
        codes = [await command.ended() for command in (first, second, third)]
        assert codes == [0, 0, 0], (first.text, second.text, third.text)
        assert "staying, since" in first.text
        assert {command.result["run"] for command in (first, second, third)} == {row.run for row in await made.rows()}
        for command in (first, second, third):
            assert command.result["status"] == "done"
            assert "+    return a + b" in command.result["patch"]
            assert command.result["tests"] == {"passed": 1, "failed": 0, "errors": 0, "skipped": 0}
        assert most_at_once(made) == 1
        assert all(request.outcome is Outcome.DONE for request in made.simulator.truth.requests), "one was refused"


async def test_guest_prints_the_document_that_it_would_print_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        alone = await made.run(output="json")
        assert await alone.ended() == 0
        first = await made.run(task="Another task that nobody knows", output="ndjson")
        await made.held_by(first)
        guest = await made.run(output="json")
        assert await guest.ended() == 0
        own = {"run", "seconds", "gpu_seconds"}
        assert {name: value for name, value in guest.result.items() if name not in own} == {
            name: value for name, value in alone.result.items() if name not in own
        }
        assert list(guest.result) == list(alone.result)


async def test_guest_shows_the_same_events_in_the_same_order_as_the_log(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        first = await made.run()
        await first.event("call.text")
        guest = await made.run()
        await guest.ended()
        *seen, _ = guest.documents
        logged = await made.events(await guest.run())
        assert [(each["seq"], each["kind"]) for each in seen] == [(each.seq, each.event.kind) for each in logged]


async def test_holder_whose_run_is_done_stays_for_its_guest_and_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        holder, guest = await a_holder_that_stays(made)
        assert holder.out, "its own document is printed before it stays"
        made.simulator.release(TASK)
        assert await guest.ended() == 0
        assert await holder.ended() == 0
        assert len([line for line in holder.err if "staying" in line]) == 1
        assert "holds the engine now" not in guest.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_while_it_stays_hands_over_and_keeps_its_own_exit_code(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with bench(tmp_path, slots=2) as made:
        holder, guest = await a_holder_that_stays(made)
        holder.send(number)
        made.simulator.release(TASK)
        assert await holder.ended() == 0, holder.text
        assert holder.result["status"] == "done"
        assert len(holder.out) == 1
        assert not [word for word in ("Traceback", "never retrieved") if word in holder.text], holder.text
        assert await guest.ended() == 0, guest.text
        assert "this process holds the engine now" in guest.text
        kinds = [each["kind"] for each in guest.documents[:-1]]
        assert kinds.count("run.started") == 2
        assert kinds[-1] == "run.finished"


async def test_ctrl_c_of_the_holders_own_run_leaves_the_guest_alone(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(TASK)
        holder = await made.run()
        await holder.event("call.text")
        guest = await made.run()
        await guest.event("call.text")
        holder.send(signal.SIGINT)
        await holder.says("staying, since another command's run goes on")
        assert holder.result["exit_code"] == 130
        made.simulator.release(TASK)
        assert await guest.ended() == 0
        assert await holder.ended() == 130
        assert [each["kind"] for each in guest.documents[:-1]].count("run.started") == 1
        assert (await made.row(await holder.run())).state == "interrupted"


async def test_ctrl_c_of_a_guest_stops_its_own_run_only_and_resume_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(TASK)
        holder = await made.run()
        await holder.event("call.text")
        guest = await made.run()
        run = await guest.run()
        await guest.event("call.text")
        guest.send(signal.SIGINT)
        assert await guest.ended() == 130
        assert guest.result["exit_code"] == 130
        assert f"corral resume {run}" in guest.text
        made.simulator.release(TASK)
        resumed = await made.command("resume", run, "--output", "json")
        assert await resumed.ended() == 0, resumed.text
        assert resumed.result["status"] == "done"
        assert resumed.result["run"] == run
        assert await holder.ended() == 0


async def test_guest_applies_its_patch_and_leaves_the_receipt(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.simulator.hold(TASK)
        holder = await made.run()
        await holder.event("call.text")
        guest = await made.run("--apply")
        await guest.says("joins it as a guest")
        made.simulator.release(TASK)
        assert await guest.ended() == 0, guest.text
        assert "applied: calc.py" in guest.text
        assert (made.repo / "calc.py").read_text() == RIGHT
        await holder.ended()
        again = await made.command("apply", guest.result["run"])
        assert await again.ended() == 0
        assert "as wanted before: calc.py" in again.text


REFUSALS = {
    "a folder that is gone": ("--repo", "gone"),
    "a test command that cannot be read": ("--test-command", "pytest 'open"),
    "a model that no server has": ("--model", "nobody-has-it"),
    "a model in the cloud": ("--model", "big:cloud"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_guest_is_refused_as_it_would_be_alone(tmp_path: Path, name: str) -> None:
    option, value = REFUSALS[name]
    asked = {"--repo": str(tmp_path / "repo"), "--model": "oracle"} | {option: value}
    words = ["run", "Implement add in calc.py", "--output", "json"]
    words += [word for pair in asked.items() for word in pair]
    async with bench(tmp_path) as made:
        alone = await made.command(*words)
        code = await alone.ended()
        assert code in (2, 3)
        made.simulator.hold(TASK)
        holder = await made.run()
        await holder.event("call.text")
        guest = await made.command(*words)
        assert await guest.ended() == code, guest.text
        own = {"run", "seconds", "gpu_seconds"}
        assert {**guest.result, **dict.fromkeys(own)} == {**alone.result, **dict.fromkeys(own)}
        assert [line for line in guest.err if "error" in line or "→" in line] == [
            line.replace(alone.result["run"] or " ", guest.result["run"] or " ")
            for line in alone.err
            if "error" in line or "→" in line
        ]


async def test_without_a_server_a_guest_is_refused_as_it_would_be_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        options = ["--data", str(made.data), "--server", "http://127.0.0.1:9"]
        words = ["run", QUESTION, "--repo", str(made.repo), "--model", "oracle", "--output", "json"]
        alone = await made.command(*words, options=options)
        assert await alone.ended() == 3
        holder = await made.command("serve", "--port", "0", "--no-browser", options=options)
        await made.held_by(holder)
        guest = await made.command(*words, options=options)
        assert await guest.ended() == 3
        assert guest.result == alone.result
        assert guest.result["error"]["class"] == "NoServerAvailable"


async def test_two_commands_on_a_new_data_directory_at_the_same_instant(tmp_path: Path) -> None:
    async with bench(tmp_path, num_parallel=4) as made:
        commands = [await made.run() for _ in range(3)]
        assert [await command.ended() for command in commands] == [0, 0, 0], [each.text for each in commands]
        assert len(await made.rows()) == 3


async def test_persons_run_goes_before_the_queued_calls_of_a_batch(tmp_path: Path) -> None:
    async with bench(tmp_path, num_parallel=1) as made:
        made.simulator.hold(JOB)
        batch = await made.batch("--at-once", "4")
        await made.held_by(batch)
        await made.until_rows(4)
        person = await made.run()
        await person.event("call.queued")
        made.simulator.release(JOB)
        assert await person.ended() == 0, person.text
        done = await made.row(await person.run())
        assert await batch.ended() == 0, batch.text
        assert done.ended is not None
        others = [row for row in await made.rows() if row.run != done.run]
        assert len(others) == 4
        assert sum(row.ended is not None and row.ended < done.ended for row in others) <= 1
        assert most_at_once(made) == 1
