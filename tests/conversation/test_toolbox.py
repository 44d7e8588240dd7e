"""A session's tools: Corral's own, those of servers, those its client declares; eight of them in a prompt."""

from __future__ import annotations

import threading

from agents.conversation.roster import MOST_TOOLS, PROFILES, AgentType
from infrastructure.conversation.toolbox import MOST_OUTSIDE, SessionTools
from infrastructure.sandbox import Limits
from infrastructure.tools.client import ClientTool, client_tools
from infrastructure.tools.local import local_tools
from infrastructure.tools.tool import RegisteredTool
from tests.conversation.stack import OPEN_TAB, simulator, stack

CODER = PROFILES[AgentType.CODER].tools


def box(sessions, *served: RegisteredTool) -> SessionTools:
    async def outside() -> tuple[RegisteredTool, ...]:
        return served

    async def no_sandbox():
        raise AssertionError

    return SessionTools(
        sessions, local_tools(), outside=outside, todos=None, journal=None, sandbox=no_sandbox, limits=Limits()
    )


def names(tools: SessionTools, session: str, at_most: int = MOST_TOOLS) -> list[str]:
    return [sheet.tool.name for sheet in tools.offered(session, CODER, at_most)]


async def test_tools_from_outside_take_the_last_places_of_the_eight(tmp_path):
    async with simulator() as server, stack(tmp_path, server.url) as here:
        plain, own = await here.session(), await here.session(None, [OPEN_TAB])
        tools = box(here.sessions, *client_tools([ClientTool(name=f"far{at}") for at in range(4)]))
        assert names(tools, plain) == [name for name in CODER if name != "*"]
        assert names(tools, own)[-2:] == ["search", "open_tab"]
        await tools.ready(plain)
        assert names(tools, plain)[:5] == list(CODER[:5])
        assert names(tools, plain)[5:] == ["far0", "far1", "far2"][:MOST_OUTSIDE]
        assert len(names(tools, own)) == MOST_TOOLS
        assert set(names(tools, own, 100)) >= {"far3", "open_tab", "calculator"}


async def test_declaration_that_cannot_be_used_leaves_the_others(tmp_path):
    async with simulator() as server, stack(tmp_path, server.url) as here:
        tools = box(here.sessions, *client_tools([ClientTool(name="Read_File")], ()))
        for bad in ([{"name": "read_file"}], [{"colour": "red"}], "nonsense"):
            record = await here.sessions.create(settings={"client_tools": bad})
            await tools.ready(record.session)
            assert names(tools, record.session) == [name for name in CODER if name != "*"]


async def test_tools_of_a_client_are_read_in_a_thread_before_a_turn_goes_on(tmp_path, monkeypatch):
    threads = []

    def counted(*given):
        threads.append(threading.get_ident())
        return client_tools(*given)

    monkeypatch.setattr("infrastructure.conversation.toolbox.client_tools", counted)
    async with simulator() as server, stack(tmp_path, server.url) as here:
        session, tools = await here.session(None, [OPEN_TAB]), box(here.sessions)
        await tools.ready(session)
        await tools.ready(session)
        assert "open_tab" in names(tools, session)
        assert len(threads) == 1
        assert threads[0] != threading.get_ident()


async def test_write_is_done_again_after_a_crash_and_a_program_is_not(tmp_path):
    async with simulator() as server, stack(tmp_path, server.url) as here:
        session, tools = await here.session(), box(here.sessions)
        effects = {name: sheet.effects for name in local_tools().names if (sheet := tools.sheet(session, name))}
        assert {name for name, has in effects.items() if has} == {"run_tests", "run_command"}
