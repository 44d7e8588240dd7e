"""Questions that nobody answers: over night they wait, then they are a no; the same through a restart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from infrastructure.config.settings import ConversationSettings
from infrastructure.events.catalogue import ApprovalDecided
from infrastructure.ids import RunId
from infrastructure.sessions.approvals import ApprovalState, Approve, StaleApproval
from tests.conversation.stack import OPEN_TAB, Clock, Stack, called, simulator, stack
from tests.conversation.world import followed, kinds, talk

WRITE = called("write_file", '{"path": "a.txt", "content": "a"}')
NIGHT = timedelta(hours=14)
WEEKEND = timedelta(hours=64)
LONG = timedelta(hours=73)


async def asked(here: Stack, folder: Path) -> str:
    folder.mkdir()
    session = await here.session(folder)
    chunks = await talk(here.conversations.process_message(session, "Write", "coder", ends_when_waiting=True))
    assert kinds(chunks)[-1] == "approval"
    return session


async def decided(here: Stack, session: str) -> list[tuple[str, str]]:
    events = [stored.event for stored in await here.log.read(RunId(session), 0, 1_000)]
    return [(event.decision, event.by) for event in events if isinstance(event, ApprovalDecided)]


async def test_question_waits_over_a_weekend_and_no_longer(tmp_path):
    clock = Clock()
    async with simulator(WRITE, "Never said.") as server, stack(tmp_path, server.url, clock=clock) as here:
        session = await asked(here, tmp_path / "work")
        clock.move(WEEKEND)
        (waiting,) = await here.approvals.pending(session)
        assert waiting.expires == waiting.asked + timedelta(hours=72)
        clock.move(LONG - WEEKEND)
        rest = await talk(here.conversations.follow(session))
        assert rest[-1].kind == "failed"
        assert "write_file was not done, since nobody answered in time" in rest[-1].text
        assert (await here.approvals.get(waiting.id)).state is ApprovalState.EXPIRED
        assert await decided(here, session) == [("expired", "time")]
        assert not (tmp_path / "work" / "a.txt").exists()
        assert len(here.said(session)) == 3, "no model was asked again"


async def test_question_that_grew_too_old_while_nothing_ran_ends_its_turn_at_the_next_start(tmp_path):
    clock = Clock()
    async with simulator(WRITE, "Never said.") as server:
        async with stack(tmp_path, server.url, clock=clock) as here:
            session = await asked(here, tmp_path / "work")
        clock.move(LONG)
        async with stack(tmp_path, server.url, clock=clock) as here:
            rest = await talk(here.conversations.follow(session))
            assert [chunk.kind for chunk in rest[-1:]] in ([], ["failed"])
            assert await decided(here, session) == [("expired", "time")]
            await here.sessions.load(session)
            assert here.said(session)[-1][1] == "Nobody answered in time, so it was not done."
            assert await here.approvals.pending(session) == ()
            again = await talk(here.conversations.process_message(session, "Go on", ends_when_waiting=True))
            assert (again[-1].kind, here.said(session)[-1][1]) == ("done", "Never said.")


async def test_question_outlives_a_restart_over_night(tmp_path):
    clock = Clock()
    async with simulator(WRITE, "Done.") as server:
        async with stack(tmp_path, server.url, clock=clock) as here:
            session = await asked(here, tmp_path / "work")
        clock.move(NIGHT)
        async with stack(tmp_path, server.url, clock=clock) as here:
            assert [each.action.tool for each in await here.approvals.pending(session)] == ["write_file"]


def test_patience_is_for_ever_where_the_setting_says_so():
    assert ConversationSettings(answer_hours=0).patience is None
    assert ConversationSettings().patience == timedelta(days=3)


async def test_question_goes_with_its_call_where_the_tool_has_gone(tmp_path):
    tab, write = called("open_tab", '{"path": "a"}'), called("write_file", '{"path": "b.txt", "content": "b"}')
    async with simulator(f"{tab}\n{write}", "Bye.") as server, stack(tmp_path, server.url) as here:
        session = await here.session(tmp_path, [OPEN_TAB])
        await talk(here.conversations.process_message(session, "Open", "coder", ends_when_waiting=True))
        opening, writing = await here.approvals.pending(session)
        await here.sessions.update(session, settings={"client_tools": None})
        following = await followed(here.conversations, session)
        await here.conversations.resume(session)
        assert (await here.approvals.wait(opening.id)).state is ApprovalState.WITHDRAWN
        assert await here.approvals.pending(session) == (writing,)  # that one is still waited for
        with pytest.raises(StaleApproval):
            await here.approvals.decide(opening.id, Approve(), by="me", nonce=opening.nonce, scope="always")
        assert await here.approvals.rulebook.rules() == ()
        await here.approvals.decide(writing.id, Approve(), by="me", nonce=writing.nonce)
        assert (await following)[-1].kind == "done"
        assert (tmp_path / "b.txt").read_text() == "b\n"
