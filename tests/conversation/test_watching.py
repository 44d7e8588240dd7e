"""Who watches a turn, while it waits and once it goes on."""

from __future__ import annotations

import asyncio

from agents.model import JsonObject, ToolCall
from infrastructure.conversation.ports import Decided, ToolOutcome
from tests.conversation.world import SESSION, MemoryApprovals, calls, kinds, talk, tool, world


async def test_turn_that_goes_on_after_a_yes_is_watched_though_it_says_nothing_yet(tmp_path):
    begun, built = asyncio.Event(), asyncio.Event()

    async def build(arguments: JsonObject) -> ToolOutcome:
        begun.set()
        await built.wait()
        return ToolOutcome("built")

    scripts = {"coder": [calls(ToolCall("build", {"path": "a"})), "All done."]}
    approvals = MemoryApprovals("build")
    async with world(tmp_path, scripts, tool("build", build, effects=True, asks=True), approvals=approvals) as here:
        conversations = here.orchestrator()
        told = await talk(conversations.process_message(SESSION, "Go", "coder", ends_when_waiting=True))
        await conversations.decide(told[-1].approval, Decided(kind="approve"))
        await begun.wait()
        following = asyncio.create_task(talk(conversations.follow(SESSION, ends_when_waiting=True)))
        await asyncio.sleep(0)  # its first step takes what was said so far
        built.set()
        assert kinds(await following)[-3:] == ["tool_result", "text", "done"]
