"""A crash in a mode that writes messages later: what was done or asked for an answer's sake is never another one's."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from agents.model import ToolCall
from infrastructure.conversation.calls import CallState, CallStore
from infrastructure.conversation.saying import Said
from infrastructure.conversation.streaming import named_calls
from infrastructure.sessions.approvals import Approve
from tests.conversation.stack import OPEN_TAB, called, simulator, stack
from tests.conversation.world import SESSION, MemoryApprovals, calls, followed, reads, talk, tool, world, writes

WRITE_A = called("write_file", '{"path": "a.txt", "content": "A"}')
WRITE_B = called("write_file", '{"path": "b.txt", "content": "B"}')
OPEN = called("open_tab", '{"path": "a.txt"}')


async def crashed(folder: Path) -> Path:
    """What a kill at this moment leaves on the disk."""
    image = folder.with_name(f"{folder.name} after the crash")
    await asyncio.to_thread(shutil.copytree, folder, image)
    return image


async def test_call_that_is_asked_about_is_the_one_that_is_done_after_a_crash(tmp_path):
    work, first = tmp_path / "work", tmp_path / "first"
    work.mkdir()
    async with simulator(WRITE_A, "Never.") as server, stack(first, server.url, persistence="event_driven") as here:
        session = await here.session(work)
        _, chunks = await here.conversations.begin_watched(session, Said("Write it", "coder", key="k"))
        asked = (await talk(chunks))[-1]
        second = await crashed(first)
    async with simulator(WRITE_B, "Done.") as server, stack(second, server.url, persistence="event_driven") as here:
        (pending,) = await here.approvals.pending(session)
        assert (pending.id, pending.action.arguments) == (asked.approval, {"path": "a.txt", "content": "A"})
        following = await followed(here.conversations, session)
        await here.approvals.decide(pending.id, Approve(), by="me", nonce=pending.nonce)
        assert (await following)[-1].ok
        messages = here.sessions.get_history(session).messages
        assert [call.arguments["path"] for message in messages for call in message.tool_calls] == ["a.txt"]
        assert [path.name for path in work.iterdir()] == ["a.txt"]


async def test_result_that_a_client_was_told_is_taken_is_there_after_a_crash(tmp_path):
    first = tmp_path / "first"
    async with (
        simulator(OPEN) as server,
        stack(first, server.url, MemoryApprovals(), persistence="event_driven") as here,
    ):
        session = await here.session(None, [OPEN_TAB])
        _, chunks = await here.conversations.begin_watched(session, Said("Open it", "coder", key="k"))
        call = (await talk(chunks))[-1].call
        await here.conversations.drain()  # nobody goes on with it before the crash
        assert await here.conversations.submit_tool_result(session, call, "it is open")
        second = await crashed(first)
    async with simulator(OPEN, "Open.") as server, stack(second, server.url, MemoryApprovals()) as here:
        await talk(here.conversations.follow(session))
        assert [role for role, _ in here.said(session)] == ["user", "assistant", "tool", "assistant"]
        assert "it is open" in here.said(session)[2][1]
        assert await here.conversations.waiting(session) == ()
        assert (await talk(here.conversations.process_message(session, "Hello?")))[-1].kind == "done"


def test_ids_of_calls_are_of_what_is_asked_for():
    read, write = ToolCall("read_file", {"path": "a"}), ToolCall("write_file", {"path": "a"})
    (one,), (same,) = named_calls("turn/message", [read]), named_calls("turn/message", [read])
    assert one.id == same.id
    others = [named_calls("turn/message", [write]), named_calls("turn/message", [ToolCall("read_file", {"path": "b"})])]
    others += [named_calls("turn/result", [read]), named_calls("turn/message", [read, read])]
    assert len({one.id, *(call.id for answer in others for call in answer)}) == 6


@pytest.mark.parametrize(
    ("name", "again", "said"),
    [("read_file", 2, "its text"), ("write_file", 1, "Corral was stopped"), ("open_tab", 0, "Corral was stopped")],
)
async def test_call_that_ended_without_a_result_is_done_again_only_where_that_is_harmless(tmp_path, name, again, said):
    """As a version left it that said a call had ended before its result was on disk."""
    call = ToolCall(name, {"path": "a"})
    tools = reads(), writes(), tool("open_tab", where="client")
    async with world(tmp_path, {"coder": [calls(call), "Well."]}, *tools) as here:
        first = here.orchestrator()
        await talk(first.process_message(SESSION, "Do it", "coder", ends_when_waiting=True))
        (asked,) = here.sessions.messages[SESSION][1].tool_calls
        del here.sessions.messages[SESSION][2:]
        here.sessions.keys = {key: at for key, at in here.sessions.keys.items() if at <= 2}
        store = CallStore(here.database)
        await store.end(SESSION, asked.id or "")
        row = await store.get(SESSION, asked.id or "")
        assert row is not None
        assert row.state is CallState.ENDED
        await here.database.write(lambda connection: connection.execute("UPDATE turns SET state = 'running'") and None)
        here.source = type(here.source)({"coder": ["Well."]})
        second = here.orchestrator()
        following = await followed(second, SESSION)
        await second.recover()
        assert (await following)[-1].kind == "done"
        assert here.said()[2][1].startswith(said)
        assert len(here.tools.tools[name].done) == again
