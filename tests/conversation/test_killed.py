"""`kill -9` in the middle of a turn: another process goes on, and nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infrastructure.conversation.turns import TurnState
from infrastructure.ids import RunId
from infrastructure.simulator import Simulator
from tests.conversation.stack import called, simulator, stack
from tests.conversation.world import MemoryApprovals, followed, talk

pytestmark = pytest.mark.slow


@asynccontextmanager
async def killed_at(kind: str, folder: Path, server: Simulator, message: str) -> AsyncIterator[tuple[str, str]]:
    """Run a turn in another process and kill that at the first chunk of a kind; the session, and the chunk's call."""
    work = folder / "work"
    await asyncio.to_thread(work.mkdir)
    told = {"data": str(folder), "server": server.url, "workspace": str(work), "message": message, "agent": "coder"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.conversation.driver", json.dumps(told),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    session = (await process.stdout.readline()).decode().split()[1]
    while (words := (await process.stdout.readline()).decode().split()) and words[0] != kind:
        pass
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    yield session, words[1] if len(words) > 1 else ""


async def test_client_call_is_pending_after_a_kill_and_completes_once(tmp_path):
    async with (
        simulator(called("open_tab", '{"path": "calc.py"}'), "It is open.") as server,
        killed_at("client_call", tmp_path, server, "Open calc.py") as (session, call),
        stack(tmp_path, server.url, MemoryApprovals()) as here,
    ):
        (waiting,) = await here.conversations.waiting(session)
        assert (waiting.call, waiting.tool, waiting.arguments) == (call, "open_tab", {"path": "calc.py"})
        assert [chunk.call for chunk in await talk(here.conversations.follow(session, ends_when_waiting=True))] == [
            call
        ]
        following = await followed(here.conversations, session)
        posted = await asyncio.gather(
            *(here.conversations.submit_tool_result(session, call, f"opened by {who}") for who in range(4))
        )
        assert sorted(posted) == [False, False, False, True]
        assert (await following)[-1].kind == "done"
        said = here.said(session)
        assert [role for role, _ in said] == ["user", "assistant", "tool", "assistant"]
        assert "opened by" in said[2][1]
        assert said[3] == ("assistant", "It is open.")
        events = [stored.event.kind for stored in await here.log.read(RunId(session), 0, 1000)]
        assert events.count("tool.requested") == events.count("tool.completed") == 1


async def test_answer_that_was_being_spoken_is_asked_for_once_more(tmp_path):
    words = " ".join(f"w{each}" for each in range(400))
    async with (
        simulator(words, time_scale=1.0, decode_tokens_per_second=300) as server,
        killed_at("text", tmp_path, server, "Say much") as (session, _),
        stack(tmp_path, server.url, MemoryApprovals()) as here,  # goes on with the turn when it opens
    ):
        await talk(here.conversations.follow(session))
        await here.sessions.load(session)
        assert here.said(session) == [("user", "Say much"), ("assistant", words)]
        turn = await here.conversations._parts.turns.last_of(session)
        assert turn is not None
        assert (turn.state, turn.status) == (TurnState.FINISHED, "done")
