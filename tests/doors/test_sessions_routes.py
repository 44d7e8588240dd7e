"""Sessions over HTTP: begun, listed, found, changed, forked, taken away."""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from agents.model import Message
from backend.api import create_app
from infrastructure.ids import RunId
from infrastructure.sessions.records import SessionRecord, placed
from tests.doors.house import OPEN_TAB, SESSIONS, House, problem

JSON = {"Content-Type": "application/json"}
NOTHING = f"{SESSIONS}/nothing"


async def test_a_session_is_begun_read_changed_and_deleted(talker: House) -> None:
    answer = await talker.client.post(SESSIONS, json={"title": "One", "agent": "ask", "settings": {"theme": "dark"}})
    assert answer.status_code == 201
    path = answer.headers["location"]
    told = (await talker.client.get(path)).json()
    assert told == answer.json()
    assert (told["title"], told["agent"], told["settings"]) == ("One", "ask", {"theme": "dark"})
    change = {"title": "Two", "agent": "coder", "settings": {"theme": None, "client_tools": [OPEN_TAB]}}
    told = (await talker.client.patch(path, json=change)).json()
    assert (told["title"], told["agent"], told["settings"]) == ("Two", "coder", {"client_tools": [OPEN_TAB]})
    session = told["session"]
    switches = await talker.application.agent_contexts.get_switch_history(session)
    assert [(each.previous, each.agent, each.by) for each in switches] == [("ask", "coder", "person")]
    assert (await talker.client.delete(path)).status_code == 204
    assert problem(await talker.client.get(path)) == (404, "UnknownSession")
    kinds = [stored.event.kind for stored in await talker.application.log.read(RunId(session))]
    assert kinds == ["session.created", "session.updated", "agent.switched", "session.deleted"]


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_a_workspace_whose_name_is_no_text_is_refused(talker: House, accept: str) -> None:
    """The folder may exist: names of files are bytes. A session keeps text."""
    folder = os.fsdecode(os.fsencode(talker.workspace) + b"/\xff")
    Path(folder).mkdir()
    for workspace in ("/\\ud800", folder.encode("utf-8", "backslashreplace").decode(), "/nowhere/\\ud800"):
        body = f'{{"workspace": "{workspace}"}}'.encode()
        answer = await talker.client.post(SESSIONS, content=body, headers={**JSON, "Accept": accept})
        assert answer.status_code == 422, answer.text
        assert "is none" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", r'{"title": "\ud800"}'),
        ("POST", "", r'{"agent": "\ud800"}'),
        ("POST", "", r'{"\ud800": 1}'),
        ("POST", "", r'{"settings": {"\ud800": "\udfff", "more": [{"\ud800": "\ud800"}]}}'),
        ("POST", "", r'{"settings": {"client_tools": [{"name": "x", "description": "\ud800"}]}}'),
        ("POST", "", r'{"settings": {"client_tools": [{"name": "\ud800"}]}}'),
        ("PATCH", "/{session}", r'{"title": "\ud800", "settings": {"\ud800": "\ud800"}}'),
        ("PATCH", "/{session}", r'{"agent": "\ud800"}'),
        ("POST", "/{session}/fork", r'{"title": "\ud800"}'),
        ("PUT", "/{session}/todos", r'{"todos": ["\ud800"]}'),
        ("POST", "/{session}/messages", r'{"text": "\ud800"}'),
        ("POST", "/{session}/messages", r'{"text": "x", "images": ["\ud800"]}'),
        ("POST", "/{session}/messages", r'{"text": "x", "agent": "\ud800"}'),
        ("POST", "/{session}/tools/x/result", r'{"content": "\ud800"}'),
    ],
)
async def test_half_characters_break_nothing_wherever_they_are_sent(
    talker: House, method: str, path: str, body: str
) -> None:
    session = await talker.session()
    address = f"{SESSIONS}{path.format(session=session)}"
    answer = await talker.client.request(method, address, content=body.encode(), headers=JSON)
    assert answer.status_code < 500, answer.text
    for shown in ("", "?search=x", f"/{session}", f"/{session}/history", f"/{session}/todos", f"/{session}/waiting"):
        assert (await talker.client.get(f"{SESSIONS}{shown}")).status_code == 200, shown


@pytest.mark.parametrize("form", ['{{"x": {0}}}', '{{"client_tools": [{{"name": "x", "parameters": {{"x": {0}}}}}]}}'])
async def test_settings_that_are_nested_too_deep_are_refused(talker: House, form: str) -> None:
    session = await talker.session()
    for depth in range(240, 256):  # what reads and what writes JSON have limits of their own hereabouts
        settings = form.format("[" * depth + "]" * depth)
        for method, path in (("POST", SESSIONS), ("PATCH", f"{SESSIONS}/{session}")):
            body = f'{{"settings": {settings}}}'.encode()
            told = await talker.client.request(method, path, content=body, headers=JSON)
            assert told.status_code == 422, (depth, method, told.text)
    kept = await talker.client.post(SESSIONS, json={"settings": {"x": [[[[[[[[1]]]]]]]]}})
    assert kept.json()["settings"] == {"x": [[[[[[[[1]]]]]]]]}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
@pytest.mark.parametrize("form", ["{0}", '{{"x": [{0}]}}'])
async def test_a_number_without_end_is_refused_and_takes_no_setting_away(talker: House, number: str, form: str) -> None:
    session = await talker.session(settings={"zoom": 1.5})
    settings = f'{{"settings": {{"zoom": {form.format(number)}}}}}'.encode()
    for method, path in (("PATCH", f"{SESSIONS}/{session}"), ("POST", SESSIONS)):
        answer = await talker.client.request(method, path, content=settings, headers=JSON)
        assert problem(answer) == (422, "InvalidRequest")
        assert "number" in answer.text
    assert (await talker.client.get(f"{SESSIONS}/{session}")).json()["settings"] == {"zoom": 1.5}


async def test_sessions_are_listed_newest_first_in_pages_and_found_by_what_was_said(talker: House) -> None:
    first, second, third = [await talker.session(title=title) for title in ("one", "two", "three")]
    await talker.say(first, "Where is the needle?")
    page = (await talker.client.get(SESSIONS, params={"limit": 2})).json()
    assert [each["session"] for each in page["sessions"]] == [first, third]
    rest = (await talker.client.get(SESSIONS, params={"limit": 2, "before": page["next"]})).json()
    assert ([each["session"] for each in rest["sessions"]], rest["next"]) == ([second], None)
    found = (await talker.client.get(SESSIONS, params={"search": "NEEDLE"})).json()
    assert [each["session"] for each in found["sessions"]] == [first]
    assert [(each["session"], each["number"], each["excerpt"]) for each in found["found"]] == [
        (first, 1, "Where is the needle?")
    ]
    assert problem(await talker.client.get(SESSIONS, params={"search": " "})) == (422, "BadChange")


async def test_next_page_comes_after_the_last_though_that_one_changed_or_went(talker):
    sessions = [(await talker.client.post(SESSIONS, json={"title": str(n)})).json()["session"] for n in range(5)]
    changed, gone = sessions[3], sessions[1]
    first = (await talker.client.get(SESSIONS, params={"limit": 2})).json()
    assert (await talker.client.patch(f"{SESSIONS}/{changed}", json={"title": "changed"})).status_code == 200
    second = (await talker.client.get(SESSIONS, params={"limit": 2, "before": first["next"]})).json()
    assert [each["title"] for each in second["sessions"]] == ["2", "1"]
    assert (await talker.client.delete(f"{SESSIONS}/{gone}")).status_code == 204
    third = (await talker.client.get(SESSIONS, params={"limit": 2, "before": second["next"]})).json()
    assert [each["title"] for each in third["sessions"]] == ["0"]
    by_id = (await talker.client.get(SESSIONS, params={"limit": 2, "before": sessions[2]})).json()
    assert [each["title"] for each in by_id["sessions"]] == ["0"]
    assert (await talker.client.get(SESSIONS, params={"limit": 2, "before": gone})).status_code == 404
    longest = SessionRecord(session="s" * 64, created=datetime.now(UTC), updated=datetime.now(UTC)).place
    every = (await talker.client.get(SESSIONS, params={"limit": 9, "before": longest})).json()
    assert len(every["sessions"]) == 4


@pytest.mark.parametrize("session", ["notes.2024", "v1.2", "a-b_c", ""])
def test_no_id_of_a_session_is_taken_for_a_place(session: str) -> None:
    assert placed(session) is None


async def test_a_fork_has_the_first_messages_and_goes_its_own_way(talker: House) -> None:
    session = await talker.session(title="one")
    await talker.say(session, "Hi")
    answer = await talker.client.post(f"{SESSIONS}/{session}/fork", json={"upto": 1, "title": "other"})
    fork = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{SESSIONS}/{fork['session']}")
    assert (fork["parent"], fork["forked_after"], fork["title"]) == (session, 1, "other")
    assert [each["content"] for each in await talker.history(fork["session"])] == ["Hi"]
    assert [each["content"] for each in await talker.history(session)] == ["Hi", "Hello."]
    assert problem(await talker.client.post(f"{SESSIONS}/{session}/fork", json={"upto": 99})) == (422, "BadCut")


async def test_what_is_made_below_a_mount_is_found_where_it_says(talker: House) -> None:
    mounted = create_app(lambda: nullcontext(talker.application))
    outer = FastAPI()
    outer.mount("/corral", mounted)
    transport, headers = httpx.ASGITransport(outer), {"Authorization": f"Bearer {talker.token}"}
    async with (
        mounted.router.lifespan_context(mounted),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765", headers=headers) as client,
    ):
        begun = await client.post(f"/corral{SESSIONS}", json={})
        assert (await client.get(begun.headers["location"])).json() == begun.json()
        fork = await client.post(f"{begun.headers['location']}/fork", json={})
        assert (await client.get(fork.headers["location"])).json() == fork.json()


async def test_a_message_that_began_a_turn_says_which_and_the_word_of_an_undo_began_none(talker: House) -> None:
    session = await talker.session()
    answer = await talker.client.post(f"{SESSIONS}/{session}/messages", json={"text": "Hi"})
    await talker.watched(session)
    await talker.application.sessions.append_message(session, Message("user", "(I took it back)"), key="undo/c1")
    turns = [each["turn"] for each in await talker.history(session)]
    assert turns == [answer.json()["turn"], "", ""]


async def test_the_list_of_things_to_do_is_kept_and_an_event_tells_of_it(talker: House) -> None:
    session = await talker.session()
    path = f"{SESSIONS}/{session}/todos"
    assert (await talker.client.put(path, json={"todos": ["write", " ", "run"]})).json() == {"todos": ["write", "run"]}
    assert (await talker.client.get(path)).json() == {"todos": ["write", "run"]}
    assert problem(await talker.client.put(path, json={"todos": ["x" * 2000]})) == (422, "BadChange")
    events = (await talker.client.get(f"{SESSIONS}/{session}/events")).json()["events"]
    assert [event.get("fields") for event in events if event["kind"] == "session.updated"] == [["todos"]]


@pytest.mark.parametrize(
    ("told", "status", "name"),
    [
        ({"title": "x" * 501}, 422, "BadChange"),
        ({"workspace": "project"}, 422, "InvalidRequest"),
        ({"workspace": "/nowhere/at/all"}, 422, "NotADirectory"),
        ({"agent": "nobody"}, 422, "NoSuchAgent"),
        ({"settings": {"notes": "x" * 70_000}}, 422, "BadChange"),
        ({"settings": {"client_tools": [{**OPEN_TAB, "name": "read_file"}]}}, 422, "InvalidRequest"),
        ({"settings": {"client_tools": [{**OPEN_TAB, "parameters": {"type": 5}}]}}, 422, "InvalidRequest"),
        ({"settings": {"client_tools": [{"description": "no name"}]}}, 422, "InvalidRequest"),
        ({"colour": "blue"}, 422, "InvalidRequest"),
    ],
)
async def test_a_session_that_cannot_be_begun_says_why(
    talker: House, told: dict[str, object], status: int, name: str
) -> None:
    assert problem(await talker.client.post(SESSIONS, json=told)) == (status, name)
    assert len(talker.application.sessions) == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", NOTHING, None),
        ("PATCH", NOTHING, {"title": "x"}),
        ("DELETE", NOTHING, None),
        ("POST", f"{NOTHING}/fork", {}),
        ("GET", f"{NOTHING}/history", None),
        ("GET", f"{NOTHING}/todos", None),
        ("PUT", f"{NOTHING}/todos", {"todos": []}),
        ("GET", f"{NOTHING}/waiting", None),
        ("POST", f"{NOTHING}/messages", {"text": "Hi"}),
        ("GET", f"{NOTHING}/stream", None),
        ("GET", f"{NOTHING}/events", None),
        ("POST", f"{NOTHING}/tools/1/result", {"content": "x"}),
        ("POST", f"{NOTHING}/cancel", None),
    ],
)
async def test_an_unknown_session_is_404_and_is_not_begun_by_asking(
    talker: House, method: str, path: str, body: object
) -> None:
    assert problem(await talker.client.request(method, path, json=body)) == (404, "UnknownSession")
    assert not talker.application.sessions.exists("nothing")


async def test_deleting_a_session_ends_its_turn_and_takes_back_what_it_asks(writer: House) -> None:
    session = await writer.session(agent="coder")
    frames = await writer.say(session, "Write it")
    (asked,) = frames[-1].json["approvals"]
    assert (await writer.client.delete(f"{SESSIONS}/{session}")).status_code == 204
    assert (await writer.client.get("/api/v1/approvals")).json() == {"approvals": []}
    told = await writer.client.post(
        f"/api/v1/approvals/{asked['id']}", json={"nonce": asked["nonce"], "decision": "approve"}
    )
    assert told.status_code == 409
    assert not (writer.workspace / "a.py").exists()
