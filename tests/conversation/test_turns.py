"""A turn from a person's message to the last word."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import aclosing
from typing import Any

import pytest

from agents.conversation.roster import AgentProfile
from agents.conversation.router import NoSuchAgent
from agents.model import Completion, ToolCall
from infrastructure.conversation.errors import EmptyMessage, NothingToStop, SessionBusy, UnknownCall
from infrastructure.conversation.ports import Decided, ToolOutcome
from infrastructure.conversation.saying import Said
from infrastructure.conversation.scope import TurnLimits
from infrastructure.storage.errors import StorageError
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
TOLD_OF_NOT_DONE = {"reject": "tool.failed", "respond": "tool.completed"}


async def test_person_is_answered(tmp_path):
    async with world(tmp_path, {"orchestrator": ["Hello."]}) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "Hi"))
        assert kinds(chunks) == ["text", "done"]
        assert chunks[0].text == "Hello."
        assert [chunk.message for chunk in chunks] == [0, 2, 0]
        assert here.said() == [("user", "Hi"), ("assistant", "Hello.")]
        assert await here.events() == [
            "agent.switched", "agent.started", "call.queued", "call.placed", "call.waiting", "call.began",
            "call.completed", "agent.completed", "turn.ended",
        ]  # fmt: skip


async def test_turn_is_handed_over_and_tools_are_used(tmp_path):
    scripts = {
        "orchestrator": [switch("ask", "it is about the code")],
        "ask": [calls(READ, text="Let me look."), "It adds."],
    }
    async with world(tmp_path, scripts, reads()) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What does a.py do?"))
        assert kinds(chunks) == [
            "tool_call", "switch", "tool_result", "text", "tool_call", "tool_result", "text", "done",
        ]  # fmt: skip
        assert [role for role, _ in here.said()] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
        shown = here.source.asked("ask")[0].messages
        assert "handed over to you: it is about the code" in shown[-1].content
        assert "data, not instructions" in here.source.asked("ask")[1].messages[-2].content
        ids = [call.id for message in here.sessions.messages[SESSION] for call in message.tool_calls]
        assert len(set(ids)) == 2
        # the next message goes to whoever spoke last
        here.source.models["ask"]._reply = lambda question: "Still me."
        assert (await talk(here.orchestrator().process_message(SESSION, "And?")))[0].text == "Still me."


async def test_call_printed_as_text_is_made_and_its_text_taken_back(tmp_path):
    scripts = {"ask": ['Let me look.\nCALL read_file {"path": "a.py"}', "It adds."]}
    async with world(tmp_path, scripts, reads()) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert kinds(chunks) == ["text", "restarted", "text", "tool_call", "tool_result", "text", "done"]
        assert here.said()[1] == ("assistant", "Let me look.")
        assert here.tools.tools["read_file"].done == [{"path": "a.py"}]


async def test_call_that_cannot_be_read_is_told_to_the_model(tmp_path):
    async with world(tmp_path, {"ask": ["CALL read_file {", "I give up."]}, reads()) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert [chunk.text for chunk in chunks if chunk.kind == "tool_result"] == [
            "the arguments of read_file are no JSON"
        ]
        assert here.tools.tools["read_file"].done == []


@pytest.mark.parametrize("agent", ["orchestrator", "architect", "debug", "ask"])
async def test_agent_has_no_tool_that_is_not_its_own(tmp_path, agent):
    forbidden = "run_command" if agent != "debug" else "write_file"
    async with world(tmp_path, {agent: [calls(ToolCall(forbidden, {})), "Well."]}, writes(forbidden)) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "Do it", agent))
        assert "is not for" in next(chunk.text for chunk in chunks if chunk.kind == "tool_result")
        assert here.tools.tools[forbidden].done == []
        offered = {each.name for each in here.source.asked(agent)[0].tools}
        assert forbidden not in offered


async def test_architect_may_write_markdown_only(tmp_path):
    scripts = {"architect": [calls(WRITE), "Planned."]}
    async with world(tmp_path, scripts, writes()) as here:
        await talk(here.orchestrator().process_message(SESSION, "Plan it", "architect"))
        assert here.tools.places[0].writes_only == ("*.md", "**/*.md")


@pytest.mark.parametrize(
    ("decided", "done", "said"),
    [
        (Decided(kind="approve"), [{"path": "a.py"}], "written"),
        (Decided(kind="edit", arguments={"path": "b.py"}), [{"path": "b.py"}], "written"),
        (Decided(kind="reject", text="not that file"), [], "The person said no: not that file"),
        (Decided(kind="respond", text="It is written already."), [], "It is written already."),
    ],
)
async def test_call_waits_for_a_person_and_does_what_they_say(tmp_path, decided, done, said):
    scripts = {"coder": [calls(WRITE), "Done."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        conversations = here.orchestrator()
        first = await talk(conversations.process_message(SESSION, "Write it", "coder", ends_when_waiting=True))
        assert kinds(first) == ["tool_call", "approval"]
        assert here.tools.tools["write_file"].done == []
        assert [each.approval for each in await conversations.waiting(SESSION)] == [first[-1].approval]
        following = await followed(conversations, SESSION)
        await conversations.decide(first[-1].approval, decided)
        rest = await following
        assert rest[-1].kind == "done"
        assert here.tools.tools["write_file"].done == done
        assert here.said()[2] == ("tool", said)
        assert here.said()[3] == ("assistant", "Done.")
        told = [kind for kind in await here.events() if kind.startswith("tool.")]
        ends = ["tool.started", "tool.completed"] if done else [TOLD_OF_NOT_DONE[decided.kind]]
        assert told == ["tool.requested", "tool.approval_required", *ends]


async def test_question_that_nobody_answered_in_time_ends_the_turn_which_says_so(tmp_path):
    scripts = {"coder": [calls(WRITE), "Asked once more."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        conversations = here.orchestrator()
        first = await talk(conversations.process_message(SESSION, "Write it", "coder", ends_when_waiting=True))
        following = await followed(conversations, SESSION)
        await conversations.decide(first[-1].approval, Decided(kind="expired"))
        rest = await following
        assert (rest[-1].kind, rest[-1].ok) == ("failed", False)
        assert "write_file was not done, since nobody answered in time" in rest[-1].text
        assert here.said()[-1] == ("tool", "Nobody answered in time, so it was not done.")
        assert here.tools.tools["write_file"].done == []
        assert len(here.source.asked("coder")) == 1, "nothing goes on by itself when nobody came"
        # and the next message goes on from there
        again = await talk(conversations.process_message(SESSION, "Go on", ends_when_waiting=True))
        assert again[-1].kind == "done"
        assert "Nobody answered in time" in here.source.asked("coder")[1].messages[-2].content


async def test_one_answer_of_two_leaves_the_turn_waiting_for_the_other(tmp_path):
    second = ToolCall("write_file", {"path": "b.py"})
    scripts = {"coder": [calls(WRITE, second), "Done."]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        conversations = here.orchestrator()
        chunks = await talk(conversations.process_message(SESSION, "Write", "coder", ends_when_waiting=True))
        one, two = [chunk.approval for chunk in chunks if chunk.kind == "approval"]
        await conversations.decide(two, Decided(kind="approve"))  # the later first: it waits for its turn
        await talk(conversations.follow(SESSION, ends_when_waiting=True))
        assert here.tools.tools["write_file"].done == []
        await conversations.decide(one, Decided(kind="approve"))
        await talk(conversations.follow(SESSION))
        assert here.tools.tools["write_file"].done == [{"path": "a.py"}, {"path": "b.py"}]
        assert here.approvals.used == [one, two]


async def test_client_does_a_call_once(tmp_path):
    scripts = {"coder": [calls(OPEN_TAB), "It is open."]}
    async with world(tmp_path, scripts, tool("open_tab", where="client")) as here:
        conversations = here.orchestrator()
        chunks = await talk(conversations.process_message(SESSION, "Open it", "coder", ends_when_waiting=True))
        assert (chunks[-1].kind, chunks[-1].tool, chunks[-1].arguments) == ("client_call", "open_tab", {"path": "a.py"})
        with pytest.raises(UnknownCall):
            await conversations.submit_tool_result(SESSION, "call_of_nobody", "x")
        following = await followed(conversations, SESSION)
        assert await conversations.submit_tool_result(SESSION, chunks[-1].call, "opened")
        assert not await conversations.submit_tool_result(SESSION, chunks[-1].call, "opened again")
        assert (await following)[-1].kind == "done"
        assert here.said()[2:] == [("tool", "opened"), ("assistant", "It is open.")]


async def test_second_message_is_refused_while_a_turn_is_open(tmp_path):
    scripts = {"coder": [calls(OPEN_TAB), "Open."]}
    async with world(tmp_path, scripts, tool("open_tab", where="client")) as here:
        conversations = here.orchestrator()
        await talk(conversations.process_message(SESSION, "Open it", "coder", ends_when_waiting=True))
        with pytest.raises(SessionBusy, match="open_tab"):
            await conversations.begin(SESSION, Said("Hello?"))
        assert len(here.said()) == 2


async def test_cancel_closes_what_waits_and_the_next_message_begins_anew(tmp_path):
    scripts = {"coder": [calls(WRITE), "Yes?"]}
    async with world(tmp_path, scripts, writes(), approvals=MemoryApprovals("write_file")) as here:
        conversations = here.orchestrator()
        await talk(conversations.process_message(SESSION, "Write", "coder", ends_when_waiting=True))
        following = asyncio.create_task(talk(conversations.follow(SESSION)))
        await conversations.cancel(SESSION)
        assert (await following)[-1].kind == "failed"
        assert here.said()[-1] == ("tool", "Not done: cancelled by a person.")
        assert len(here.approvals.withdrawn) == 1
        with pytest.raises(NothingToStop):
            await conversations.cancel(SESSION)
        assert (await talk(conversations.process_message(SESSION, "Still there?")))[-1].kind == "done"
        assert await here.outcomes() == ["cancelled", "done"]


async def test_cancel_in_the_middle_of_an_answer_keeps_nothing_of_it(tmp_path):
    asked, never = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedSource):
        async def ask(self, role, question, call, on_delta, watch):
            asked.set()
            await never.wait()
            raise AssertionError

    async with world(tmp_path, {}) as here:
        here.source = Slow({})
        conversations = here.orchestrator()
        await conversations.begin(SESSION, Said("Hi"))
        await asked.wait()
        await conversations.cancel(SESSION)
        assert here.said() == [("user", "Hi")]
        assert await here.outcomes() == ["cancelled"]


async def test_watcher_may_leave_and_the_turn_goes_on(tmp_path):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(arguments) -> ToolOutcome:
        begun.set()
        await go_on.wait()
        return ToolOutcome("read")

    async with world(tmp_path, {"ask": [calls(READ), "It adds."]}, tool("read_file", slow)) as here:
        conversations = here.orchestrator()
        async with aclosing(conversations.process_message(SESSION, "What?", "ask")) as chunks:
            async for chunk in chunks:
                assert chunk.kind == "tool_call"
                break
        await begun.wait()
        late = asyncio.create_task(talk(conversations.follow(SESSION)))
        go_on.set()
        assert kinds(await late) == ["tool_call", "tool_result", "text", "done"]


async def test_agent_that_goes_in_circles_is_told_and_then_stopped(tmp_path):
    async with world(tmp_path, {"ask": lambda question: calls(READ)}, reads()) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert (chunks[-1].kind, chunks[-1].text[:9]) == ("failed", "the agent")
        assert len(here.tools.tools["read_file"].done) == 4
        assert "going in circles" in here.source.asked("ask")[3].messages[-1].content
        assert "going in circles" not in here.source.asked("ask")[2].messages[-1].content


async def test_last_answer_of_a_turn_is_in_words(tmp_path):
    def reply(question):
        number = len(question.messages)
        return calls(ToolCall("read_file", {"path": f"{number}.py"})) if question.tools else "As far as I came."

    async with world(tmp_path, {"ask": reply}, reads(), limits=TurnLimits(calls=3)) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert (chunks[-1].kind, here.said()[-1]) == ("done", ("assistant", "As far as I came."))
        assert len(here.source.asked("ask")) == 3


async def test_turn_is_handed_over_only_so_often(tmp_path):
    def reply(question):
        return switch("coder" if "answerer" in question.messages[0].content else "ask")

    limits = TurnLimits(handovers=2, calls=5)
    async with world(tmp_path, {"ask": reply, "coder": reply}, limits=limits) as here:
        await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert (await here.events()).count("agent.switched") == 3  # the person's choice is one
        assert any("which is the most" in text for _, text in here.said())


async def test_unattended_turn_leaves_out_what_would_ask_and_says_so(tmp_path):
    scripts = {"coder": [calls(WRITE), "I could not write."]}
    async with world(tmp_path, scripts, writes(), reads(), approvals=MemoryApprovals("write_file")) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "Write", "coder", unattended=True))
        offered = [each.name for each in here.source.asked("coder")[0].tools]
        assert "write_file" not in offered
        assert "read_file" in offered
        assert here.approvals.asked == {}
        assert here.said()[-1][1].endswith("so these tools were left out: write_file.)")
        assert chunks[-1].kind == "done"


async def test_unattended_turn_does_what_a_rule_allows_and_refuses_the_rest(tmp_path):
    scripts = {"coder": [calls(WRITE), calls(ToolCall("apply_edit", {"path": "a.py"})), "Done."]}
    people = MemoryApprovals("write_file", "apply_edit")
    people.ruled = {"write_file"}
    async with world(tmp_path, scripts, writes(), writes("apply_edit"), approvals=people) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "Write", "coder", unattended=True))
        offered = {each.name for each in here.source.asked("coder")[0].tools}
        assert ("write_file" in offered, "apply_edit" in offered) == (True, False)
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [True, False]
        assert here.tools.tools["write_file"].done == [{"path": "a.py"}]
        assert here.tools.tools["apply_edit"].done == []
        assert len(here.approvals.used) == 1, "the yes of a rule is spent as any other"
        assert here.said()[-1][1].endswith("so these tools were left out: apply_edit.)")


async def test_empty_answer_is_asked_for_once_more_without_thinking(tmp_path):
    async with world(tmp_path, {"ask": [Completion(text="", thinking="Hm."), "Here."]}) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert kinds(chunks) == ["restarted", "text", "done"]
        assert [question.think for question in here.source.asked("ask")] == [False, False]


async def test_model_without_an_answer_ends_the_turn_with_a_way_out(tmp_path):
    async with world(tmp_path, {"ask": ["", ""]}) as here:
        chunks = await talk(here.orchestrator().process_message(SESSION, "What?", "ask"))
        assert chunks[-1].kind == "failed"
        assert "no answer" in chunks[-1].text
        assert "roles" in chunks[-1].text
        assert "agent.failed" in await here.events()
        assert await here.outcomes() == ["failed"]
        assert here.said() == [("user", "What?")]


async def test_long_history_is_summarised_and_keeps_its_anchors(tmp_path):
    long = "word " * 3000

    def reply(question):
        return "Yes." if "first thing" in question.messages[1].content else f"Said {len(question.messages)}."

    scripts = {"ask": reply, "summariser": ["They spoke of words."]}
    async with world(tmp_path, scripts) as here:
        here.source.window = 4_500
        here.sessions.todos = ("mend it",)
        conversations = here.orchestrator()
        await talk(conversations.process_message(SESSION, "The first thing.", "ask"))
        chunks = await talk(conversations.process_message(SESSION, long))
        assert chunks[-1].kind == "failed"  # one message alone that is too long
        chunks = await talk(conversations.process_message(SESSION, "Short again."))
        assert chunks[-1].kind == "done"
        summary = [text for role, text in here.said() if role == "system"][-1]
        for anchor in ("Summary of messages 1 to 3.", "The first thing.", "- mend it", "They spoke of words."):
            assert anchor in summary
        shown = here.source.asked("ask")[-1].messages
        assert "They spoke of words." in shown[1].content
        assert not any(long in message.content for message in shown)


async def test_custom_agent_is_a_name_beside_the_six(tmp_path):
    poet = AgentProfile(name="poet", about="Rhymes.", tools=(), body="You rhyme.")
    async with world(tmp_path, {"poet": ["Ode."], "orchestrator": ["Hi."]}, custom=(poet,)) as here:
        conversations = here.orchestrator()
        assert (await talk(conversations.process_message(SESSION, "Sing", "poet")))[0].text == "Ode."
        assert here.source.asked("poet")[0].messages[0].content.startswith("You rhyme.\n")
        with pytest.raises(NoSuchAgent):
            await conversations.begin(SESSION, Said("Sing", "nobody"))
        here.custom = ()  # its file is gone
        assert (await talk(here.orchestrator().process_message(SESSION, "Hi")))[0].text == "Hi."


async def test_empty_message_and_unknown_session_begin_nothing(tmp_path):
    async with world(tmp_path, {}) as here:
        conversations = here.orchestrator()
        with pytest.raises(EmptyMessage):
            await conversations.begin(SESSION, Said(" \n"))
        with pytest.raises(LookupError):
            await conversations.begin("nobody's", Said("Hi"))
        assert await talk(conversations.follow(SESSION)) == []


async def full(*_: object) -> None:
    """What a full disk makes of a write."""
    raise StorageError("the disk is full")


async def test_end_that_cannot_be_kept_is_told_as_a_failure_and_written_before_the_next_turn(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello.", "Yes."]}) as here:
        conversations = here.orchestrator()
        with monkeypatch.context() as patch:
            patch.setattr(here.log, "append_with", full)
            told = await talk(conversations.process_message(SESSION, "Hi"))
            assert await talk(conversations.follow(SESSION)) == []  # nothing to wait for, though the row says it runs
            with pytest.raises(StorageError):
                await conversations.begin(SESSION, Said("Still full?"))
        assert (told[-1].kind, told[-1].ok) == ("failed", False)
        assert "the disk is full" in told[-1].text
        assert (await talk(conversations.process_message(SESSION, "Still there?")))[-1].kind == "done"
        assert await here.outcomes() == ["failed", "done"]
        assert [text for role, text in here.said() if role == "user"] == ["Hi", "Still there?"]


async def test_turn_whose_end_could_not_be_kept_is_not_gone_on_with(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello."]}) as here:
        conversations = here.orchestrator()
        with monkeypatch.context() as patch:
            patch.setattr(here.log, "append_with", full)
            await talk(conversations.process_message(SESSION, "Hi"))
        await conversations.resume(SESSION)  # of a question that came too late: it is over, and not gone on with
        assert await here.outcomes() == ["failed"]
        with pytest.raises(NothingToStop):
            await conversations.cancel(SESSION)


async def test_end_that_could_not_be_kept_is_written_before_the_process_ends(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello."]}) as here:
        conversations = here.orchestrator()
        with monkeypatch.context() as patch:
            patch.setattr(here.log, "append_with", full)
            await talk(conversations.process_message(SESSION, "Hi"))
        await conversations.drain()
        assert await here.outcomes() == ["failed"]


async def test_session_whose_turns_end_cannot_be_kept_can_be_deleted(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello."]}) as here:
        conversations = here.orchestrator()
        monkeypatch.setattr(here.log, "append_with", full)
        await talk(conversations.process_message(SESSION, "Hi"))
        await conversations.delete(SESSION)
        assert await here.outcomes() == ["cancelled"]
        assert SESSION not in here.sessions.messages


async def test_request_that_is_sent_again_after_a_failed_flush_finds_its_turn(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello.", "Hello again."]}) as here:
        conversations, refused = here.orchestrator(), [StorageError("the disk is full")] * 2

        async def full(session: str) -> None:
            if refused:
                raise refused.pop()

        monkeypatch.setattr(here.sessions, "flush", full)
        following = await followed(conversations, SESSION)
        for _ in range(2):
            with pytest.raises(StorageError):
                await conversations.begin(SESSION, Said("Hi", key="k1"))
        turn = await conversations.begin(SESSION, Said("Hi", key="k1"))
        assert (await following)[-1].kind == "done"
        assert await conversations.begin(SESSION, Said("Hi", key="k1")) == turn
        assert here.said() == [("user", "Hi"), ("assistant", "Hello.")]
        assert await here.outcomes() == ["done"]


async def test_error_of_an_event_of_before_leaves_the_end_as_it_is(tmp_path, monkeypatch):
    async with world(tmp_path, {"orchestrator": ["Hello."]}) as here:
        append_with, lost = here.log.append_with, [ValueError("an event that was lost")]

        async def telling_once(*given: Any) -> object:
            if lost:
                raise lost.pop()
            return await append_with(*given)

        monkeypatch.setattr(here.log, "append_with", telling_once)
        assert (await talk(here.orchestrator().process_message(SESSION, "Hi")))[-1].kind == "done"
        assert await here.outcomes() == ["done"]


async def test_checkpoints_that_cannot_be_deleted_hold_nobody_up(tmp_path, monkeypatch, caplog):
    async def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with world(tmp_path, {"orchestrator": ["Hello.", "Yes."]}) as here:
        conversations = here.orchestrator()
        monkeypatch.setattr(here.saver, "adelete_thread", full)
        for said in ("Hi", "And again"):
            assert (await talk(conversations.process_message(SESSION, said)))[-1].kind == "done"
        assert await here.outcomes() == ["done", "done"]
        assert "its checkpoints could not be deleted" in caplog.text
