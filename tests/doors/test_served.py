"""`corral serve` with a client on a socket: it ends in order, and killed it forgets nothing that it waits for."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.backend.serving import Served, served
from tests.conversation.stack import called, simulator
from tests.doors.house import OPEN_TAB, SESSIONS, Line

pytestmark = pytest.mark.slow


async def begun(server: Served, folder: Path) -> str:
    """A session whose client has tools."""
    told = {"workspace": str(folder), "agent": "coder", "settings": {"client_tools": [OPEN_TAB]}}
    async with server.client() as client:
        return (await client.post(SESSIONS, json=told)).json()["session"]


def line_to(server: Served, session: str, after: int = 0) -> connect:
    address = f"{server.address.replace('http', 'ws')}{SESSIONS}/{session}/ws?after={after}"
    return connect(address, additional_headers=server.headers, proxy=None)


async def test_sigterm_ends_the_line_with_a_reason_and_the_process_in_order(tmp_path: Path) -> None:
    async with simulator("Hello.") as model, served(tmp_path / "data", [model.url], model="talker") as server:
        session = await begun(server, tmp_path)
        async with line_to(server, session) as socket:
            line = Line(socket)
            await line.event("session.created")
            server.process.send_signal(signal.SIGTERM)
            assert (await line.rest())[-1] == {"type": "end", "reason": "server-shutdown"}
            assert socket.close_code == 1001
        assert await server.ended() == 0
        assert not [said for said in server.said if "Traceback" in said or "ERROR" in said], server.said
        assert not [said for said in server.said if session in said], "addresses are not logged"


async def test_killed_while_a_client_has_a_call_it_waits_for_the_same_call_and_takes_it_once(tmp_path: Path) -> None:
    turns = called("open_tab", '{"path": "a.py"}'), "It is open."
    async with simulator(*turns) as model:
        async with served(tmp_path / "data", [model.url], model="talker") as server:
            session = await begun(server, tmp_path)
            async with line_to(server, session) as socket:
                line = Line(socket)
                assert (await line.say({"type": "message", "text": "Open a.py"}))["type"] == "accepted"
                call = await line.chunk("client_call")
                await server.stop(signal.SIGKILL)
        async with served(tmp_path / "data", [model.url], model="talker") as server:
            async with line_to(server, session) as socket:
                line = Line(socket)
                assert (await line.chunk("client_call"))["call"] == call["call"]
                result = {"type": "tool_result", "call": call["call"], "content": "opened"}
                assert (await line.say(result))["taken"] is True
                await line.chunk("done")
                assert (await line.say(result))["taken"] is False
            async with server.client() as client:
                history = (await client.get(f"{SESSIONS}/{session}/history")).json()["messages"][::-1]
    assert [each["role"] for each in history] == ["user", "assistant", "tool", "assistant"]
    assert "opened" in history[2]["content"]
    assert json.dumps(history[1]["tool_calls"][0]["arguments"]) == '{"path": "a.py"}'
