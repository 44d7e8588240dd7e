"""A conversation of agents on a real server, whoever reads the calls: it, llama-server behind it, or we in the text.

The models say `talk_scripts.json`, by how many answers the conversation has (docs/real-server.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from infrastructure.config.settings import LaneSettings, Paths, ServerSettings, Settings
from tests.doors.house import OPEN_TAB, SESSIONS, House, housed, kinds
from tests.real.tap import Exchange, tapped

ADDRESS = os.environ.get("CORRAL_TEST_OLLAMA", "")
CHAT = "/api/chat"
SAYS = tuple(json.loads((Path(__file__).parent / "talk_scripts.json").read_text()))
WINDOW = 32_768

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ADDRESS, reason="CORRAL_TEST_OLLAMA names no server"),
    pytest.mark.timeout(300),
]


def settings_of(folder: Path, url: str, model: str) -> Settings:
    return Settings(
        servers=(ServerSettings(url=url, slots=1),),
        model="talker",
        lanes={"talker": LaneSettings(model=model, num_ctx=WINDOW, num_thread=1)},
        paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
    )


def loaded() -> dict[str, Mapping[str, object]]:
    """What the server has in memory, by name."""
    with urllib.request.urlopen(f"{ADDRESS}/api/ps") as answer:
        return {model["name"].removesuffix(":latest"): model for model in json.load(answer)["models"]}


@pytest.mark.models(by="model")
@pytest.mark.parametrize("model", ["corral-talk", "corral-talk-native", "corral-talk-leaking", "corral-talk-plain"])
async def test_tool_approval_client_tool_switch_and_restart(tmp_path: Path, model: str) -> None:
    (tmp_path / "work").mkdir()
    calc = tmp_path / "work" / "calc.py"
    calc.write_text("def add(a, b):\n    return a - b\n")
    async with tapped(ADDRESS) as tap:
        settings = settings_of(tmp_path, tap.url, model)
        async with housed(settings, tmp_path / "work") as here:
            session = await here.session(OPEN_TAB, agent="coder")
            frames = await here.say(session, "Mend calc.py and open it.")
            assert [kind for kind in kinds(frames) if kind not in ("text", "restarted")] == [
                "tool_call", "tool_result", "tool_call", "approval", "waiting",
            ]  # fmt: skip
            assert "a - b" in calc.read_text()

        # The server of Corral ends and another begins: the same question still waits.
        async with housed(settings, tmp_path / "work") as here:
            (asked,) = (await here.client.get(f"{SESSIONS}/{session}/waiting")).json()["approvals"]
            async with here.line(session) as line:
                yes = {"type": "decide", "approval": asked["id"], "nonce": asked["nonce"], "decision": "approve"}
                assert (await line.say(yes))["type"] == "accepted"
                call = await line.chunk("client_call")
                assert "a + b" in calc.read_text()
                await line.say({"type": "tool_result", "call": call["call"], "content": "opened"})
                assert (await line.chunk("switch"))["agent"] == "ask"
                await line.chunk("done")
            await here.say(session, "Why?")
            history = await here.history(session)
            events = (await here.client.get(f"{SESSIONS}/{session}/events", params={"limit": 1000})).json()["events"]
        asked_for = [each for each in tap.exchanges(CHAT) if each.status == 200]

    assert [(each["role"], each["agent"]) for each in history] == [
        ("user", ""),
        *(("assistant", "coder"), ("tool", "")) * 4,
        ("assistant", "ask"),
        ("user", ""),
        ("assistant", "ask"),
    ]
    assert [each["name"] for message in history for each in message["tool_calls"]] == [
        "read_file", "apply_edit", "open_tab", "switch_mode",
    ]  # fmt: skip
    assert [history[at]["content"].strip() for at in (1, 9, 11)] == ["Let me look.", *SAYS[4:]]
    assert_the_figures_are_the_servers(events, asked_for)
    assert loaded()[model]["context_length"] == WINDOW
    assert all(bool(each.body.get("tools")) is (model != "corral-talk-plain") for each in asked_for)


def assert_the_figures_are_the_servers(events: list[dict[str, object]], exchanges: list[Exchange]) -> None:
    """What the events say of tokens and windows is what went over the wire."""
    told = [event for event in events if event["kind"] == "call.completed"]
    counted = [(each.last["prompt_eval_count"], each.last["eval_count"]) for each in exchanges]
    assert [(event["prompt_tokens"], event["completion_tokens"]) for event in told] == counted
    assert len(counted) == len(SAYS)
    assert not [event for event in events if event["kind"] in ("call.doubted", "call.restarted")]
    for exchange in exchanges:
        assert exchange.body["options"]["num_ctx"] == WINDOW
        assert exchange.body["truncate"] is False
        assert exchange.body["think"] is False


async def test_cancel_in_the_middle_of_an_answer_frees_the_servers_slot(tmp_path: Path) -> None:
    async with housed(settings_of(tmp_path, ADDRESS, "noise-small"), tmp_path / "work") as here:
        session = await here.session(agent="ask")
        begun = await here.client.post(f"{SESSIONS}/{session}/messages", json={"text": "Say much."})
        assert begun.status_code == 202
        watching = await here.watching(session)
        assert (await here.client.post(f"{SESSIONS}/{session}/cancel")).status_code == 202
        assert (await watching)[-2].event == "failed"
        assert [each["role"] for each in await here.history(session)] == ["user"]
        # The server's only slot would be taken for thousands of tokens more, had it not stopped.
        reply = await short_answer(here)
        assert reply.metrics.slot_wait_ns < 2e9


async def short_answer(here: House):
    """Two tokens of the same model."""
    pool = here.application.pool
    messages = [{"role": "user", "content": "hi"}]
    return await asyncio.wait_for(pool.chat(model="talker", messages=messages, options={"num_predict": 2}), 60)
