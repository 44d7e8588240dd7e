"""A message that bears a key is said once, however often it is sent, and whatever happens in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infrastructure.conversation.saying import Said
from infrastructure.conversation.turns import TurnStore
from infrastructure.storage.database import Database
from tests.backend.site import STREAM, frames_of
from tests.conversation.stack import simulator
from tests.doors.house import SESSIONS, House, house, kinds, problem

KEY = {"Idempotency-Key": "k1"}


async def send(here: House, session: str, text: str = "Hi", **more: object):
    return await here.client.post(f"{SESSIONS}/{session}/messages", json={"text": text, **more}, headers=KEY)


async def streamed(here: House, session: str, text: str = "Hi"):
    path = f"{SESSIONS}/{session}/messages"
    async with here.client.stream("POST", path, json={"text": text}, headers=STREAM | KEY) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [frame async for frame in frames_of(answer)]


async def said_by_people(here: House, session: str) -> list[object]:
    return [each["content"] for each in await here.history(session) if each["role"] == "user"]


async def test_of_many_at_once_one_is_said(talker: House) -> None:
    session = await talker.session()
    answers = await asyncio.gather(*(send(talker, session) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["turn"] for answer in answers}) == 1
    assert kinds(await talker.watched(session))[-1] == "end"
    assert await said_by_people(talker, session) == ["Hi"]


async def test_the_turn_that_is_over_is_the_same_and_its_end_is_told(talker: House) -> None:
    session = await talker.session()
    assert kinds(await streamed(talker, session)) == ["text", "done"]
    assert kinds(await streamed(talker, session)) == ["done"]
    (turn,) = {(await send(talker, session)).json()["turn"] for _ in range(2)}
    assert turn
    assert [each["content"] for each in await talker.history(session)] == ["Hi", "Hello."]


async def test_a_turn_that_waits_is_watched_by_who_sends_its_message_again(writer: House) -> None:
    session = await writer.session(agent="coder")
    first = await streamed(writer, session, "Write it")
    again = await streamed(writer, session, "Write it")
    assert kinds(first) == kinds(again) == ["tool_call", "approval", "waiting"]
    assert again[-1].json == first[-1].json
    assert await said_by_people(writer, session) == ["Write it"]


@pytest.mark.parametrize("change", [{"text": "Ho"}, {"agent": "coder"}, {"unattended": True}], ids=str)
async def test_the_same_key_with_another_message_is_a_conflict(talker: House, change: dict[str, object]) -> None:
    session = await talker.session()
    turn = (await send(talker, session)).json()["turn"]
    answer = await send(talker, session, **change)
    assert problem(answer) == (409, "KeyReused")
    assert turn in answer.json()["detail"]
    assert answer.json()["hint"]
    await talker.watched(session)
    assert await said_by_people(talker, session) == ["Hi"]


async def test_a_key_is_of_its_session_and_without_one_each_message_is_its_own(talker: House) -> None:
    one, other = await talker.session(), await talker.session()
    await streamed(talker, one)
    await streamed(talker, other)
    await talker.say(one, "Hi")
    assert await said_by_people(talker, one) == ["Hi", "Hi"]
    assert await said_by_people(talker, other) == ["Hi"]


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_key_that_cannot_be_one_is_refused(talker: House, key: str) -> None:
    session = await talker.session()
    answer = await talker.client.post(
        f"{SESSIONS}/{session}/messages", json={"text": "Hi"}, headers={"Idempotency-Key": key}
    )
    assert problem(answer) == (422, "InvalidRequest")
    assert await talker.history(session) == []


async def test_a_message_that_could_not_be_taken_leaves_its_key_free(talker: House) -> None:
    session = await talker.session()
    assert problem(await send(talker, session, "x" * 3000)) == (413, "MessageTooLong")
    assert kinds(await streamed(talker, session)) == ["text", "done"]


async def test_over_a_websocket_too(talker: House) -> None:
    session = await talker.session()
    async with talker.line(session) as line:
        told = await line.say({"type": "message", "text": "Hi", "key": "k1"})
        again = await line.say({"type": "message", "text": "Hi", "key": "k1"})
        refused = await line.say({"type": "message", "text": "Ho", "key": "k1"})
    assert (told["type"], told["turn"]) == (again["type"], again["turn"]) == ("accepted", again["turn"])
    assert (refused["type"], refused["problem"]["type"]) == ("refused", "about:corral/KeyReused")
    assert (await send(talker, session)).json()["turn"] == told["turn"], "one key, by whichever door"


async def test_a_restart_forgets_no_key(tmp_path: Path) -> None:
    async with simulator("Hello.", "Hello again.") as server:
        async with house(tmp_path, server.url) as before:
            session = await before.session()
            assert kinds(await streamed(before, session)) == ["text", "done"]
            turn = (await send(before, session)).json()["turn"]
        async with house(tmp_path, server.url) as after:
            assert (await send(after, session)).json()["turn"] == turn
            assert kinds(await streamed(after, session)) == ["done"]
            assert problem(await send(after, session, "Ho")) == (409, "KeyReused")
            assert await said_by_people(after, session) == ["Hi"]


async def test_a_message_that_a_crash_took_is_said_anew(tmp_path: Path) -> None:
    async with simulator("Hello.") as server:
        async with house(tmp_path, server.url) as before:
            session = await before.session()
        request = Said("Hi", key="k1").request
        async with Database(tmp_path / "data" / "corral.db") as database:  # killed between the turn and its message
            lost, begin = TurnStore(database).beginning("t1", session, "ask", request=request)
            await database.write(begin)
        async with house(tmp_path, server.url) as after:
            assert await after.history(session) == []
            ended = await after.application.conversations._parts.turns.get(lost.turn)
            assert ended is not None
            assert (ended.status, ended.reason) == ("failed", "its message was lost in a crash")
            assert (await send(after, session)).json()["turn"] != lost.turn
            assert kinds(await after.watched(session))[-1] == "end"
            assert await said_by_people(after, session) == ["Hi"]
