"""A turn that is cancelled while something of it is being written: what lands is closed, and what is told is so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from infrastructure.conversation.saying import Said
from infrastructure.conversation.turns import TurnRecord, TurnStore
from infrastructure.events.catalogue import MessageAdded
from infrastructure.ids import RunId
from tests.conversation.stack import Stack, called, simulator, stack
from tests.conversation.world import SESSION, MemoryApprovals, World, followed, talk, world

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


class Ending:
    """The write of a turn's end, held before its commit; as the store's own it goes on when its caller is cancelled."""

    def __init__(self, here: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.standing = asyncio.Event()
        self._here, self._gate = here, asyncio.Event()
        self._first: asyncio.Task[Any] | None = None
        self._append_with = here.log.append_with
        monkeypatch.setattr(here.log, "append_with", self._held)

    async def _held(self, *given: Any) -> Any:
        if self._first is not None:  # the cancel's own: after what was on its way
            await self.lands()
            return await self._append_with(*given)
        self._first = asyncio.create_task(self._late(*given))
        self.standing.set()
        return await asyncio.shield(self._first)

    async def _late(self, *given: Any) -> Any:
        await self._gate.wait()
        return await self._append_with(*given)

    async def lands(self) -> None:
        assert self._first is not None
        self._gate.set()
        await self._first


@pytest.mark.parametrize("lands", ["before the cancel looks", "after the cancel has looked"])
async def test_cancel_that_meets_the_end_of_a_turn_tells_how_it_ended(tmp_path, monkeypatch, lands):
    async with world(tmp_path, {"orchestrator": ["Hello.", "Yes."]}) as here:
        conversations = here.orchestrator()
        ending = Ending(here, monkeypatch)
        if lands == "before the cancel looks":
            looked, open_of = iter((False, True)), TurnStore.open_of

            async def late(store: TurnStore, session: str) -> TurnRecord | None:
                if ending.standing.is_set() and next(looked, False):
                    await ending.lands()
                return await open_of(store, session)

            monkeypatch.setattr(TurnStore, "open_of", late)
        following = await followed(conversations, SESSION)
        await conversations.begin(SESSION, Said("Hi"))
        await ending.standing.wait()
        await conversations.cancel(SESSION)
        await passes()
        assert following.done(), "who watches is told that it is over"
        assert (following.result()[-1].kind, following.result()[-1].ok) == ("done", True)
        assert await here.outcomes() == ["done"]
        assert await talk(conversations.follow(SESSION)) == []
        assert (await talk(conversations.process_message(SESSION, "Still there?")))[-1].kind == "done"
