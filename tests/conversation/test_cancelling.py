"""A turn that is cancelled while something of it is being written: what lands is closed, and what is told is so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from infrastructure.conversation.saying import Said
from infrastructure.events.catalogue import MessageAdded
from infrastructure.ids import RunId
from tests.conversation.stack import Stack, called, simulator, stack
from tests.conversation.world import MemoryApprovals, followed, talk

READ = called("read_file", '{"path": "a.txt"}')


class Held:
    """A message's write that stands in the database's thread until it is let go, and looks when that is time."""

    def __init__(self, here: Stack, monkeypatch: pytest.MonkeyPatch, which: Callable[[MessageAdded], bool]) -> None:
        self.standing, self.looked_for = asyncio.Event(), asyncio.Event()
        self._gate = threading.Event()
        keep, flush, append_with = here.log.keep, here.sessions.flush, here.log.append_with
        loop = asyncio.get_running_loop()

        def held(events: Any, work: Any) -> Any:
            if not any(isinstance(event, MessageAdded) and which(event) for _, event in events):
                return keep(events, work)

            def late(connection: Any, stored: Any) -> None:
                loop.call_soon_threadsafe(self.standing.set)
                assert self._gate.wait(30)
                work(connection, stored)

            return keep(events, late)

        def after(then: Callable[..., Any]) -> Callable[..., Any]:
            async def marked(*given: Any) -> Any:
                self.looked_for.set()
                return await then(*given)

            return marked

        monkeypatch.setattr(here.log, "keep", held)
        monkeypatch.setattr(here.sessions, "flush", after(flush))
        monkeypatch.setattr(here.log, "append_with", after(append_with))

    async def cancelled(self, here: Stack, session: str) -> None:
        """Cancel while it stands; let it go when the turn's end waits for it, or is being written without it."""
        await self.standing.wait()
        self.looked_for.clear()
        cancelling = asyncio.create_task(here.conversations.cancel(session))
        await self.looked_for.wait()
        self._gate.set()
        await cancelling

    async def cut_off(self, here: Stack, session: str) -> None:
        """Cancel while it stands; let it go when the turn's task was told, and every task of it had its say."""
        await self.standing.wait()
        (task,) = (each for each in asyncio.all_tasks() if each.get_name().startswith("turn "))
        cancelling = asyncio.create_task(here.conversations.cancel(session))
        while not task.cancelling():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        await passes()
        self._gate.set()
        await cancelling


async def passes() -> None:
    """Let every task go on as far as it can without a thread."""
    for _ in range(100):
        await asyncio.sleep(0)


async def tool_events(here: Stack, session: str) -> list[str]:
    stored = await here.log.read(RunId(session), 0, 1000)
    return [each.event.kind for each in stored if each.event.kind in ("tool.completed", "tool.failed")]


async def test_call_of_an_answer_that_lands_after_the_cancel_is_closed_and_never_done(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("its text")
    async with simulator(READ, "Hello again.") as server, stack(tmp_path, server.url, MemoryApprovals()) as here:
        session = await here.session(tmp_path)
        held = Held(here, monkeypatch, lambda event: bool(event.calls))
        await here.conversations.begin(session, Said("Read it", "ask"))
        await held.cancelled(here, session)
        assert here.said(session)[-1] == ("tool", "Not done: cancelled by a person.")
        await talk(here.conversations.process_message(session, "Hi"))
        assert [text for role, text in here.said(session) if role == "tool"] == ["Not done: cancelled by a person."]
        assert await tool_events(here, session) == ["tool.failed"]


async def test_result_that_is_being_kept_at_a_cancel_is_told_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("its text")
    async with simulator(READ, "Never said.") as server, stack(tmp_path, server.url, MemoryApprovals()) as here:
        session = await here.session(tmp_path)
        held = Held(here, monkeypatch, lambda event: event.role == "tool")
        following = await followed(here.conversations, session)
        await here.conversations.begin(session, Said("Read it", "ask"))
        await held.cut_off(here, session)
        assert [(chunk.ok, "its text" in chunk.text) for chunk in await following if chunk.kind == "tool_result"] == [
            (True, True)
        ]
        await here.log.flush(RunId(session))
        assert await tool_events(here, session) == ["tool.completed"]
