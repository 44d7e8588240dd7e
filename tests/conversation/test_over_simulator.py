"""A whole turn: a simulated server, the pool, real sessions, tools on real files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.conversation.chunks import StreamChunk
from infrastructure.conversation.ports import Decided
from infrastructure.conversation.saying import Said
from infrastructure.events.catalogue import AgentSwitched
from infrastructure.ids import RunId
from infrastructure.sessions.approvals import Edit
from tests.conversation.stack import OPEN_TAB, called, simulator, stack
from tests.conversation.world import MemoryApprovals, followed, kinds, talk


def workspace(folder):
    folder.mkdir()
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    return folder


async def test_question_is_handed_over_a_file_is_read_mended_after_a_yes_and_the_answer_streamed(tmp_path):
    edit = '{"path": "calc.py", "search": "a - b", "replace": "a + b"}'
    turns = (
        called("switch_mode", '{"agent": "coder", "reason": "it is a change"}'),
        "Let me look. " + called("read_file", '{"path": "calc.py"}'),
        called("apply_edit", edit),
        "It adds now.",
    )
    folder = workspace(tmp_path / "work")
    async with (
        simulator(*turns) as server,
        stack(tmp_path, server.url) as here,
    ):
        session = await here.session(folder)
        first = await talk(here.conversations.process_message(session, "Mend calc.py", ends_when_waiting=True))
        assert kinds(first) == [
            "tool_call", "switch", "tool_result", "text", "tool_call", "tool_result", "tool_call", "approval",
        ]  # fmt: skip
        assert "return a - b" in (folder / "calc.py").read_text()
        (asked,) = await here.approvals.pending(session)
        assert asked.id == first[-1].approval
        assert "+    return" in asked.action.description or "+a + b" in asked.action.description
        following = await followed(here.conversations, session)
        await here.conversations.decide(asked.id, Decided(kind="approve"), "test")
        rest = await following
        assert rest[-1].kind == "done"
        assert "return a + b" in (folder / "calc.py").read_text()
        assert [role for role, _ in here.said(session)] == [
            "user", "assistant", "tool", "assistant", "tool", "assistant", "tool", "assistant",
        ]  # fmt: skip
        assert here.said(session)[-1] == ("assistant", "It adds now.")
        assert here.contexts.get_current_agent(session) == "coder"
        switches = await here.contexts.get_switch_history(session)
        assert [(each.previous, each.agent, each.by) for each in switches] == [
            ("", "orchestrator", "person"),
            ("orchestrator", "coder", "agent"),
        ]
        events = [stored.event for stored in await here.log.read(RunId(session), 0, 1000)]
        told = [event.kind for event in events if event.kind.startswith(("tool.", "agent."))]
        assert told.count("tool.requested") == 3
        assert told.count("tool.completed") == 3
        assert told.count("tool.approval_required") == 1
        assert sum(isinstance(event, AgentSwitched) for event in events) == 2


async def test_call_printed_as_json_is_recovered(tmp_path):
    printed = '```json\n{"name": "read_file", "arguments": {"path": "calc.py"}}\n```'
    async with simulator(printed, "It subtracts.") as server, stack(tmp_path, server.url) as here:
        session = await here.session(workspace(tmp_path / "work"))
        chunks = await talk(here.conversations.process_message(session, "What does it do?", "ask"))
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [True]
        assert "return a - b" in here.said(session)[2][1]
        assert here.said(session)[-1] == ("assistant", "It subtracts.")


async def test_model_without_tools_is_told_of_them_in_its_prompt(tmp_path):
    printed = called("read_file", '{"path": "calc.py"}')
    async with (
        simulator(printed, "It subtracts.", template="plain") as server,
        stack(tmp_path, server.url) as here,
    ):
        session = await here.session(workspace(tmp_path / "work"))
        chunks = await talk(here.conversations.process_message(session, "What does it do?", "ask"))
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [True]
        assert here.said(session)[-1] == ("assistant", "It subtracts.")
        failed = [
            stored for stored in await here.log.read(RunId(session), 0, 1000) if stored.event.kind == "call.failed"
        ]
        assert len(failed) == 1, "it is found out once"


async def test_answer_of_the_manager_itself_is_looked_at_again_and_an_edit_is_what_is_done(tmp_path):
    write = called("write_file", '{"path": "new.py", "content": "x = 1"}')
    folder = workspace(tmp_path / "work")
    async with simulator(write, "Written.") as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        await talk(here.conversations.process_message(session, "Write it", "coder", ends_when_waiting=True))
        (asked,) = await here.approvals.pending(session)
        edit = Edit({"path": "new.py", "content": "x = 2\n"})
        following = await followed(here.conversations, session)
        await here.approvals.decide(asked.id, edit, by="door", nonce=asked.nonce)
        await here.conversations.resume(session)
        assert (await following)[-1].kind == "done"
        assert (folder / "new.py").read_text() == "x = 2\n"
        assert (await here.approvals.get(asked.id)).state == "used"


async def test_architect_cannot_write_code(tmp_path):
    write = called("write_file", '{"path": "new.py", "content": "x = 1"}')
    notes = called("write_file", '{"path": "notes.md", "content": "A plan."}')
    folder = workspace(tmp_path / "work")
    people = MemoryApprovals()
    async with simulator(write, notes, "Planned.") as server, stack(tmp_path, server.url, people) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Plan it", "architect"))
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [False, True]
        assert not (folder / "new.py").exists()
        assert (folder / "notes.md").read_text() == "A plan.\n"


async def test_cancel_stops_the_generation_on_the_server(tmp_path):
    long = "word " * 2_000
    begun = asyncio.Event()

    async def watch(chunks: AsyncIterator[StreamChunk]) -> list[str]:
        seen: list[str] = []
        async for chunk in chunks:
            seen.append(chunk.kind)
            begun.set()
        return seen

    async with (
        simulator(long, time_scale=1.0, decode_tokens_per_second=200) as server,
        stack(tmp_path, server.url) as here,
    ):
        session = await here.session()
        await here.conversations.begin(session, Said("Say much"))
        watching = asyncio.create_task(watch(here.conversations.follow(session)))
        await begun.wait()
        await here.conversations.cancel(session)
        *before, last = await watching
        assert (set(before), last) == ({"text"}, "failed")
        await server.truth.until(lambda truth: not truth.in_slots())
        assert here.said(session) == [("user", "Say much")]


@pytest.mark.slow
async def test_summaries_go_by_the_numbers_of_the_store_twice_in_a_session(tmp_path):
    answers = [f"Answer {at}: " + " ".join(f"w{at * 1000 + each}" for each in range(300)) for at in range(30)]
    async with (
        simulator(*answers, num_ctx=6144) as server,
        stack(tmp_path, server.url, num_ctx=6144) as here,
    ):
        session = await here.session()
        for at in range(9):
            chunks = await talk(here.conversations.process_message(session, f"Question {at}", "ask"))
            assert chunks[-1].kind == "done", chunks[-1]
        messages = here.sessions.get_messages(session)
        assert [each.message.role for each in messages].count("system") == 1
        assert messages[0].upto > 6
        assert "Question 0" in messages[0].message.content
        assert messages[-1].number > 18


async def test_client_declares_its_tools_and_does_its_calls(tmp_path):
    turns = (called("open_tab", '{"path": "calc.py"}'), "It is open.")
    async with simulator(*turns) as server, stack(tmp_path, server.url, MemoryApprovals()) as here:
        session = await here.session(workspace(tmp_path / "work"), [OPEN_TAB])
        chunks = await talk(here.conversations.process_message(session, "Open it", "coder", ends_when_waiting=True))
        assert (chunks[-1].kind, chunks[-1].tool) == ("client_call", "open_tab")
        following = await followed(here.conversations, session)
        assert await here.conversations.submit_tool_result(session, chunks[-1].call, "opened")
        assert (await following)[-1].kind == "done"
        assert "opened" in here.said(session)[2][1]
