"""An undo that bears a key takes back one write, however often it is sent, and whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from infrastructure.sessions.approvals import ActionRequest, Approve
from infrastructure.storage.database import Database
from infrastructure.storage.writes import WriteStore
from tests.conversation.stack import called, simulator
from tests.doors.house import SESSIONS, House, house, problem

FILES = {"a.txt": "old a\n", "b.txt": "old b\n"}
TURNS = (
    called("write_file", '{"path": "a.txt", "content": "new"}'),
    "Written.",
    called("write_file", '{"path": "b.txt", "content": "new"}'),
    "Written, too.",
    called("write_file", '{"path": "c.txt", "content": "new"}'),
)


@pytest.fixture
async def wrote(tmp_path: Path) -> AsyncIterator[tuple[House, str]]:
    """A session whose agent has written both files, the second one last, and would write a third."""
    async with simulator(*TURNS) as server, house(tmp_path, server.url) as here:
        yield here, await written(here)


async def written(here: House) -> str:
    session = await here.session(agent="coder")
    for name, content in FILES.items():
        (here.workspace / name).write_text(content)
        action = ActionRequest(tool="write_file", arguments={"path": name, "content": "new"})
        asked = await here.application.approvals.request("another", name, action, workspace=str(here.workspace))
        await here.application.approvals.decide(asked.id, Approve(), by="test", nonce=asked.nonce, scope="always")
        await here.say(session, "Write it")
    assert stands(here) == {"a.txt": "new\n", "b.txt": "new\n"}
    return session


def stands(here: House) -> dict[str, str]:
    return {name: (here.workspace / name).read_text() for name in FILES}


async def undo(here: House, session: str, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await here.client.post(f"{SESSIONS}/{session}/undo", headers=headers)


async def told(here: House, session: str) -> list[str]:
    """The words of undos in the session."""
    said = [str(each["content"]) for each in await here.history(session)]
    return [content for content in said if content.startswith("(I took back")]


async def test_of_many_at_once_one_takes_a_write_back_and_all_are_told_which(wrote: tuple[House, str]) -> None:
    here, session = wrote
    answers = await asyncio.gather(*(undo(here, session, "k1") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    (first, *others) = [answer.json() for answer in answers]
    assert (first["ok"], first["path"], first["text"]) == (True, "b.txt", "b.txt is as it was before")
    assert all(other == first for other in others)
    assert stands(here) == {"a.txt": "new\n", "b.txt": "old b\n"}
    assert len(await told(here, session)) == 1


async def test_another_key_and_no_key_take_back_the_write_before(wrote: tuple[House, str]) -> None:
    here, session = wrote
    assert (await undo(here, session, "k1")).json()["path"] == "b.txt"
    assert (await undo(here, session, "k2")).json()["path"] == "a.txt"
    assert stands(here) == FILES
    assert not (await undo(here, session)).json()["ok"]
    assert [(await undo(here, session, key)).json()["path"] for key in ("k1", "k2")] == ["b.txt", "a.txt"]


async def test_an_undo_that_found_nothing_finds_nothing_when_it_is_sent_again(tmp_path: Path) -> None:
    async with simulator(*TURNS) as server, house(tmp_path, server.url) as here:
        session = await here.session(agent="coder")
        nothing = (await undo(here, session, "k1")).json()
        assert (nothing["ok"], nothing["text"]) == (False, "there is nothing left to take back")
        other = await written(here)
        assert (await undo(here, other, "k1")).json()["path"] == "b.txt", "a key is of its session"
        assert (await undo(here, session, "k1")).json() == nothing


async def test_an_undo_is_told_again_while_a_turn_is_open_and_another_is_refused(wrote: tuple[House, str]) -> None:
    here, session = wrote
    first = (await undo(here, session, "k1")).json()
    assert (await here.say(session, "Write another"))[-1].event == "waiting"
    assert (await undo(here, session, "k1")).json() == first
    assert problem(await undo(here, session, "k2")) == (409, "SessionBusy")
    assert stands(here) == {"a.txt": "new\n", "b.txt": "old b\n"}


async def test_a_restart_forgets_no_key(tmp_path: Path) -> None:
    async with simulator(*TURNS) as server:
        async with house(tmp_path, server.url) as before:
            session = await written(before)
            first = (await undo(before, session, "k1")).json()
        async with house(tmp_path, server.url) as after:
            assert (await undo(after, session, "k1")).json() == first
            assert stands(after) == {"a.txt": "new\n", "b.txt": "old b\n"}
            assert len(await told(after, session)) == 1
            assert (await undo(after, session, "k2")).json()["path"] == "a.txt"


@pytest.mark.parametrize("who", ["k1", "k2", ""], ids=["it first", "another first", "one without a key first"])
async def test_an_undo_that_a_crash_cut_off_is_ended_once_whoever_asks_first(tmp_path: Path, who: str) -> None:
    async with simulator(*TURNS) as server:
        async with house(tmp_path, server.url) as before:
            session = await written(before)
        async with Database(tmp_path / "data" / "corral.db") as database:  # killed between the file and its word
            store = WriteStore(database)
            last = (await store.of_session(session))[-1]
            await store.name(session, "k1", last.call)
            (before.workspace / "b.txt").write_text(FILES["b.txt"])
        async with house(tmp_path, server.url) as after:
            first = (await undo(after, session, who)).json()
            assert (first["ok"], first["path"], first["call"]) == (True, "b.txt", last.call)
            assert (await undo(after, session, "k1")).json() == first
            assert stands(after) == {"a.txt": "new\n", "b.txt": "old b\n"}
            assert len(await told(after, session)) == 1


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_key_that_cannot_be_one_is_refused(wrote: tuple[House, str], key: str) -> None:
    here, session = wrote
    answer = await here.client.post(f"{SESSIONS}/{session}/undo", headers={"Idempotency-Key": key})
    assert problem(answer) == (422, "InvalidRequest")
    assert stands(here) == {"a.txt": "new\n", "b.txt": "new\n"}
