"""A guest that watches a turn, and a holder that is gone, busy, or has not heard of the turn yet."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest

from agents.conversation.chunks import StreamChunk
from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.cli import talking, visiting
from backend.cli.hosting import Host
from backend.cli.speaking import Spoken
from backend.cli.talking import Turn
from backend.cli.visiting import host_at
from infrastructure.conversation.saying import Said
from tests.cli.chatting import Screen, Scripted

QUESTION = StreamChunk(kind="approval", agent="coder", call="c1", tool="write_file", approval="a1")
BUSY = HolderRefused("StorageBusy", "the disk is busy", "Try again.")
PENDING = {
    "id": "a1", "owner": "s1", "key": "c1", "gate": "tool", "tool": "write_file", "arguments": {"path": "a.py"},
    "description": "", "danger": "asks", "why": "", "workspace": "/w", "allowed": ["approve", "reject"],
    "nonce": "n", "state": "pending", "asked": "2026-07-01T00:00:00+00:00", "expires": None,
}  # fmt: skip


class Holder(Guest):
    """Answers from a list, each answer to one question of its path; the last one stays. An exception is raised."""

    def __init__(self, **answers: list[object]) -> None:
        super().__init__("http://holder", "token")
        object.__setattr__(self, "answers", answers)
        object.__setattr__(self, "asked", [])

    async def ask(self, method: str, path: str, *_: object) -> dict[str, Any]:
        cast("Any", self).asked.append(path)
        answers = cast("Any", self).answers[path.rpartition("/")[2]]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def never() -> str:
    await asyncio.Event().wait()
    raise AssertionError


def turn(host: Host, screen: Screen, *answers: Any) -> Turn:
    return Turn(host, "s1", Spoken(screen.terminal), screen.terminal, Scripted(list(answers)))


async def asks(*_: object, **__: object) -> AsyncGenerator[StreamChunk]:
    yield QUESTION
    yield StreamChunk(kind="done", agent="coder")


async def test_holder_that_goes_with_a_question_open_is_told_as_gone(monkeypatch):
    host, screen = host_at(Holder(a1=[PENDING, HolderGone("gone")])), Screen()
    monkeypatch.setattr(host.turns, "follow", asks)
    with pytest.raises(HolderGone):
        await turn(host, screen, never).see()
    assert "that has its answer from elsewhere" not in screen.err


async def test_holder_that_is_busy_leaves_the_question_with_the_person(monkeypatch):
    monkeypatch.setattr(visiting, "_LOOK_SECONDS", 0)
    holder = Holder(a1=[PENDING, BUSY, BUSY, PENDING, {**PENDING, "state": "decided"}])
    await host_at(holder).questions.decided("a1")
    assert cast("Any", holder).asked == ["/api/v1/approvals/a1"] * 5
    await host_at(Holder(a1=[HolderRefused("UnknownApproval", "there is none", "")])).questions.decided("a1")
    with pytest.raises(HolderGone):
        await host_at(Holder(a1=[BUSY, HolderGone("gone")])).questions.decided("a1")


async def test_ctrl_c_that_overtakes_its_message_stops_the_turn_all_the_same(monkeypatch):
    monkeypatch.setattr(talking, "_AGAIN_SECONDS", 0)
    holder, screen = Holder(cancel=[HolderRefused("NothingToStop", "no turn is open", "")] * 2 + [{}]), Screen()
    host = host_at(holder)

    async def stopped(*_: object, **__: object) -> AsyncGenerator[StreamChunk]:
        """The message is still on its way to the holder; its turn is there when it is stopped for the third time."""
        signal.raise_signal(signal.SIGINT)
        for _ in range(1_000):
            await asyncio.sleep(0)
        there = len(cast("Any", holder).asked) == 3
        yield StreamChunk(kind="failed" if there else "done", agent="coder")

    monkeypatch.setattr(host.turns, "say", stopped)
    ending = await turn(host, screen).see(Said("Say much"))
    assert ending is not None
    assert ending.status == "cancelled"


async def test_ctrl_c_after_the_end_stops_nothing_and_ends(monkeypatch):
    host, screen = host_at(Holder(cancel=[HolderRefused("NothingToStop", "no turn is open", "")])), Screen()

    async def over(*_: object, **__: object) -> AsyncGenerator[StreamChunk]:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        yield StreamChunk(kind="done", agent="coder")

    monkeypatch.setattr(host.turns, "say", over)
    ending = await turn(host, screen).see(Said("Say much"))
    assert ending is not None
    assert ending.status == "done"
