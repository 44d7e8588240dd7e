"""What a turn's end says of a call that was under way: what it has left, or that nobody knows."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.model import ToolCall
from infrastructure.conversation.ports import ToolOutcome
from infrastructure.conversation.saying import Said
from infrastructure.tools import journal
from tests.conversation.stack import called, simulator, stack
from tests.conversation.world import SESSION, MemoryApprovals, calls, reads, talk, tool, world

ADD = ToolCall("tracker__add", {"path": "issue 1"})
READ = ToolCall("read_file", {"path": "a"})
WRITE = called("write_file", '{"path": "a.txt", "content": "new"}')


class Replacing:
    """The moment in which a file is replaced, held until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.standing, self._gate, self._real = asyncio.Event(), threading.Event(), journal._replace
        self.then = b""
        """What somebody else makes of the file after it; nothing where this is empty."""
        self.happens = True
        self._loop = asyncio.get_running_loop()
        monkeypatch.setattr(journal, "_replace", self._held)

    def _held(self, workspace: Path, path: str, *contents: Any) -> None:
        if self.happens:
            self._real(workspace, path, *contents)
        self._loop.call_soon_threadsafe(self.standing.set)
        assert self._gate.wait(30)
        if self.then:
            (workspace / path).write_bytes(self.then)

    async def let_go(self) -> None:
        """Once the turn's task was told to end."""
        (task,) = (each for each in asyncio.all_tasks() if each.get_name().startswith("turn "))
        while not task.cancelling():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        self._gate.set()


@pytest.mark.parametrize(
    ("happens", "then", "said", "undone"),
    [
        (True, b"", "a.txt is written", True),
        (False, b"", "Not done: cancelled by a person.", False),
        (True, b"somebody else's", "a.txt was to be written when the turn ended, and has changed since", False),
    ],
)
async def test_write_that_was_under_way_is_told_as_it_ended(tmp_path, monkeypatch, happens, then, said, undone):
    work = tmp_path / "work"
    work.mkdir()
    async with simulator(WRITE, "Never.") as server, stack(tmp_path, server.url, MemoryApprovals()) as here:
        session = await here.session(work)
        replacing = Replacing(monkeypatch)
        replacing.happens, replacing.then = happens, then
        await here.conversations.begin(session, Said("Write it", "coder"))
        await replacing.standing.wait()
        cancelling = asyncio.create_task(here.conversations.cancel(session))
        await replacing.let_go()
        await cancelling
        assert here.said(session)[-1][1].startswith(said)
        assert (await here.undoing.undo(session)).ok is undone
        assert not (work / "a.txt").exists() or bool(then)


async def test_what_a_write_left_that_cannot_be_seen_is_said_and_not_done_later(tmp_path, monkeypatch):
    def refused(*_: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    work = tmp_path / "work"
    work.mkdir()
    async with simulator(WRITE, "Never.", "Hello.") as server, stack(tmp_path, server.url, MemoryApprovals()) as here:
        session = await here.session(work)
        replacing = Replacing(monkeypatch)
        replacing.happens = False
        await here.conversations.begin(session, Said("Write it", "coder"))
        await replacing.standing.wait()
        with monkeypatch.context() as unreadable:
            unreadable.setattr(journal, "_read_sha", refused)
            cancelling = asyncio.create_task(here.conversations.cancel(session))
            await replacing.let_go()
            await cancelling
        assert "what it left cannot be seen" in here.said(session)[-1][1]
        await talk(here.conversations.process_message(session, "hello"))
        assert not (work / "a.txt").exists()


@pytest.mark.parametrize(
    ("effects", "said"),
    [(True, "This call was under way when the turn ended (cancelled by a person), so it is not known"),
     (False, "Not done: cancelled by a person.")],
)  # fmt: skip
async def test_call_that_was_under_way_is_told_as_not_done_only_where_it_has_no_effect(tmp_path, effects, said):
    begun = asyncio.Event()

    async def add(arguments: object) -> ToolOutcome:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with world(tmp_path, {"coder": [calls(ADD, READ)]}, tool(ADD.name, add, effects=effects), reads()) as here:
        conversations = here.orchestrator()
        await conversations.begin(SESSION, Said("Add it", "coder"))
        await begun.wait()
        await conversations.cancel(SESSION)
        (_, first), (_, second) = here.said()[-2:]
        assert first.startswith(said)
        assert second == "Not done: cancelled by a person."
        assert (await here.events()).count("tool.failed") == 2


async def test_call_that_a_client_was_given_may_have_been_done(tmp_path):
    async with world(tmp_path, {"coder": [calls(ADD)]}, tool(ADD.name, where="client", effects=True)) as here:
        conversations = here.orchestrator()
        told = await talk(conversations.process_message(SESSION, "Add it", "coder", ends_when_waiting=True))
        await conversations.cancel(SESSION, "There is no time.")
        assert not await conversations.submit_tool_result(SESSION, told[-1].call, "added")
        start = "The client was to do this call when the turn ended (There is no time), so it is not known"
        assert here.said()[-1][1].startswith(start)
