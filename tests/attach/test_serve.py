"""`corral serve` as the holder, as the one who waits, and as the one who goes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.storage.lock import EngineLock, read_holder
from tests.attach.commands import CODER, JOB, PROBLEMS, ROOT, Bench, Command, bench
from tests.cli.test_processes import Person
from tests.engine.world import QUESTION, TASK

pytestmark = pytest.mark.slow


async def served(made: Bench) -> Command:
    server = await made.serve()
    await made.held_by(server)
    return server


@pytest.fixture
def persons() -> Iterator[list[Person]]:
    there: list[Person] = []
    yield there
    for person in there:
        if person.process.poll() is None:
            person.process.kill()
            person.process.wait()
            os.close(person.terminal)


def at_terminal(made: Bench, persons: list[Person], *words: str) -> Person:
    person = Person([*words, *made.options()], ROOT)
    persons.append(person)
    return person


def gated(made: Bench) -> list[str]:
    tests = str(made.repo / "test_calc.py")
    return [
        "run", "Implement add in calc.py", "--repo", str(made.repo), "--tests", tests, "--model", "oracle",
        "--approve", "plan",
    ]  # fmt: skip


async def test_run_and_batch_are_guests_of_the_server_and_it_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        server = await served(made)
        run, batch = await made.run(), await made.batch("--output", "json")
        for guest in (run, batch):
            said = await guest.says("joins it as a guest")
            assert f"`corral serve` (process {server.pid})" in said
            assert await guest.ended() == 0, guest.text
        assert run.result["status"] == "done"
        assert batch.result["statuses"] == {"done": len(PROBLEMS)}
        assert server.process.returncode is None
        waiting = made.simulator.truth.waiting()
        assert max(count for _, count in waiting) <= 1, "one queue for all: one more than is known to fit, to find out"


async def test_ctrl_c_of_a_guest_interrupts_its_own_run_alone_and_resume_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(TASK)
        await served(made)
        other, guest = await made.run(), await made.run()
        run = await guest.run()
        await guest.event("call.text")
        guest.send(signal.SIGINT)
        assert await guest.ended() == 130, guest.text
        row = await made.row(run)
        assert row.state == "interrupted"
        made.simulator.release(TASK)
        resumed = await made.command("resume", run, "--output", "json")
        assert await resumed.ended() == 0, resumed.text
        assert resumed.result["status"] == "done"
        assert await other.ended() == 0
        assert [each["kind"] for each in other.documents[:-1]].count("run.interrupted") == 0


async def test_ctrl_c_of_a_batch_that_is_a_guest_and_the_same_command_ends_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.simulator.hold(JOB)
        await served(made)
        batch = await made.batch("--at-once", "2", problems=2)
        await made.until_rows(2)
        batch.send(signal.SIGINT)
        assert await batch.ended() == 130, batch.text
        assert "Traceback" not in batch.text
        assert {row.state for row in await made.rows()} == {"interrupted"}
        made.simulator.release(JOB)
        again = await made.batch(problems=2)
        assert await again.ended() == 0, again.text
        assert len(await made.rows()) == 2


async def test_guest_answers_the_question_of_its_run(tmp_path: Path, persons: list[Person]) -> None:
    async with bench(tmp_path) as made:
        await served(made)
        person = at_terminal(made, persons, *gated(made))
        await asyncio.to_thread(person.waits_for, "Go on with this plan?")
        person.types("y\n")
        assert await asyncio.to_thread(person.leaves) == 0, person.screen
        assert "joins it as a guest" in person.screen


async def test_question_is_asked_again_when_the_holder_is_killed_and_answered(
    tmp_path: Path, persons: list[Person]
) -> None:
    async with bench(tmp_path) as made:
        server = await served(made)
        person = at_terminal(made, persons, *gated(made))
        await asyncio.to_thread(person.waits_for, "Go on with this plan?")
        await server.kill()
        await asyncio.to_thread(person.waits_for, "Go on with this plan?")
        assert "holds the engine now" in person.screen
        person.types("y\n")
        assert await asyncio.to_thread(person.leaves) == 0, person.screen


async def test_guest_without_a_person_needs_input_and_resume_asks(tmp_path: Path, persons: list[Person]) -> None:
    async with bench(tmp_path) as made:
        await served(made)
        guest = await made.run("--approve", "plan", output="json")
        assert await guest.ended() == 5, guest.text
        assert guest.result["status"] == "needs_input"
        person = at_terminal(made, persons, "resume", guest.result["run"])
        await asyncio.to_thread(person.waits_for, "Go on with this plan?")
        person.types("y\n")
        assert await asyncio.to_thread(person.leaves) == 0, person.screen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_guests_of_a_server_that_is_stopped_take_over_and_finish(tmp_path: Path, number: signal.Signals) -> None:
    async with bench(tmp_path, slots=2) as made:
        made.simulator.hold(CODER)
        server = await served(made)
        guests = [await made.run(), await made.run()]
        for guest in guests:
            await made.until(await guest.run(), "call.completed")
        server.send(number)
        assert await server.ended() == 0, server.text
        made.simulator.release(CODER)
        assert [await guest.ended() for guest in guests] == [0, 0], [guest.text for guest in guests]
        assert sum("holds the engine now" in guest.text for guest in guests) >= 1
        assert [guest.result["status"] for guest in guests] == ["done", "done"]
        assert len(await made.rows()) == 2


async def test_server_that_waits_reads_its_settings_at_sighup_once_it_serves(tmp_path: Path) -> None:
    file = tmp_path / "corral.toml"
    file.write_text("[serve]\nwatch = false\n")
    async with bench(tmp_path) as made:
        with EngineLock(made.data / "engine.lock", verb="run") as lock:
            await lock.wait()
            server = await made.serve("--config", str(file))
            await server.says("works on this data directory")
            file.write_text("[serve]\nwatch = false\n[run]\nrounds = 3\n")
            server.send(signal.SIGHUP)
        await made.held_by(server)
        await server.says("settings reloaded: run.rounds")
        server.send(signal.SIGTERM)
        assert await server.ended() == 0, server.text


async def test_copy_of_a_data_directory_is_served_beside_the_original(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        server = await served(made)
        copied = replace(made, root=tmp_path / "copied")
        shutil.copytree(made.data, copied.data)
        second = await copied.serve()
        await copied.held_by(second)
        assert server.process.returncode is None


async def test_server_started_beside_a_run_waits_says_so_and_then_holds(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        made.simulator.hold(TASK)
        run = await made.run()
        await run.event("call.text")
        server = await made.serve()
        said = await server.says("works on this data directory")
        assert f"`corral run` (process {run.pid})" in said
        assert "waiting for it to end" in said
        made.simulator.release(TASK)
        assert await run.ended() == 0
        assert "staying" not in run.text
        await made.held_by(server)
        await server.says("signs a browser in")
        guest = await made.run(task=QUESTION)
        assert await guest.ended() == 0, guest.text
        assert "`corral serve`" in guest.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_server_that_waits_ends_at_once_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    async with bench(tmp_path) as made:
        made.simulator.hold(TASK)
        run = await made.run()
        await run.event("call.text")
        server = await made.serve()
        await server.says("works on this data directory")
        server.send(number)
        assert await server.ended() == 0, server.text
        assert "Traceback" not in server.text
        holder = await asyncio.to_thread(read_holder, made.data / "engine.lock")
        assert holder is not None
        assert holder.pid == run.pid
