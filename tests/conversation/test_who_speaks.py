"""Who has a turn: the agent whose calls are open, over hand-overs, summaries and the end of the process."""

from __future__ import annotations

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from agents.conversation.chunks import StreamChunk
from agents.conversation.roster import AgentProfile
from agents.conversation.router import AgentRouter
from agents.model import Message, ToolCall
from infrastructure.conversation.orchestrator import MultiAgentOrchestrator
from infrastructure.conversation.ports import Decided, ToolOutcome
from infrastructure.conversation.scope import TurnLimits
from tests.conversation.world import (
    SESSION,
    MemoryApprovals,
    World,
    calls,
    followed,
    switch,
    talk,
    tool,
    world,
    writes,
)

READ = ToolCall("read_file", {"path": "a"})
WRITE = ToolCall("write_file", {"path": "a"})
TO_ASK = ToolCall("switch_mode", {"agent": "ask", "reason": "it only has to be told"})
PROCESSES = pytest.mark.parametrize("process", ["the same", "another"])


async def asked(here: World, agent: str | None = None) -> tuple[MultiAgentOrchestrator, str]:
    """Have a turn wait for a yes; who can give that in which conversations."""
    conversations = here.orchestrator()
    told = await talk(conversations.process_message(SESSION, "Do it", agent, ends_when_waiting=True))
    return conversations, told[-1].approval


async def after(process: str, here: World, conversations: MultiAgentOrchestrator) -> MultiAgentOrchestrator:
    if process == "the same":
        return conversations
    await conversations.drain()
    here.saver = InMemorySaver()
    another = here.orchestrator()
    await another.recover()
    return another


@PROCESSES
async def test_call_that_was_allowed_is_done_for_the_agent_that_asked_though_its_answer_handed_over(tmp_path, process):
    scripts = {"coder": [calls(TO_ASK, WRITE)], "ask": ["It is written."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        conversations, approval = await asked(here, "coder")
        conversations = await after(process, here, conversations)
        following = await followed(conversations, SESSION)
        await conversations.decide(approval, Decided(kind="approve"))
        last = (await following)[-1]
        assert (last.kind, last.agent) == ("done", "ask")
        assert here.tools.tools["write_file"].done == [{"path": "a"}]
        assert here.approvals.used == [approval]
        assert here.said()[-2:] == [("tool", "written"), ("assistant", "It is written.")]


def summarising(here: World) -> None:
    """Have a summary stand for all before the answer whose call is read_file, once that is done."""

    async def do(arguments: object) -> ToolOutcome:
        messages = here.sessions.messages[SESSION]
        messages[:-1] = [Message("system", "what was before")]
        return ToolOutcome("its text")

    here.tools.tools["read_file"] = tool("read_file", do)


async def allowed_behind_a_summary(here: World, process: str) -> StreamChunk:
    """The last chunk of a turn whose words are in a summary when its write is allowed, in this process or the next."""
    summarising(here)
    conversations, approval = await asked(here)
    conversations = await after(process, here, conversations)
    following = await followed(conversations, SESSION)
    await conversations.decide(approval, Decided(kind="approve"))
    return (await following)[-1]


@PROCESSES
async def test_turn_stays_with_the_agent_it_was_handed_to_where_a_summary_has_the_words(tmp_path, process):
    scripts = {"orchestrator": [switch("coder")], "coder": [calls(READ), calls(WRITE), "It is written."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        last = await allowed_behind_a_summary(here, process)
        assert (last.kind, last.agent) == ("done", "coder")
        assert here.tools.tools["write_file"].done == [{"path": "a"}]
        assert here.said()[-1] == ("assistant", "It is written.")


@PROCESSES
async def test_answers_of_a_turn_are_counted_where_a_summary_stands_for_them(tmp_path, process):
    scripts = {"orchestrator": [switch("coder")], "coder": [calls(READ), calls(WRITE), "One too many."]}
    limits = TurnLimits(calls=3)
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file"), limits=limits) as here:
        last = await allowed_behind_a_summary(here, process)
        assert (last.kind, last.text) == ("failed", "the turn has used all its answers")
        assert here.tools.tools["write_file"].done == [{"path": "a"}]


FIXER = AgentProfile(name="fixer", about="Fixes.", tools=("write_file",), body="You fix.")


async def test_turn_that_waits_keeps_its_agents_when_their_files_change(tmp_path):
    scripts = {"fixer": [calls(WRITE), "It is fixed."], "orchestrator": ["Hello."]}
    approvals = MemoryApprovals("write_file")
    async with world(tmp_path, scripts, writes(), approvals=approvals, custom=[FIXER]) as here:
        conversations, approval = await asked(here, "fixer")
        conversations.use_agents(AgentRouter())
        following = await followed(conversations, SESSION)
        await conversations.decide(approval, Decided(kind="approve"))
        last = (await following)[-1]
        assert (last.kind, last.agent) == ("done", "fixer")
        assert here.tools.tools["write_file"].done == [{"path": "a"}]
        assert (await talk(conversations.process_message(SESSION, "Hi")))[-1].agent == "orchestrator"


async def test_turn_of_an_agent_that_is_gone_at_the_next_start_goes_on_with_the_orchestrator(tmp_path):
    scripts = {"fixer": [calls(WRITE)], "orchestrator": ["I may not write."]}
    approvals = MemoryApprovals("write_file")
    async with world(tmp_path, scripts, writes(), approvals=approvals, custom=[FIXER]) as here:
        conversations, approval = await asked(here, "fixer")
        here.custom = ()
        conversations = await after("another", here, conversations)
        following = await followed(conversations, SESSION)
        await conversations.decide(approval, Decided(kind="approve"))
        assert (await following)[-1].ok
        assert here.said()[-2][1].startswith("write_file is not for orchestrator")
        assert here.tools.tools["write_file"].done == []
