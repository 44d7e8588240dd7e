"""A turn over the end of its process: what was done stays done, what waits waits on, nothing happens twice."""

from __future__ import annotations

import asyncio

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents.model import ToolCall
from infrastructure.conversation.errors import Draining
from infrastructure.conversation.ports import Decided, ToolOutcome
from infrastructure.conversation.saying import Said
from infrastructure.workflow.scripted import ScriptedSource
from tests.conversation.world import (
    SESSION,
    MemoryApprovals,
    calls,
    followed,
    kinds,
    reads,
    switch,
    talk,
    tool,
    world,
    writes,
)

READ = ToolCall("read_file", {"path": "a.py"})
WRITE = ToolCall("write_file", {"path": "a.py"})
OPEN_TAB = ToolCall("open_tab", {"path": "a.py"})


class Hung(ScriptedSource):
    """A source whose model never comes to an end; `asked` says that it was asked."""

    def __init__(self) -> None:
        super().__init__({})
        self.begun = asyncio.Event()

    async def ask(self, role, question, call, on_delta, watch):
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("checkpoints", ["kept", "lost"])
async def test_client_call_waits_on_and_is_done_once(tmp_path, checkpoints):
    scripts = {"coder": [calls(OPEN_TAB), "It is open."]}
    async with world(tmp_path, scripts, tool("open_tab", where="client")) as here:
        first = here.orchestrator()
        told = await talk(first.process_message(SESSION, "Open it", "coder", ends_when_waiting=True))
        await first.drain()
        if checkpoints == "lost":
            here.saver = InMemorySaver()
        second = here.orchestrator()
        assert await second.recover() == 0
        assert [each.call for each in await second.waiting(SESSION)] == [told[-1].call]
        again = await talk(second.follow(SESSION, ends_when_waiting=True))
        assert [(chunk.kind, chunk.call) for chunk in again] == [("client_call", told[-1].call)]
        following = await followed(second, SESSION)
        assert await second.submit_tool_result(SESSION, told[-1].call, "opened")
        assert not await second.submit_tool_result(SESSION, told[-1].call, "opened")
        assert (await following)[-1].kind == "done"
        assert here.said()[2:] == [("tool", "opened"), ("assistant", "It is open.")]
        assert (await here.events()).count("tool.requested") == 1


async def test_result_that_came_when_nobody_could_go_on_is_found_at_the_start(tmp_path):
    scripts = {"coder": [calls(OPEN_TAB), "It is open."]}
    async with world(tmp_path, scripts, tool("open_tab", where="client")) as here:
        first = here.orchestrator()
        told = await talk(first.process_message(SESSION, "Open it", "coder", ends_when_waiting=True))
        await first.drain()
        assert await first.submit_tool_result(SESSION, told[-1].call, "opened")
        second = here.orchestrator()
        following = await followed(second, SESSION)
        await second.recover()
        assert (await following)[-1].kind == "done"
        assert here.said()[-1] == ("assistant", "It is open.")


@pytest.mark.parametrize("checkpoints", ["kept", "lost"])
async def test_approval_waits_on_and_is_used_once(tmp_path, checkpoints):
    scripts = {"coder": [calls(WRITE), "Done."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        first = here.orchestrator()
        told = await talk(first.process_message(SESSION, "Write", "coder", ends_when_waiting=True))
        await first.drain()
        if checkpoints == "lost":
            here.saver = InMemorySaver()
        second = here.orchestrator()
        await second.recover()
        following = await followed(second, SESSION)
        await second.decide(told[-1].approval, Decided(kind="approve"))
        assert (await following)[-1].kind == "done"
        assert here.tools.tools["write_file"].done == [{"path": "a.py"}]
        assert here.approvals.used == [told[-1].approval]
        assert (await here.events()).count("tool.approval_required") == 1


@pytest.mark.parametrize("checkpoints", ["kept", "lost"])
async def test_answer_that_was_cut_off_is_asked_for_again(tmp_path, checkpoints):
    async with world(tmp_path, {"ask": [calls(READ), "It adds."], "orchestrator": [switch("ask")]}, reads()) as here:
        whole, here.source = here.source, Hung()
        first = here.orchestrator()
        await first.begin(SESSION, Said("What?"))
        await here.source.begun.wait()
        await first.drain(0.0)
        with pytest.raises(Draining):
            await first.begin(SESSION, Said("What?"))
        here.source = whole
        if checkpoints == "lost":
            here.saver = InMemorySaver()
        second = here.orchestrator()
        following = await followed(second, SESSION)
        assert await second.recover() == 1
        assert (await following)[-1].kind == "done"
        assert [role for role, _ in here.said()] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
        assert here.said()[-1] == ("assistant", "It adds.")


@pytest.mark.parametrize("checkpoints", ["kept", "lost"])
@pytest.mark.parametrize(("effects", "times", "said"), [(False, 2, "read"), (True, 1, "Corral was stopped while")])
async def test_call_with_effects_that_was_cut_off_is_not_done_again(tmp_path, effects, times, said, checkpoints):
    begun = asyncio.Event()

    async def slow(arguments) -> ToolOutcome:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return ToolOutcome("read")

    scripts = {"coder": [calls(READ), "Well."]}
    async with world(tmp_path, scripts, tool("read_file", slow, effects=effects)) as here:
        first = here.orchestrator()
        await first.begin(SESSION, Said("Do it", "coder"))
        await begun.wait()
        await first.drain(0.0)
        if checkpoints == "lost":
            here.saver = InMemorySaver()
        second = here.orchestrator()
        following = await followed(second, SESSION)
        await second.recover()
        assert (await following)[-1].kind == "done"
        assert len(here.tools.tools["read_file"].done) == times
        assert here.said()[2][1].startswith(said)
        assert here.said()[3] == ("assistant", "Well.")


async def test_hand_over_holds_where_the_checkpoint_was_lost_after_it(tmp_path):
    scripts = {"orchestrator": [switch("coder", "a change")], "coder": [calls(OPEN_TAB), "Open."]}
    async with world(tmp_path, scripts, tool("open_tab", where="client")) as here:
        first = here.orchestrator()
        told = await talk(first.process_message(SESSION, "Open it", ends_when_waiting=True))
        await first.drain()
        here.saver = InMemorySaver()
        second = here.orchestrator()
        following = await followed(second, SESSION)
        await second.submit_tool_result(SESSION, told[-1].call, "opened")
        assert kinds(await following)[-2:] == ["text", "done"]
        assert len(here.source.asked("coder")) == 2


async def test_turn_that_was_over_but_for_its_row_ends(tmp_path):
    """Killed after the last message and before the table said so."""
    async with world(tmp_path, {"ask": ["Yes."]}) as here:
        first = here.orchestrator()
        append_with = here.log.append_with

        async def killed(run, execution, work):
            raise asyncio.CancelledError

        here.log.append_with = killed
        await first.begin(SESSION, Said("What?", "ask"))
        await asyncio.wait([first._live[SESSION].task])
        here.log.append_with = append_with
        second = here.orchestrator()
        await second.recover()
        await talk(second.follow(SESSION))
        assert here.said() == [("user", "What?"), ("assistant", "Yes.")]
        assert (await second._parts.turns.last_of(SESSION)).status == "done"
        assert await here.outcomes() == ["done"]


async def test_turn_whose_message_a_crash_took_ends_as_every_other_does(tmp_path):
    async with world(tmp_path, {}) as here:
        here.source = Hung()
        first = here.orchestrator()
        await first.begin(SESSION, Said("Hi"))
        await here.source.begun.wait()
        await first.drain(0)
        here.sessions.messages[SESSION].clear()  # a mode that writes later had it in memory
        here.sessions.keys.clear()
        second = here.orchestrator()
        await second.recover()
        assert await here.outcomes() == ["failed"]
        assert await talk(second.follow(SESSION)) == []
