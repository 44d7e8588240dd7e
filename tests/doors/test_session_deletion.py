"""A session is taken away in one step: all that is kept of it, or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infrastructure.ids import RunId
from infrastructure.storage.errors import DiskFull
from tests.conversation.stack import simulator
from tests.doors.house import SESSIONS, STREAM, House, house, problem

KEY = {"Idempotency-Key": "once"}
MUCH = " ".join(f"w{each}" for each in range(400))


def full(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes no deletion."""
    log = here.application.log
    keep = log.keep

    def keeping(events, work):
        if any(event.kind == "session.deleted" for _, event in events):
            raise DiskFull(here.workspace)
        return keep(events, work)

    monkeypatch.setattr(log, "keep", keeping)


async def test_deletion_that_fails_leaves_turn_question_and_key_as_they_were(
    writer: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await writer.session(agent="coder")
    path = f"{SESSIONS}/{session}"
    await writer.client.post(f"{path}/messages", json={"text": "Write it"}, headers={**KEY, **STREAM})  # until it waits
    first = await writer.client.post(f"{path}/messages", json={"text": "Write it"}, headers=KEY)
    watching = await writer.watching(session)
    with monkeypatch.context() as patch:
        full(writer, patch)
        assert problem(await writer.client.delete(path)) == (507, "DiskFull")
    (asked,) = (await writer.client.get(f"{path}/waiting")).json()["approvals"]
    again = await writer.client.post(f"{path}/messages", json={"text": "Write it"}, headers=KEY)
    assert again.json() == first.json()
    answer = {"nonce": asked["nonce"], "decision": "approve"}
    assert (await writer.client.post(f"/api/v1/approvals/{asked['id']}", json=answer)).status_code == 200
    assert (await watching)[-1].event == "end"
    assert [each["role"] for each in await writer.history(session)] == ["user", "assistant", "tool", "assistant"]
    assert (writer.workspace / "a.py").read_text() == "x = 1\n"


async def test_turn_that_was_answering_goes_on_when_the_deletion_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = simulator(MUCH, time_scale=1.0, decode_tokens_per_second=200)
    async with script as server, house(tmp_path, server.url) as here:
        session = await here.session(agent="ask")
        path = f"{SESSIONS}/{session}"
        await here.client.post(f"{path}/messages", json={"text": "Much"})
        watching = await here.watching(session)
        full(here, monkeypatch)
        assert problem(await here.client.delete(path)) == (507, "DiskFull")
        frames = await watching
        assert [frame.event for frame in frames if frame.event in ("restarted", "done", "failed")] == [
            "restarted",
            "done",
        ]
        assert [each["content"] for each in await here.history(session)] == ["Much", MUCH]


async def test_message_that_comes_while_a_session_is_deleted_finds_none_and_asks_nothing(
    writer: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await writer.session(agent="coder")
    path = f"{SESSIONS}/{session}"
    began, go = asyncio.Event(), asyncio.Event()
    real = writer.application.sessions.delete

    async def slow(*given: object, **more: object) -> None:
        began.set()
        await go.wait()
        await real(*given, **more)

    monkeypatch.setattr(writer.application.sessions, "delete", slow)
    deleting = asyncio.create_task(writer.client.delete(path))
    await began.wait()
    saying = asyncio.create_task(writer.client.post(f"{path}/messages", json={"text": "Write it"}))
    await asyncio.wait({saying}, timeout=1.0)  # it is on its way by then
    go.set()
    assert (await deleting).status_code == 204
    assert problem(await saying) == (404, "UnknownSession")
    assert (await writer.client.get("/api/v1/approvals")).json() == {"approvals": []}


async def test_watcher_is_told_that_the_turn_of_a_deleted_session_ended_and_the_log_says_so_first(
    writer: House,
) -> None:
    session = await writer.session(agent="coder")
    await writer.say(session, "Write it")
    watching = await writer.watching(session)
    assert (await writer.client.delete(f"{SESSIONS}/{session}")).status_code == 204
    (failed,) = [frame for frame in await watching if frame.event == "failed"]
    assert failed.json["text"] == "the session was deleted"
    kinds = [stored.event.kind for stored in await writer.application.log.read(RunId(session))]
    assert kinds[-2:] == ["turn.ended", "session.deleted"]
