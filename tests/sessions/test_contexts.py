"""Who speaks: the subscriber changes it, and a switch returns when it holds."""

import asyncio
import logging

import pytest

from infrastructure.events.catalogue import AgentSwitched
from infrastructure.ids import RunId
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.errors import BadChange, SessionNotLoaded, UnknownSession
from tests.sessions.parts import opened, user


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corral.db"


@pytest.fixture
async def app(path):
    async with opened(path) as app:
        yield app


class Silent:
    """A bus that lets a test bring the events."""

    def subscribe(self, name, handler, *, kinds):
        self.handler, self.kinds = handler, kinds


async def test_switch_holds_in_memory_and_on_disk_when_it_returns(path):
    async with opened(path) as app:
        await app.contexts.get_or_create("s", agent="orchestrator")
        switched = await app.contexts.switch_agent("s", "coder", reason="write it")
        assert (switched.agent, app.contexts.get_current_agent("s"), app.sessions.get("s").agent) == ("coder",) * 3
        await app.contexts.switch_agent("s", "ask", by="person")
    async with opened(path) as app:
        with pytest.raises(SessionNotLoaded):
            app.contexts.get("s")
        assert (await app.contexts.get_or_create("s", agent="ignored")).agent == "ask"
        history = await app.contexts.get_switch_history("s")
        assert [(each.previous, each.agent, each.reason, each.by) for each in history] == [
            ("orchestrator", "coder", "write it", "agent"),
            ("coder", "ask", "", "person"),
        ]
        assert [each.seq for each in await app.contexts.get_switch_history("s", 1)] == [history[1].seq]


async def test_switches_at_once_follow_each_other(app):
    await app.contexts.get_or_create("s", agent="a")
    await asyncio.gather(*(app.contexts.switch_agent("s", agent) for agent in ("b", "c", "c", "d")))
    events = [each.event for each in await app.log.read(RunId("s")) if isinstance(each.event, AgentSwitched)]
    assert [(each.previous, each.agent) for each in events] == [("a", "b"), ("b", "c"), ("c", "d")]


async def test_memory_changes_by_the_event_alone_and_an_old_one_changes_nothing(app):
    bus = Silent()
    contexts = AsyncAgentContextManager(app.sessions, app.database, app.log, bus)
    await contexts.get_or_create("s", agent="a")
    switching = asyncio.ensure_future(contexts.switch_agent("s", "b"))
    events = app.log.follow(RunId("s"))
    async for stored in events:
        if isinstance(stored.event, AgentSwitched):
            break
    await events.aclose()
    assert contexts.get_current_agent("s") == "a"
    assert not switching.done()
    await bus.handler(stored)
    assert (await switching).agent == "b"
    again = asyncio.ensure_future(contexts.switch_agent("s", "c"))
    events = app.log.follow(RunId("s"), stored.seq)
    await bus.handler(await anext(events))
    await events.aclose()
    await again
    await bus.handler(stored)
    assert contexts.get_current_agent("s") == "c"


async def test_switch_whose_event_does_not_come_round_is_read_from_the_store(app, caplog):
    contexts = AsyncAgentContextManager(app.sessions, app.database, app.log, Silent(), applied_within=0)
    await contexts.get_or_create("s", agent="a")
    with caplog.at_level(logging.WARNING):
        assert (await contexts.switch_agent("s", "b")).agent == "b"
    assert "did not come back" in caplog.text


async def test_settings_are_the_sessions_own(app):
    await app.contexts.get_or_create("s")
    assert (await app.contexts.update_settings("s", {"temperature": 0.2})).settings == {"temperature": 0.2}
    assert app.sessions.get("s").settings == {"temperature": 0.2}


async def test_deleted_context_has_no_past_and_a_deleted_session_no_context(app):
    await app.contexts.get_or_create("s", agent="a")
    await app.contexts.switch_agent("s", "b")
    await app.contexts.delete("s")
    assert await app.contexts.get_switch_history("s") == ()
    assert (await app.contexts.get_or_create("s")).agent == "b"
    await app.sessions.delete("s")
    for asked in (app.contexts.switch_agent("s", "c"), app.contexts.get_switch_history("s"), app.contexts.delete("s")):
        with pytest.raises(UnknownSession):
            await asked


async def test_nobody_is_no_agent(app):
    await app.contexts.get_or_create("s")
    with pytest.raises(BadChange):
        await app.contexts.switch_agent("s", " ")
    await app.sessions.append_message("s", user("x"))


async def test_few_contexts_are_in_memory(app):
    contexts = AsyncAgentContextManager(app.sessions, app.database, app.log, Silent(), most=2)
    for name in ("a", "b", "c"):
        await contexts.get_or_create(name, agent=name)
    with pytest.raises(SessionNotLoaded):
        contexts.get("a")
    assert (await contexts.get_or_create("a")).agent == "a"
