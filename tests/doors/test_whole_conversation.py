"""One conversation from a question to the last word, by both doors and over a restart: nothing is missing, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversation.stack import called, simulator
from tests.doors.house import OPEN_TAB, SESSIONS, house, kinds

SCRIPT = (
    "Let me look. " + called("read_file", '{"path": "calc.py"}'),
    called("apply_edit", '{"path": "calc.py", "search": "a - b", "replace": "a + b"}'),
    called("open_tab", '{"path": "calc.py"}'),
    called("switch_mode", '{"agent": "ask", "reason": "only words are left"}'),
    "It adds now, and it is open.",
    "Because it took away.",
)


@pytest.mark.slow
async def test_question_tool_approval_client_tool_switch_restart_and_the_history_is_whole(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    calc = tmp_path / "work" / "calc.py"
    calc.write_text("def add(a, b):\n    return a - b\n")
    async with simulator(*SCRIPT) as server:
        async with house(tmp_path, server.url) as here:
            session = await here.session(OPEN_TAB, agent="coder", title="Mend add")

            # 1. The question, by HTTP: a tool is used, then the turn waits for a person.
            frames = await here.say(session, "Mend calc.py and open it.")
            assert kinds(frames) == ["text", "tool_call", "tool_result", "tool_call", "approval", "waiting"]
            (asked,) = frames[-1].json["approvals"]
            assert (asked["tool"], "a - b" in calc.read_text()) == ("apply_edit", True)

            # 2. The yes, by WebSocket; the turn goes on until it waits for the client.
            async with here.line(session) as line:
                yes = {"type": "decide", "approval": asked["id"], "nonce": asked["nonce"], "decision": "approve"}
                assert (await line.say({"id": "yes-1", **yes}))["type"] == "accepted"
                call = await line.chunk("client_call")
                assert (call["tool"], call["arguments"]) == ("open_tab", {"path": "calc.py"})
                assert "a + b" in calc.read_text()
                seen = line.events()[-1]["seq"]

        # 3. The server ends and another begins. The same call still waits for the client.
        async with house(tmp_path, server.url) as here:
            waiting = (await here.client.get(f"{SESSIONS}/{session}/waiting")).json()
            assert [each["call"] for each in waiting["client_calls"]] == [call["call"]]

            # 4. The client's result, by WebSocket, and once more by HTTP; the agent switches, and the turn ends.
            async with here.line(session, after=seen) as line:
                done = {"type": "tool_result", "call": call["call"], "content": "opened"}
                assert (await line.say(done))["taken"] is True
                assert (await line.chunk("switch"))["agent"] == "ask"
                await line.chunk("done")
            again = await here.client.post(
                f"{SESSIONS}/{session}/tools/{call['call']}/result", json={"content": "shut"}
            )
            assert again.json() == {"call": call["call"], "taken": False}

        # 5. Another restart, and one more question, by WebSocket, to the agent that has it now.
        async with house(tmp_path, server.url) as here:
            async with here.line(session) as line:
                assert (await line.say({"type": "message", "text": "Why?"}))["type"] == "accepted"
                assert (await line.chunk("done"))["agent"] == "ask"
            page = (await here.client.get(f"{SESSIONS}/{session}/history")).json()
            history = await here.history(session)
            events = (await here.client.get(f"{SESSIONS}/{session}/events")).json()["events"]

    # 6. The history is complete, in order, and the same however it is read.
    assert (page["current_agent"], page["next"]) == ("ask", None)
    assert page["messages"][::-1] == history
    assert [(each["number"], each["role"], each["agent"]) for each in history] == [
        (1, "user", ""),
        (2, "assistant", "coder"),
        (3, "tool", ""),
        (4, "assistant", "coder"),
        (5, "tool", ""),
        (6, "assistant", "coder"),
        (7, "tool", ""),
        (8, "assistant", "coder"),
        (9, "tool", ""),
        (10, "assistant", "ask"),
        (11, "user", ""),
        (12, "assistant", "ask"),
    ]
    assert [each["name"] for message in history for each in message["tool_calls"]] == [
        "read_file", "apply_edit", "open_tab", "switch_mode",
    ]  # fmt: skip
    asked_for = [each["id"] for message in history for each in message["tool_calls"]]
    assert [message["tool_call_id"] for message in history if message["role"] == "tool"] == asked_for
    assert "opened" in history[6]["content"]
    assert [history[at]["content"] for at in (0, 9, 10, 11)] == [
        "Mend calc.py and open it.", "It adds now, and it is open.", "Why?", "Because it took away.",
    ]  # fmt: skip

    # 7. The events tell the same story, numbered without a gap, each with what began it.
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["number"] for event in events if event["kind"] == "message.added"] == list(range(1, 13))
    decided = next(event for event in events if event["kind"] == "approval.decided")
    assert (decided["by"], decided["correlation"]) == ("websocket", "yes-1")
    assert [event["agent"] for event in events if event["kind"] == "agent.switched"] == ["ask"]
