"""What a guest asks of the holder's door, and what each refusal there becomes here."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.cli.errors import explain
from infrastructure.ids import RunId
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable
from infrastructure.running.errors import RunNotWaiting, TaskRefused
from infrastructure.tasks import TaskSpec
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.workflow.lanes import NoModel
from infrastructure.workspace.errors import NotADirectory
from tests.attach.doors import always, answer, door, problem

RUN = RunId("0199c0de-7c1a-7b3e-9f10-3a5d8e2b4c61")
SPEC = TaskSpec(task="Do it", repo=Path("/somewhere"), model="big:cloud")


async def test_task_is_sent_with_its_key_and_the_token_and_only_what_was_said_of_it() -> None:
    async with door(always(answer(201, {"run": RUN}))) as holder:
        assert await Guest(holder.address, "secret").start(SPEC, "key-1") == RUN
    (asked,) = holder.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/runs")
    assert asked.headers["authorization"] == "Bearer secret"
    assert asked.headers["idempotency-key"] == "key-1"
    assert asked.body == {"task": "Do it", "repo": "/somewhere", "model": "big:cloud"}


async def test_steering_goes_to_the_runs_own_address() -> None:
    async with door(always(answer(202))) as holder:
        guest = Guest(holder.address, "secret")
        await guest.resume(RUN, no_input=True)
        await guest.interrupt(RUN)
        await guest.answer(RUN, "plan:1", approved=False, reason="too long")
    assert [asked.path for asked in holder.asked] == [
        f"/api/v1/runs/{RUN}/resume?no_input=true",
        f"/api/v1/runs/{RUN}/interrupt",
        f"/api/v1/runs/{RUN}/answer",
    ]
    assert holder.asked[-1].body == {"approval": "plan:1", "approved": False, "reason": "too long"}


async def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with door(always(answer(202))) as holder:
        await Guest(holder.address, "secret").interrupt(RUN)
    assert len(holder.asked) == 1


# ------------------------------------------------------------------------------------------ refused
AS_HERE = {
    "TaskRefused": TaskRefused("it is too long", "Shorten it."),
    "NotADirectory": NotADirectory(SPEC.repo),
    "NoModel": NoModel(),
    "CloudModelRefused": CloudModelRefused("big:cloud"),
    "ModelNowhere": ModelNowhere("absent:7b", ("oracle", "echo"), {"gpu2": "timed out"}),
    "NoServerAvailable": NoServerAvailable({"gpu1": "refused", "gpu2": "timed out"}),
}


@pytest.mark.parametrize("name", AS_HERE)
async def test_refused_task_raises_what_the_engine_here_would_have_raised(name: str) -> None:
    error = AS_HERE[name]
    async with door(always(problem(422, name, str(error), str(getattr(error, "hint", ""))))) as holder:
        with pytest.raises(type(error)) as raised:
            await Guest(holder.address, "secret").start(SPEC, "key")
    assert explain(raised.value) == explain(error)


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (409, "KeyReused", 2),
        (429, "PoolSaturated", 3),
        (507, "DiskFull", 3),
        (503, "StorageError", 3),
    ],
)
async def test_other_refusals_are_told_by_their_own_name_words_and_exit_code(status: int, name: str, code: int) -> None:
    async with door(always(problem(status, name))) as holder:
        with pytest.raises(HolderRefused) as raised:
            await Guest(holder.address, "secret").start(SPEC, "key")
    told = explain(raised.value)
    assert (told.error_class, told.message, told.hint, told.exit_code) == (name, "so it is", "do that", code)


async def test_fault_of_the_holder_is_no_reason_to_wait_for_another() -> None:
    async with door(always(problem(500, "InternalError", "something went wrong", "The log says what."))) as holder:
        with pytest.raises(HolderRefused, match="something went wrong") as raised:
            await Guest(holder.address, "secret").resume(RUN, no_input=False)
    assert explain(raised.value).exit_code == 3


@pytest.mark.parametrize("said", [answer(500), b"HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\n\r\nno?"])
async def test_refusal_without_a_document_is_told_by_its_status(said: bytes) -> None:
    async with door(always(said)) as holder:
        with pytest.raises(HolderRefused) as raised:
            await Guest(holder.address, "secret").start(SPEC, "key")
    assert raised.value.error_class.startswith("Status")


async def test_answer_that_is_not_waited_for_is_told_as_such() -> None:
    async with door(always(problem(409, "RunNotWaiting"))) as holder:
        with pytest.raises(RunNotWaiting, match="plan:1"):
            await Guest(holder.address, "secret").answer(RUN, "plan:1", approved=True, reason="")


async def test_run_that_ended_meanwhile_needs_no_interrupting() -> None:
    async with door(always(problem(409, "RunIsOver"))) as holder:
        await Guest(holder.address, "secret").interrupt(RUN)
    assert len(holder.asked) == 1


async def test_interrupting_a_run_that_is_not_there_is_refused() -> None:
    async with door(always(problem(404, "UnknownRun"))) as holder:
        with pytest.raises(HolderRefused):
            await Guest(holder.address, "secret").interrupt(RUN)


# --------------------------------------------------------------------------------------------- gone
async def test_connection_that_is_refused_means_that_the_holder_is_gone() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(HolderGone):
            await Guest(address, "secret").start(SPEC, "key")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n{"])
async def test_connection_that_breaks_off_means_that_the_holder_is_gone(said: bytes) -> None:
    async with door(always(said)) as holder:
        with pytest.raises(HolderGone):
            await Guest(holder.address, "secret").start(SPEC, "key")


@pytest.mark.parametrize("said", [problem(503, "ShuttingDown"), problem(503, "NotOpenYet"), answer(503)])
async def test_door_that_closes_or_is_not_open_yet_means_that_another_is_to_be_asked(said: bytes) -> None:
    async with door(always(said)) as holder:
        with pytest.raises(HolderGone):
            await Guest(holder.address, "secret").interrupt(RUN)
