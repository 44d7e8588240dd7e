"""A session that is asked for under a key is begun once, however often it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from infrastructure.ids import RunId
from infrastructure.storage.run_record import RequestKey
from tests.conversation.stack import simulator
from tests.doors.house import SESSIONS, House, house, problem

KEY = {"Idempotency-Key": "k1"}


async def begin(here: House, headers: dict[str, str] = KEY, **told: object) -> httpx.Response:
    return await here.client.post(SESSIONS, json={"title": "One", **told}, headers=headers)


async def count(here: House) -> int:
    return len((await here.client.get(SESSIONS)).json()["sessions"])


async def test_of_many_at_once_one_is_begun(talker: House) -> None:
    answers = await asyncio.gather(*(begin(talker) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {201}
    (session,) = {answer.json()["session"] for answer in answers}
    assert {answer.headers["location"] for answer in answers} == {f"{SESSIONS}/{session}"}
    assert await count(talker) == 1
    kinds = [stored.event.kind for stored in await talker.application.log.read(RunId(session))]
    assert kinds == ["session.created"]


async def test_who_asks_again_gets_the_session_as_it_is_by_then(talker: House) -> None:
    session = (await begin(talker)).json()["session"]
    await talker.client.patch(f"{SESSIONS}/{session}", json={"title": "Two"})
    again = (await begin(talker)).json()
    assert (again["session"], again["title"]) == (session, "Two")


async def test_it_is_found_though_it_could_not_be_begun_now(talker: House, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    session = (await begin(talker, workspace=str(folder))).json()["session"]
    folder.rmdir()
    assert (await begin(talker, workspace=str(folder))).json()["session"] == session


@pytest.mark.parametrize(
    "change", [{"title": "Two"}, {"agent": "coder"}, {"settings": {"theme": "dark"}}, {"workspace": "/"}], ids=str
)
async def test_the_same_key_with_another_body_is_a_conflict(talker: House, change: dict[str, object]) -> None:
    session = (await begin(talker)).json()["session"]
    answer = await begin(talker, **change)
    assert problem(answer) == (409, "KeyReused")
    assert session in answer.json()["detail"]
    assert await count(talker) == 1


async def test_without_a_key_each_is_its_own_and_a_deleted_one_frees_its_key(talker: House) -> None:
    first = (await begin(talker)).json()["session"]
    assert (await begin(talker, {})).json()["session"] != (await begin(talker, {})).json()["session"]
    assert (await talker.client.delete(f"{SESSIONS}/{first}")).status_code == 204
    other = (await begin(talker, title="Two")).json()
    assert other["session"] != first
    assert other["title"] == "Two"


async def test_a_fork_does_not_bear_the_key_of_its_source(talker: House) -> None:
    session = (await begin(talker)).json()["session"]
    answer = await talker.client.post(f"{SESSIONS}/{session}/fork", json={})
    assert answer.status_code == 201
    assert (await begin(talker)).json()["session"] == session


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_key_that_cannot_be_one_is_refused(talker: House, key: str) -> None:
    assert problem(await begin(talker, {"Idempotency-Key": key})) == (422, "InvalidRequest")
    assert await count(talker) == 0


async def test_what_could_not_be_begun_leaves_its_key_free(talker: House) -> None:
    assert problem(await begin(talker, title="x" * 501)) == (422, "BadChange")
    assert (await begin(talker)).status_code == 201


async def test_one_who_leaves_meanwhile_has_begun_it(talker: House) -> None:
    sessions = talker.application.sessions
    begun = asyncio.Event()
    keep = sessions._life._keep

    async def slowly(*asked: object) -> None:
        begun.set()
        await asyncio.sleep(0)
        await keep(*asked)  # pyright: ignore[reportArgumentType]

    sessions._life._keep = slowly
    request = RequestKey.of("k1", {"title": "One"})
    leaves = asyncio.create_task(sessions.create(title="One", request=request))
    await begun.wait()
    leaves.cancel()
    await asyncio.wait([leaves])
    (session,) = {(await begin(talker)).json()["session"] for _ in range(2)}
    assert sessions.exists(session)
    assert await count(talker) == 1


async def test_a_restart_forgets_no_key(tmp_path: Path) -> None:
    async with simulator("Hello.") as server:
        async with house(tmp_path, server.url) as before:
            session = (await begin(before)).json()["session"]
        async with house(tmp_path, server.url) as after:
            assert (await begin(after)).json()["session"] == session
            assert problem(await begin(after, title="Two")) == (409, "KeyReused")
