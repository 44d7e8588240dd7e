"""Saying something over HTTP: the answer as it is given, what a turn waits for, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.backend.site import STREAM, Frame, frames_of
from tests.conversation.stack import called, simulator
from tests.doors.house import OPEN_TAB, SESSIONS, House, house, kinds, problem


async def test_an_answer_is_streamed_and_stands_in_the_history(talker: House) -> None:
    session = await talker.session()
    frames = await talker.say(session, "Hi", agent="ask")
    assert kinds(frames) == ["text", "done"]
    assert frames[0].json["text"] == "Hello."
    assert {frame.json["kind"] for frame in frames} == {frame.event for frame in frames}
    assert [(each["role"], each["content"]) for each in await talker.history(session)] == [
        ("user", "Hi"),
        ("assistant", "Hello."),
    ]


async def test_without_a_stream_the_turn_begins_and_can_be_watched(writer: House) -> None:
    session = await writer.session(agent="coder")
    answer = await writer.client.post(f"{SESSIONS}/{session}/messages", json={"text": "Write it"})
    assert (answer.status_code, len(answer.json()["turn"])) == (202, 36)
    watching = await writer.watching(session)
    async with writer.line(session) as line:
        asked = await line.chunk("approval")
    nonce = (await writer.application.approvals.get(asked["approval"])).nonce
    await writer.client.post(f"/api/v1/approvals/{asked['approval']}", json={"nonce": nonce, "decision": "approve"})
    assert kinds(await watching) == ["tool_call", "approval", "tool_result", "text", "done", "end"]
    assert kinds(await writer.watched(session)) == ["end"], "no turn is open"


async def test_who_says_something_may_read_on_where_it_waits_and_who_watches_may_not(writer: House) -> None:
    session = await writer.session(agent="coder")
    path, seen = f"{SESSIONS}/{session}/messages?ends_when_waiting=false", list[Frame]()
    async with writer.client.stream("POST", path, json={"text": "Write it"}, headers=STREAM) as answer:
        async for frame in frames_of(answer):
            seen.append(frame)
            if frame.event == "approval":
                rests = f"{SESSIONS}/{session}/stream?ends_when_waiting=true"
                async with writer.client.stream("GET", rests, headers=STREAM) as watched:
                    assert kinds([each async for each in frames_of(watched)]) == ["tool_call", "approval", "end"]
                busy = await writer.client.post(f"{SESSIONS}/{session}/undo")
                assert problem(busy) == (409, "SessionBusy")
                approval = frame.json["approval"]
                nonce = (await writer.application.approvals.get(approval)).nonce
                told = {"nonce": nonce, "decision": "approve"}
                await writer.client.post(f"/api/v1/approvals/{approval}", json=told)
    assert kinds(seen) == ["tool_call", "approval", "tool_result", "text", "done"]
    undone = (await writer.client.post(f"{SESSIONS}/{session}/undo")).json()
    assert (undone["ok"], undone["path"], (writer.workspace / "a.py").exists()) == (True, "a.py", False)
    assert undone["text"] in (await writer.history(session))[-1]["content"]  # pyright: ignore[reportOperatorIssue]
    again = await writer.client.post(f"{SESSIONS}/{session}/undo")
    assert (again.status_code, again.json()["ok"]) == (200, False)


async def test_a_reader_that_leaves_stops_nothing(writer: House) -> None:
    session = await writer.session(agent="coder")
    path = f"{SESSIONS}/{session}/messages"
    async with writer.client.stream("POST", path, json={"text": "Write it"}, headers=STREAM) as answer:
        async for frame in frames_of(answer):
            assert frame.event == "tool_call"
            break
    async with writer.line(session) as line:
        await line.chunk("approval")


async def test_an_approval_wakes_the_turn_and_a_busy_session_says_what_it_waits_for(writer: House) -> None:
    session = await writer.session(agent="coder")
    frames = await writer.say(session, "Write it")
    assert kinds(frames) == ["tool_call", "approval", "waiting"]
    (asked,) = frames[-1].json["approvals"]
    assert frames[-1].json["client_calls"] == []
    assert (await writer.client.get(f"{SESSIONS}/{session}/waiting")).json() == frames[-1].json
    busy = await writer.client.post(f"{SESSIONS}/{session}/messages", json={"text": "And?"})
    assert problem(busy) == (409, "SessionBusy")
    assert asked["id"] in busy.json()["detail"]
    watching = await writer.watching(session)
    answer = await writer.client.post(
        f"/api/v1/approvals/{asked['id']}", json={"nonce": asked["nonce"], "type": "approve"}
    )
    assert (answer.status_code, answer.json()["state"], answer.json()["by"]) == (200, "decided", "http")
    assert kinds(await watching)[-2:] == ["done", "end"]
    assert (writer.workspace / "a.py").read_text() == "x = 1\n"
    assert (await writer.application.approvals.get(asked["id"])).state == "used"


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ({"text": "  "}, 422, "EmptyMessage"),
        ({"text": "x" * 3000}, 413, "MessageTooLong"),
        ({"text": "Hi", "agent": "nobody"}, 422, "NoSuchAgent"),
        ({}, 422, "InvalidRequest"),
    ],
)
async def test_a_message_that_cannot_be_taken_leaves_nothing(
    talker: House, body: dict[str, object], status: int, name: str
) -> None:
    session = await talker.session()
    for headers in ({}, STREAM):
        answer = await talker.client.post(f"{SESSIONS}/{session}/messages", json=body, headers=headers)
        assert problem(answer) == (status, name)
    assert await talker.history(session) == []
    assert kinds(await talker.say(session, "Hi")) == ["text", "done"]


async def test_a_client_does_its_call_once(tmp_path) -> None:
    turns = called("open_tab", '{"path": "a.py"}'), "It is open."
    async with simulator(*turns) as server, house(tmp_path, server.url) as here:
        session = await here.session(OPEN_TAB, agent="coder")
        frames = await here.say(session, "Open a.py")
        assert kinds(frames) == ["tool_call", "client_call", "waiting"]
        (call,) = frames[-1].json["client_calls"]
        assert (call["tool"], call["arguments"]) == ("open_tab", {"path": "a.py"})
        path = f"{SESSIONS}/{session}/tools/{call['call']}/result"
        watching = await here.watching(session)
        assert (await here.client.post(path, json={"content": "opened"})).json()["taken"] is True
        assert kinds(await watching)[-2:] == ["done", "end"]
        assert (await here.client.post(path, json={"content": "no", "ok": False})).json()["taken"] is False
        assert [each["ok"] for each in await here.history(session) if each["role"] == "tool"] == [True]
        unknown = await here.client.post(f"{SESSIONS}/{session}/tools/none/result", json={"content": "x"})
        assert problem(unknown) == (404, "UnknownCall")


async def test_a_turn_is_cancelled_once(writer: House) -> None:
    session = await writer.session(agent="coder")
    await writer.say(session, "Write it")
    watching = await writer.watching(session)
    assert (await writer.client.post(f"{SESSIONS}/{session}/cancel")).status_code == 202
    assert kinds(await watching)[-1] == "end"
    assert problem(await writer.client.post(f"{SESSIONS}/{session}/cancel")) == (409, "NothingToStop")
    assert (await writer.client.get(f"{SESSIONS}/{session}/waiting")).json() == {"approvals": [], "client_calls": []}


async def test_nobody_is_asked_in_an_unattended_turn(writer: House) -> None:
    session = await writer.session(agent="coder")
    frames = await writer.say(session, "Write it", unattended=True)
    assert kinds(frames)[-1] == "done"
    assert not (writer.workspace / "a.py").exists()


async def test_events_go_on_behind_the_last_one_and_end_with_the_session(talker: House) -> None:
    session = await talker.session()
    await talker.say(session, "Hi")
    path = f"{SESSIONS}/{session}/events"
    page = (await talker.client.get(path, params={"limit": 2})).json()
    assert ([event["seq"] for event in page["events"]], page["next"]) == ([1, 2], 2)
    behind, begun = asyncio.Event(), []

    async def read() -> list[Frame]:
        async with talker.client.stream("GET", path, headers={**STREAM, "Last-Event-ID": "2"}) as answer:
            async for frame in frames_of(answer):
                begun.append(frame)
                behind.set()
        return begun

    reading = asyncio.create_task(read())
    await behind.wait()
    await talker.client.delete(f"{SESSIONS}/{session}")
    frames = await reading
    assert [frame.id for frame in frames[:-1]] == list(range(3, 3 + len(frames) - 1))
    assert [frame.event for frame in frames[-2:]] == ["session.deleted", "end"]
    assert {frame.json["run"] for frame in frames[:-1]} == {session}


async def test_message_that_is_refused_for_want_of_room_was_not_taken_and_one_that_is_taken_finds_it(
    talker: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.stopping.STREAMS", 2)
    sessions = [await talker.session(agent="ask") for _ in range(6)]
    posts = [
        talker.client.post(f"{SESSIONS}/{session}/messages", json={"text": "Hi"}, headers=STREAM)
        for session in sessions
    ]
    answers = await asyncio.gather(*posts)
    taken = [bool(await talker.history(session)) for session in sessions]
    assert [answer.status_code for answer in answers] == [200 if each else 429 for each in taken]
    assert any(taken)


async def test_message_that_begins_nothing_gives_its_room_back(talker: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.stopping.STREAMS", 1)
    path = f"{SESSIONS}/{await talker.session(agent='ask')}/messages"
    for text, status in ((" ", 422), (" ", 422), ("Hi", 200)):
        assert (await talker.client.post(path, json={"text": text}, headers=STREAM)).status_code == status
