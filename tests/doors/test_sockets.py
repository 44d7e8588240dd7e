"""A session over a WebSocket: who may enter, what is told, what may be asked for, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backend.routers.commands import SessionCommands
from backend.security.cookies import Cookies
from backend.security.token import open_keys
from backend.server import open_door
from backend.sockets import SessionSocket
from backend.stopping import STREAMS, Stopping
from backend.streams import FollowedSession
from infrastructure.ids import RunId
from tests.doors.house import SESSIONS, House


async def refusal(address: str, **how: object) -> tuple[int, str]:
    """How the opening of a socket is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, proxy=None, **how):
            pass
    response = refused.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.body)["type"].removeprefix("about:corral/")


async def test_nobody_enters_who_must_not(talker: House) -> None:
    session = await talker.session()
    address, token = talker.address(session), {"Authorization": f"Bearer {talker.token}"}
    assert await refusal(address) == (401, "NoToken")
    assert await refusal(address, additional_headers={"Authorization": "Bearer nonsense"}) == (401, "NoToken")
    assert await refusal(address, subprotocols=["corral.v1", "corral.token.nonsense"]) == (401, "NoToken")
    wrong = {**token, "Authorization": "Bearer nonsense"}
    both = ["corral.v1", f"corral.token.{talker.token}"]
    assert await refusal(address, additional_headers=wrong, subprotocols=both) == (401, "NoToken")
    assert await refusal(address, additional_headers=token, origin="https://evil.example") == (403, "ForeignOrigin")
    other_port = "http://127.0.0.1:3000"
    assert await refusal(address, additional_headers=token, origin=other_port) == (403, "ForeignOrigin")
    foreign = address.replace("127.0.0.1", "evil.example")
    port = int(talker.door.address.rpartition(":")[2])
    how = {"host": "127.0.0.1", "port": port, "additional_headers": token}
    assert await refusal(foreign, **how) == (403, "ForeignHost")
    assert await refusal(talker.address("nothing"), additional_headers=token) == (404, "UnknownSession")


async def test_a_token_may_come_as_a_protocol_or_a_cookie(talker: House) -> None:
    session = await talker.session()
    both = ["corral.v1", f"corral.token.{talker.token}"]
    async with connect(talker.address(session), proxy=None, subprotocols=both) as socket:
        assert socket.subprotocol == "corral.v1"
        assert json.loads(await socket.recv())["event"]["kind"] == "session.created"
    port = talker.door.address.rpartition(":")[2]
    keys = await asyncio.to_thread(open_keys, talker.application.directory.token)
    cookies = await asyncio.to_thread(Cookies.open, keys, talker.application.directory.cookies)
    cookie = {"Cookie": f"corral_{port}={cookies.make('')}"}
    async with connect(
        talker.address(session), proxy=None, additional_headers=cookie, origin=talker.door.address
    ) as socket:
        assert json.loads(await socket.recv())["event"]["kind"] == "session.created"


async def test_a_turn_is_told_as_events_and_chunks_to_everybody_and_the_next_one_too(talker: House) -> None:
    session = await talker.session(agent="ask")
    async with talker.line(session) as one, talker.line(session) as other:
        told = await one.say({"type": "message", "text": "Hi", "id": "greeting"})
        assert (told["type"], told["id"]) == ("accepted", "greeting")
        for line in (one, other):
            assert (await line.chunk("text"))["text"] == "Hello."
            await line.chunk("done")
            assert line.heard[-1]["turn"] == told["turn"]
        assert (await other.say({"type": "message", "text": "Hi"}))["turn"] != told["turn"]
        assert (await one.chunk("text"))["text"] == "Hello again."
        await one.chunk("done")
        while sum(event["kind"] == "agent.completed" for event in one.events()) < 2:
            await one.next()
    events = one.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[1]["correlation"] == "greeting"


async def test_a_client_that_comes_back_goes_on_behind_what_it_knows(writer: House) -> None:
    session = await writer.session(agent="coder")
    async with writer.line(session) as line:
        await line.say({"type": "message", "text": "Write it"})
        first = await line.chunk("approval")
    last = line.events()[-1]["seq"] if line.events() else 0
    await writer.client.patch(f"{SESSIONS}/{session}", json={"title": "Meanwhile"})
    async with writer.line(session, after=last) as line:
        assert await line.chunk("approval") == first, "the turn that is open is told from its first chunk"
        while not line.events() or line.events()[-1]["kind"] != "session.updated":
            await line.next()
    assert line.events()[0]["seq"] == last + 1


@pytest.mark.parametrize(
    ("command", "status", "name"),
    [
        ({"type": "message", "text": " "}, 422, "EmptyMessage"),
        ({"type": "message", "text": "x" * 3000}, 413, "MessageTooLong"),
        ({"type": "message", "text": "Hi", "agent": "nobody"}, 422, "NoSuchAgent"),
        ({"type": "message"}, 422, "InvalidRequest"),
        ({"type": "message", "text": "Hi", "colour": "blue"}, 422, "InvalidRequest"),
        ({"type": "dance"}, 422, "InvalidRequest"),
        ([], 422, "InvalidRequest"),
        ({"type": "decide", "approval": "nothing", "nonce": "x", "decision": "approve"}, 404, "UnknownApproval"),
        ({"type": "tool_result", "call": "nothing", "content": "x"}, 404, "UnknownCall"),
        ({"type": "cancel"}, 409, "NothingToStop"),
    ],
)
async def test_a_command_that_cannot_be_done_is_refused_and_the_line_stays(
    talker: House, command: object, status: int, name: str
) -> None:
    session = await talker.session()
    async with talker.line(session) as line:
        told = await line.say({**command, "id": "mine"} if isinstance(command, dict) else command)
        assert (told["type"], told["problem"]["status"]) == ("refused", status)
        assert told["problem"]["type"] == f"about:corral/{name}"
        assert told["id"] == ("mine" if isinstance(command, dict) else "")
        await line.socket.send("{not json")
        await line.socket.send(b"\x00")
        for _ in range(2):
            while (told := await line.next())["type"] != "refused":
                pass
            assert told["problem"]["status"] == 422
        assert (await line.say({"type": "message", "text": "Hi"}))["type"] == "accepted"


async def test_half_characters_of_a_command_are_kept_as_question_marks(talker: House) -> None:
    session = await talker.session()
    async with talker.line(session) as line:
        told = await line.say({"type": "message", "text": "so \ud83d", "id": "mine", "key": "k \udfff"})
        assert (told["type"], told["id"]) == ("accepted", "mine")
        await line.chunk("done")
        history = await talker.history(session)
        assert history[0]["content"] == "so ?"
        for command, name in (
            ({"type": "message", "text": "x", "agent": "\ud800"}, "NoSuchAgent"),
            ({"type": "decide", "approval": "\ud800", "nonce": "\ud800", "decision": "approve"}, "UnknownApproval"),
            ({"type": "tool_result", "call": "\ud800", "content": "\ud800"}, "UnknownCall"),
            ({"type": "\ud800", "\ud800": ["\ud800"]}, "InvalidRequest"),
            ({"type": "message", "text": float("inf")}, "InvalidRequest"),
        ):
            told = await line.say({**command, "id": "\ud83d"})
            assert (told["id"], told["problem"]["type"]) == ("?", f"about:corral/{name}"), told
        await line.socket.send('{"type": "\\ud800", "deep": ' + "[" * 100_000)
        while (told := await line.next())["type"] != "refused":
            pass
        assert "one JSON object" in told["problem"]["detail"]


async def test_an_approval_of_another_session_is_not_answered_here(writer: House) -> None:
    session, other = await writer.session(agent="coder"), await writer.session()
    frames = await writer.say(session, "Write it")
    (asked,) = frames[-1].json["approvals"]
    yes = {"type": "decide", "approval": asked["id"], "nonce": asked["nonce"], "decision": {"type": "approve"}}
    async with writer.line(other) as line:
        assert (await line.say(yes))["problem"]["status"] == 404
    async with writer.line(session) as line:
        assert (await line.say(yes))["state"] == "decided"
        await line.chunk("done")


async def test_the_end_of_a_session_ends_the_line_and_says_so(talker: House) -> None:
    session = await talker.session()
    async with talker.line(session) as line:
        await line.event("session.created")
        await talker.client.delete(f"{SESSIONS}/{session}")
        heard = await line.rest()
        assert [told.get("reason", told.get("event", {}).get("kind")) for told in heard[-2:]] == [
            "session.deleted",
            "deleted",
        ]
        assert line.socket.close_code == 1000


async def test_the_end_of_the_server_ends_the_line_with_a_reason(talker: House) -> None:
    session = await talker.session()
    async with open_door(talker.application) as door:
        address = f"{door.address.replace('http', 'ws')}{SESSIONS}/{session}/ws"
        headers = {"Authorization": f"Bearer {talker.token}"}
        socket = await connect(address, additional_headers=headers, proxy=None)
        assert json.loads(await socket.recv())["type"] == "event"
    assert json.loads(await socket.recv()) == {"type": "end", "reason": "server-shutdown"}
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert (socket.close_code, socket.close_reason) == (1001, "server-shutdown")


class Client:
    """A client as the application sees it: says nothing, and takes messages while there is room."""

    def __init__(self, room: int) -> None:
        self.took: list[MutableMapping[str, object]] = []
        self.room = room

    async def receive(self) -> MutableMapping[str, object]:
        if not self.took:
            return {"type": "websocket.connect"}
        return await asyncio.get_running_loop().create_future()

    async def send(self, message: MutableMapping[str, object]) -> None:
        if message["type"] == "websocket.send" and self.room == 0:
            await asyncio.get_running_loop().create_future()
        self.room -= message["type"] == "websocket.send"
        self.took.append(message)


def socket_of(here: House, session: str, client: Client, stopping: Stopping, patience: float) -> SessionSocket:
    app = here.application
    followed = FollowedSession(app.log, app.sessions, RunId(session))
    socket = WebSocket({"type": "websocket", "subprotocols": []}, client.receive, client.send)
    commands = SessionCommands(app, session)
    return SessionSocket(socket, followed, app.conversations, commands, stopping, patience=patience)


async def test_a_client_that_takes_nothing_is_cut_off_and_can_come_back(talker: House) -> None:
    session = await talker.session()
    await talker.say(session, "Hi")
    client, stopping = Client(room=2), Stopping()
    await socket_of(talker, session, client, stopping, patience=0.01).serve()
    kinds = [message["type"] for message in client.took]
    assert kinds == ["websocket.accept", "websocket.send", "websocket.send", "websocket.close"]
    assert client.took[-1]["code"] == 1013
    assert stopping.streams == 0
    told = [json.loads(str(message["text"])) for message in client.took[1:-1]]
    taken = max((each["event"]["seq"] for each in told if each["type"] == "event"), default=0)
    async with talker.line(session, after=taken) as line:
        assert (await line.event("message.added"))["number"] >= 1
    assert line.events()[0]["seq"] == taken + 1


class Flood(Client):
    """A client whose frames are always there already; it goes when `enough` is set, or after very many."""

    def __init__(self) -> None:
        super().__init__(room=1_000_000)
        self.enough = False
        self.said = 0
        self.heard = asyncio.Event()

    async def receive(self) -> MutableMapping[str, object]:
        if not self.took:
            return {"type": "websocket.connect"}
        self.said += 1
        self.heard.set()
        if self.enough or self.said > 5_000:
            return {"type": "websocket.disconnect", "code": 1000}
        return {"type": "websocket.receive", "text": "x"}


async def test_who_sends_without_end_leaves_others_their_turn(talker: House) -> None:
    session = await talker.session()
    client = Flood()
    serving = asyncio.create_task(socket_of(talker, session, client, Stopping(), patience=60).serve())
    await client.heard.wait()
    client.enough = True  # somebody else's turn has come
    await serving
    assert client.said < 100


async def test_there_is_room_for_so_many_only(talker: House) -> None:
    session = await talker.session()
    client, stopping = Client(room=9), Stopping()
    stopping.streams = STREAMS
    with pytest.raises(Exception, match="streams are open"):
        await socket_of(talker, session, client, stopping, patience=1).serve()
    assert client.took == []
