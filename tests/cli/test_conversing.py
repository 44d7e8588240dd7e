"""Chats over a simulated server, with a person who is a list of answers: everything but those two is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from agents.conversation.router import NoSuchAgent
from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.bootstrap import Application, open_application
from backend.cli.chat import Asked, converse, opened_chat
from backend.cli.conversing import Chat
from backend.cli.hosting import Host, Sessions, host_of
from backend.cli.person import GivenUp
from backend.cli.slashes import greet, obey
from backend.cli.visiting import host_at
from backend.server import open_door
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.conversation.errors import SessionBusy
from infrastructure.sessions.approvals import Approve
from infrastructure.tools.journal import Undone
from tests.attach.doors import Asked as Asking
from tests.attach.doors import answer, door
from tests.cli.chatting import Answering, Screen, Scripted
from tests.conversation.stack import called, simulator

Placing: TypeAlias = "Callable[..., AbstractAsyncContextManager[Place]]"
WRITE = called("write_file", '{"path": "a.py", "content": "x = 2"}')
TESTS = called("run_command", '{"command": "pytest -q"}')
ASKED = Asked(session=None, agent=None, folder=None, new=False, once=None, output="text", quiet=False, again="")


@pytest.fixture(params=[False, True], ids=["here", "guest"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Placing:
    """One suite for both: the engine in this process, and at its holder's door."""
    return lambda *turns: placed(tmp_path, *turns, guest=request.param)


class Place:
    """A folder with a file, an application, and chats in it, over the application or as its guests."""

    def __init__(self, app: Application, host: Host, work: Path) -> None:
        self.app, self.host, self.work, self.screen = app, host, work, Screen()
        self.person: Scripted | None = None

    def chat(self, *answers: Answering, session: str = "") -> Chat:
        self.person = Scripted(list(answers))
        record = self.app.sessions.get(session) if session else None
        return Chat(self.host, self.screen.terminal, workspace=str(self.work), session=record, person=self.person)

    @property
    def file(self) -> str:
        return (self.work / "a.py").read_text()


@asynccontextmanager
async def placed(folder: Path, *turns: str, guest: bool) -> AsyncIterator[Place]:
    work = folder / "work"
    await asyncio.to_thread(work.mkdir)
    (work / "a.py").write_text("x = 1\n")
    async with simulator(*turns) as server:
        settings = Settings(
            servers=(ServerSettings(url=server.url, slots=4),),
            model="talker",
            paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
        )
        async with open_application(settings, verb="chat") as app:
            if not guest:
                yield Place(app, host_of(app), work)
                return
            async with open_door(app) as door:
                yield Place(app, host_at(Guest(door.address, app.directory.token.read_text())), work)


async def test_write_is_shown_as_a_diff_done_after_a_yes_and_undone(place: Placing):
    async with place(WRITE, "Written.") as here:
        chat = here.chat("?", "d", "y")
        await chat.use_agent("coder")
        ending = await chat.say("Write it")
        assert (ending.status, ending.text, ending.waits) == ("done", ["", "Written."], [])
        assert here.screen.out == "Written.\n"
        assert "  -x = 1\n  +x = 2\n" in here.screen.err
        assert "✓ write_file: a.py" in here.screen.err
        assert here.file == "x = 2\n"
        assert await obey(chat, "/undo")
        assert here.file == "x = 1\n"
        said = [(each.message.role, each.message.content) for each in here.app.sessions.get_messages(chat.session)]
        assert said[-1][0] == "user"
        assert "I took back your last write: a.py is as it was before" in said[-1][1]
        await obey(chat, "/history 1")
        assert "you: (I took back your last write: a.py is as it was before" in here.screen.out
        assert await obey(chat, "/undo")
        assert "there is nothing left to take back" in here.screen.err


class CutOff:
    """The sessions of a holder that is gone with the answer to each undo."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def __getattr__(self, name: str) -> object:
        return getattr(self._sessions, name)

    async def undo(self, session: str, key: str) -> Undone:
        await self._sessions.undo(session, key)
        raise HolderGone("it is gone")


async def test_undo_that_was_never_answered_is_the_same_one_at_the_next_holder(place: Placing):
    async with place(WRITE, "Written.", WRITE.replace("x = 2", "x = 3"), "Again.") as here:
        chat = here.chat("y", "y")
        await chat.use_agent("coder")
        await chat.say("Write it")
        await chat.say("Write it anew")
        assert here.file == "x = 3\n"
        undo, chat.host = here.host.sessions.undo, replace(here.host, sessions=CutOff(here.host.sessions))
        with pytest.raises(HolderGone):
            await obey(chat, "/undo")
        assert here.file == "x = 2\n", "it was done, and its answer was lost"
        again = ASKED.after(chat)
        assert again.undoing
        next_chat = await opened_chat(again, here.host, here.app.settings, here.screen.terminal)
        next_chat.person = Scripted([None])
        await converse(next_chat, again)
        assert "a.py is as it was before" in here.screen.out
        assert (here.file, next_chat.undoing) == ("x = 2\n", "")
        assert (await undo(chat.session, "another")).ok
        assert here.file == "x = 1\n"


async def test_guest_sends_an_undo_again_under_its_key_when_the_answer_is_cut_off():
    told = {"path": "a.py", "ok": True, "text": "a.py is as it was before", "call": "c1"}
    answers = [b"", answer(200, told)]

    async def say(asked: Asking) -> bytes:
        return answers.pop(0)

    async with door(say) as holder:
        undone = await host_at(Guest(holder.address, "secret")).sessions.undo("s1", "k1")
    assert undone == Undone("a.py", True, "a.py is as it was before", "c1")
    assert [(asked.method, asked.path) for asked in holder.asked] == [("POST", "/api/v1/sessions/s1/undo")] * 2
    assert [asked.headers["idempotency-key"] for asked in holder.asked] == ["k1", "k1"]


async def test_undo_that_was_refused_is_over(place: Placing):
    async with place(WRITE) as here:
        chat = here.chat(None)
        await chat.use_agent("coder")
        assert (await chat.say("Write it")).status == "left"
        with pytest.raises((SessionBusy, HolderRefused)):
            await obey(chat, "/undo")
        assert not chat.undoing


async def test_no_with_a_reason_reaches_the_model_and_changes_nothing(place: Placing):
    async with place(WRITE, "Then not.") as here:
        chat = here.chat("r", "", "r", "it is 1 for a reason")
        await chat.use_agent("coder")
        assert (await chat.say("Write it")).status == "done"
        assert here.file == "x = 1\n"
        said = [each.message.content for each in here.app.sessions.get_messages(chat.session)]
        assert "The person said no: it is 1 for a reason" in said


async def test_edited_arguments_are_what_is_done(place: Placing):
    edited = '{"path": "b.py", "content": "y = 1"}'
    async with place(WRITE, "Written.") as here:
        chat = here.chat("e", "{", "e", edited, "x", "e", None, "e", edited, "y")
        await chat.use_agent("coder")
        assert (await chat.say("Write it")).status == "done"
        assert (here.file, (here.work / "b.py").read_text()) == ("x = 1\n", "y = 1\n")
        assert "that is no JSON" in here.screen.err


async def test_always_makes_the_rule_that_was_edited_and_the_next_call_is_not_asked_about(place: Placing):
    async with place(WRITE, called("write_file", '{"path": "b.py", "content": "y"}'), "Both.") as here:
        chat = here.chat("a", "write_file: ../*", "a", "write_file: c.py", "p", "a", "write_file: *.py", "p")
        await chat.use_agent("coder")
        assert (await chat.say("Write both")).status == "done"
        assert here.person is not None
        assert here.person.answers == []
        assert here.person.defaults == ["write_file: a.py"] * 3
        assert "leads out of the workspace" in here.screen.err
        assert "does not cover this call" in here.screen.err
        assert await obey(chat, "/rules")
        assert "1. write_file: *.py  (this folder" in here.screen.out
        assert await obey(chat, "/rules forget 1")
        assert await here.app.approvals.rulebook.rules(chat.session, chat.workspace) == ()


async def test_dangerous_call_has_no_rule(place: Placing):
    async with place(called("run_command", '{"command": "rm -rf .env"}'), "Then not.") as here:
        chat = here.chat("a", "n")
        await chat.use_agent("coder")
        await chat.say("Remove it")
        assert "no rule can be made for this" in here.screen.err
        assert "dangerous" in here.screen.err


async def test_answer_from_elsewhere_takes_the_question_back(place: Placing):
    async with place(WRITE, "Written.") as here:

        async def others() -> str:
            (asked,) = await here.app.approvals.pending(chat.session)
            await here.app.approvals.decide(asked.id, Approve(), by="page", nonce=asked.nonce)
            await asyncio.Event().wait()
            return "n"

        chat = here.chat(others)
        await chat.use_agent("coder")
        assert (await chat.say("Write it")).status == "done"
        assert "that has its answer from elsewhere" in here.screen.err
        assert here.file == "x = 2\n"


async def test_question_that_was_left_open_is_asked_again_when_the_session_is_opened(place: Placing):
    async with place(WRITE, "Written.") as here:
        chat = here.chat(None)
        await chat.use_agent("coder")
        ending = await chat.say("Write it")
        assert (ending.status, [each.tool for each in ending.waits]) == ("left", ["write_file"])
        again = here.chat("y", session=chat.session)
        await greet(again)
        seen = await again.see()
        assert seen is not None
        assert (seen.status, here.file) == ("done", "x = 2\n")
        assert await here.app.conversations.waiting(chat.session) == ()


async def test_call_of_a_client_that_is_away_can_be_answered_by_hand(place: Placing):
    tool = {"name": "open_tab", "description": "Open.", "parameters": {"type": "object"}, "risk": "reads"}
    async with place(called("open_tab", "{}"), "Seen.") as here:
        record = await here.app.sessions.create(workspace=str(here.work), settings={"client_tools": [tool]})
        chat = here.chat("r", GivenUp(), "r", "it is open", session=record.session)
        await chat.use_agent("coder")
        assert (await chat.say("Open it")).status == "done"
        assert any("it is open" in each.message.content for each in here.app.sessions.get_messages(chat.session))


async def test_commands_say_who_speaks_what_was_said_and_what_there_is(place: Placing):
    async with place("Hello.") as here:
        chat = here.chat()
        for command in ("/undo", "/history", "/todos", "/fork", "/title", "/rules"):
            assert await obey(chat, command)
        assert here.app.sessions.exists(chat.session) is False
        assert len(await here.app.sessions.list()) == 0  # looking in leaves no session
        await obey(chat, "/agent ask")
        await chat.say("Hi there")
        await here.app.sessions.set_todos(chat.session, ["tidy up"])
        for command in ("/agents", "/history 5", "/todos", "/sessions", "/help", "/title", "/title Greeting", "/title"):
            assert await obey(chat, command)
        out = here.screen.out
        for said in (
            "* ask ",
            "1 you: Hi there",
            "2 ask: Hello.",
            "- tidy up",
            "/undo ",
            "\nHi there\n",
            "\nGreeting\n",
        ):
            assert said in out, said
        first = chat.session
        await obey(chat, "/fork")
        assert chat.session != first
        await obey(chat, f"/open {first}")
        assert chat.session == first
        await obey(chat, "/history x")
        await obey(chat, "/undoo")
        assert "Did you mean /undo?" in here.screen.err
        assert "is no number of messages" in here.screen.err
        with pytest.raises(NoSuchAgent):
            await obey(chat, "/agent nobody")
        await obey(chat, "/new")
        assert chat.session == ""
        assert not await obey(chat, "/quit")


async def test_session_that_is_deleted_elsewhere_ends_no_chat(place: Placing):
    async with place("Hello.", "Hello anew.") as here:

        async def deleted() -> str:
            await here.app.sessions.delete(chat.session)
            return "/todos"

        chat = here.chat("Hi", deleted, "Hi again", None)
        assert await converse(chat, ASKED) == 0
        assert here.screen.out.endswith("Hello.\nHello.\n")
        assert here.person is not None
        assert here.person.asked == ["orchestrator> "] * 4
        assert here.app.sessions.exists(chat.session)
