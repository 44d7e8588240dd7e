"""Sessions in `strict`: order, keys, pairs, pages, and what a restart finds."""

import asyncio
import sqlite3

import pytest

from agents.conversation.ports import SessionPort
from agents.model import Message, ToolCall
from infrastructure.config.settings import SessionSettings
from infrastructure.events.catalogue import MessageAdded, SessionCreated, SessionDeleted, SessionUpdated
from infrastructure.ids import RunId
from infrastructure.sessions.errors import (
    BadChange,
    BadCut,
    BadMessage,
    BadSessionId,
    CallReused,
    OutOfOrder,
    SessionError,
    SessionExists,
    SessionNotLoaded,
    UnknownCall,
    UnknownSession,
)
from infrastructure.storage.errors import StorageClosed, StorageError
from tests.sessions.parts import asks, call, opened, user


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corral.db"


@pytest.fixture
async def app(path):
    async with opened(path) as app:
        yield app


@pytest.fixture
def sessions(app):
    return app.sessions


async def texts(sessions, session):
    return [each.message.content for each in reversed(await sessions.page(session, limit=1000))]


async def test_session_is_there_after_a_restart_with_all_that_was_acknowledged(path):
    message = Message("assistant", "ночь\ud83d", thinking="hm", tool_calls=(call("a"), call("b")))
    async with opened(path) as app:
        made = await app.sessions.create("s", title="A  talk\n", workspace="/w", settings={"model": "m"})
        await app.sessions.append_message("s", user("hello"), key="turn:1")
        await app.sessions.append_message("s", message, agent="coder")
        await app.sessions.append_tool_result("s", call("b"), "no", ok=False)
        await app.sessions.set_todos("s", ["one", " two ", ""])
        before = app.sessions.get("s"), app.sessions.get_messages("s"), app.sessions.get_history("s")
    assert made.title == "A talk"
    async with opened(path) as app:
        assert app.sessions.exists("s")
        with pytest.raises(SessionNotLoaded, match="load"):
            app.sessions.get("s")
        await app.sessions.load("s")
        assert (app.sessions.get("s"), app.sessions.get_messages("s"), app.sessions.get_history("s")) == before
        assert app.sessions.get_todos("s") == ("one", "two")
        stored = app.sessions.get_messages("s")
        assert stored[1].message == Message(
            "assistant", "ночь?", thinking="hm", tool_calls=(call("a"), call("b"))
        )  # half a character is none
        assert (stored[2].ok, stored[2].message.tool_name) == (False, "read_file")
        assert await app.sessions.append_message("s", user("again"), key="turn:1") == 1


async def test_manager_is_the_port_that_agents_know(sessions):
    port: SessionPort = sessions
    await sessions.create("s")
    assert await port.append_message("s", user("hello")) == 1
    assert port.get_history("s").messages == (user("hello"),)


async def test_numbers_have_no_gap_and_order_is_that_of_the_calls_under_concurrent_appends(sessions):
    await sessions.create("s")
    numbers = await asyncio.gather(*(sessions.append_message("s", user(str(number))) for number in range(300)))
    assert numbers == list(range(1, 301))
    assert await texts(sessions, "s") == [str(number) for number in range(300)]
    assert [each.content for each in sessions.get_history("s").messages] == [str(number) for number in range(300)]


async def test_a_key_is_written_once_also_while_its_first_write_is_on_its_way(sessions):
    await sessions.create("s")
    first = await asyncio.gather(*(sessions.append_message("s", user(str(n)), key="k") for n in range(3)))
    assert first == [1, 1, 1]
    assert await texts(sessions, "s") == ["0"]


async def test_append_whose_caller_was_cancelled_keeps_its_place(sessions):
    await sessions.create("s")
    waiter = asyncio.ensure_future(sessions.append_message("s", user("a")))
    await asyncio.sleep(0)
    waiter.cancel()
    assert await sessions.append_message("s", user("b")) == 2
    assert [each.content for each in sessions.get_history("s").messages] == ["a", "b"]


async def test_result_stands_behind_its_call_and_a_second_one_is_the_first(sessions):
    await sessions.create("s")
    await sessions.append_message("s", asks("a", "b"), agent="coder")
    await sessions.append_message("s", user("how far?"))
    assert await sessions.append_tool_result("s", call("b"), "B") == 3
    assert await sessions.append_tool_result("s", call("a"), "A") == 4
    assert await sessions.append_tool_result("s", call("a"), "other") == 4
    shown = [each.content for each in sessions.get_history("s").messages]
    assert shown == ["", "A", "B", "how far?"]


async def test_result_that_nobody_asked_for_is_refused_and_nothing_is_written(sessions):
    await sessions.create("s")
    with pytest.raises(UnknownCall, match="has not asked"):
        await sessions.append_tool_result("s", call("a"), "A")
    with pytest.raises(BadMessage, match="names no call"):
        await sessions.append_tool_result("s", ToolCall("echo", {}), "A")
    assert await texts(sessions, "s") == []


@pytest.mark.parametrize("again", [("a", "a"), ("b", "open"), ("done",)])
async def test_id_of_a_call_is_used_once_in_a_session(sessions, again):
    await sessions.create("s")
    await sessions.append_message("s", asks("open", "done"))
    await sessions.append_tool_result("s", call("done"), "D")
    with pytest.raises(CallReused):
        await sessions.append_message("s", asks(*again))
    assert sessions.get("s").last == 2


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (Message("assistant", "", tool_calls=(ToolCall("echo", {}),)), "no id"),
        (Message("user", "", tool_calls=(call("a"),)), "only an assistant"),
        (Message("assistant", "", tool_calls=(ToolCall("echo", {"x": object()}, "a"),)), "JSON"),
        (Message("user", "x" * 2000), "sessions.message_bytes"),
    ],
)
async def test_message_that_cannot_be_kept_is_refused_with_a_reason(path, message, told):
    async with opened(path, SessionSettings(message_bytes=1024)) as app:
        await app.sessions.create("s")
        with pytest.raises(BadMessage, match=told):
            await app.sessions.append_message("s", message)
        assert app.sessions.get("s").last == 0


async def test_unknown_session_is_told_everywhere(sessions):
    asked = [
        sessions.load("x"),
        sessions.page("x"),
        sessions.append_message("x", user("a")),
        sessions.update("x", title="t"),
        sessions.delete("x"),
        sessions.fork("x"),
        sessions.set_todos("x", ["a"]),
    ]
    for each in asked:
        with pytest.raises(UnknownSession, match="there is no session 'x'"):
            await each
    for read in (sessions.get, sessions.get_history, sessions.get_todos):
        with pytest.raises(UnknownSession):
            read("x")


async def test_ids_are_checked_and_taken_once(sessions):
    for bad in ("", "a/b", "x" * 65, "system", "s s"):
        with pytest.raises(BadSessionId):
            await sessions.create(bad)
    outcomes = await asyncio.gather(sessions.create("s"), sessions.create("s"), return_exceptions=True)
    assert [type(each) for each in outcomes][1] is SessionExists
    both = await asyncio.gather(sessions.get_or_create("t", title="one"), sessions.get_or_create("t", title="two"))
    assert both[0] == both[1]
    assert len(sessions) == 2


async def test_pages_are_newest_first_and_go_on_where_the_last_ended(sessions):
    await sessions.create("s")
    for number in range(1, 8):
        await sessions.append_message("s", user(str(number)))
    first = await sessions.page("s", limit=3)
    second = await sessions.page("s", before=first[-1].number, limit=3)
    assert [[each.number for each in page] for page in (first, second)] == [[7, 6, 5], [4, 3, 2]]


async def test_list_has_those_that_changed_last_first_and_goes_on(sessions):
    for name in ("a", "b", "c"):
        await sessions.create(name)
    await sessions.append_message("a", user("x"))
    first = await sessions.list(2)
    assert [each.session for each in first] == ["a", "c"]
    assert [each.session for each in await sessions.list(2, before="c")] == ["b"]
    assert first[0].last == 1


async def test_changes_of_title_and_settings_come_together(sessions):
    await sessions.create("s", settings={"a": 1, "gone": 1})
    await asyncio.gather(
        sessions.update("s", settings={"b": 2}), sessions.update("s", settings={"gone": None}, title="T")
    )
    assert (sessions.get("s").settings, sessions.get("s").title) == ({"a": 1, "b": 2}, "T")
    with pytest.raises(BadChange):
        await sessions.update("s", title="x" * 501)
    with pytest.raises(BadChange):
        await sessions.set_todos("s", ["x"] * 201)


async def test_deleted_session_takes_nothing_and_leaves_nothing(app, sessions):
    await sessions.create("s")
    await sessions.append_message("s", user("secret"))
    deleting = [asyncio.ensure_future(sessions.delete("s")) for _ in range(2)]
    await asyncio.sleep(0)  # the deletions begin
    await asyncio.sleep(0)
    outcomes = await asyncio.gather(*deleting, sessions.append_message("s", user("late")), return_exceptions=True)
    assert [type(each) for each in outcomes] == [type(None), UnknownSession, UnknownSession]
    assert not sessions.exists("s")
    rows = await app.database.read(lambda connection: connection.execute("SELECT * FROM messages").fetchall())
    assert rows == []
    await sessions.create("s")
    assert await sessions.append_message("s", user("new")) == 1


async def test_summary_stands_for_what_was_before_it(path):
    async with opened(path) as app:
        await app.sessions.create("s")
        for text in "abc":
            await app.sessions.append_message("s", user(text))
        await app.sessions.append_message("s", asks("q"))
        with pytest.raises(BadCut, match="'q'"):
            await app.sessions.append_summary("s", "S", 4, "sum:0")
        with pytest.raises(BadCut):
            await app.sessions.append_summary("s", "S", 9, "sum:0")
        assert await app.sessions.append_summary("s", "S", 2, "sum:1") == 5
        assert await app.sessions.append_summary("s", "S", 2, "sum:1") == 5
        await app.sessions.append_tool_result("s", call("q"), "Q")
        shown = app.sessions.get_history("s")
        assert ([each.content for each in shown.messages], shown.first) == (["S", "c", "", "Q"], 2)
    async with opened(path) as app:
        await app.sessions.load("s")
        assert app.sessions.get_history("s") == shown
        assert await app.sessions.append_summary("s", "S2", 6, "sum:2") == 7
        assert [each.content for each in app.sessions.get_history("s").messages] == ["S2"]
        assert await app.sessions.append_tool_result("s", call("q"), "late") == 6  # also of what is summed up
        with pytest.raises(CallReused):
            await app.sessions.append_message("s", asks("q"))
        assert await texts(app.sessions, "s") == ["a", "b", "c", "", "S", "Q", "S2"]


async def test_fork_has_the_beginning_and_answers_what_the_cut_left_open(path):
    async with opened(path) as app:
        await app.sessions.create("s", title="T", settings={"a": 1}, agent="ask")
        await app.sessions.append_message("s", user("a"), key="k")
        await app.sessions.append_message("s", asks("p", "q"), agent="coder")
        await app.sessions.append_tool_result("s", call("p"), "P")
        await app.sessions.append_tool_result("s", call("q"), "Q")
        fork = await app.sessions.fork("s", 3, title="F")
        assert (fork.parent, fork.forked_after, fork.title, fork.agent) == ("s", 3, "F", "coder")
        messages = app.sessions.get_messages(fork.session)
        assert [each.message.content.partition(":")[0] for each in messages] == ["a", "", "P", "not done"]
        assert [each.ok for each in messages] == [True, True, True, False]
        assert await app.sessions.append_message(fork.session, user("k"), key="k") == 5  # keys are the source's
        assert await app.sessions.append_message("s", user("b")) == 5
        for cut in (-1, 6):
            with pytest.raises(BadCut):
                await app.sessions.fork("s", cut)
        assert (await app.sessions.fork("s", 0)).last == 0
        events = [each.event for each in await app.log.read(RunId(fork.session))]
        assert events[0] == SessionCreated(title="F", agent="coder", parent="s", forked_after=3)
    async with opened(path) as app:
        assert (await app.sessions.load(fork.session)).last == 5


async def test_search_finds_pieces_in_any_case_newest_first(sessions):
    await sessions.create("old", title="About foo_BAR")
    await sessions.append_message("old", user("call Foo_bar(1)"))
    await sessions.append_message("old", user("nothing"))
    await sessions.create("new")
    await sessions.append_message("new", user("Страсть 100%"))
    await sessions.append_message("new", user("fooXbar"))
    found = await sessions.search("foo_bar")
    assert [(each.session, each.number) for each in found] == [("old", 0), ("old", 1)]
    assert found[1].excerpt == "call Foo_bar(1)"
    assert [each.number for each in await sessions.search("СТРАСТЬ")] == [1]
    assert [each.number for each in await sessions.search("0%")] == [1]
    assert len(await sessions.search("o", limit=2)) == 2
    for bad in (" ", "x" * 201):
        with pytest.raises(BadChange):
            await sessions.search(bad)


async def test_each_change_is_an_event_under_the_sessions_name(app):
    await app.sessions.create("s", title="T")
    await app.sessions.append_message("s", asks("a"), agent="coder")
    await app.sessions.append_tool_result("s", call("a"), "A")
    await app.sessions.update("s", title="U")
    await app.sessions.update("s", title="U")  # nothing new
    await app.sessions.delete("s")
    assert [each.event for each in await app.log.read(RunId("s"))] == [
        SessionCreated(title="T"),
        MessageAdded(number=1, role="assistant", agent="coder", calls=("a",)),
        MessageAdded(number=2, role="tool"),
        SessionUpdated(fields=("title",)),
        SessionDeleted(),
    ]


async def refuse_inserts(app, text):
    def work(connection):
        connection.execute(
            "CREATE TRIGGER refusing BEFORE INSERT ON messages WHEN NEW.text = "
            + repr(text)
            + " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    await app.database.write(work)


async def test_message_that_cannot_be_stored_takes_those_behind_it_along_and_leaves_no_gap(app, sessions):
    await sessions.create("s")
    await refuse_inserts(app, "bad")
    outcomes = await asyncio.gather(
        *(sessions.append_message("s", user(text)) for text in ("a", "bad", "b")), return_exceptions=True
    )
    assert outcomes[0] == 1
    assert isinstance(outcomes[1], (sqlite3.IntegrityError, StorageError))
    assert isinstance(outcomes[2], OutOfOrder)
    assert await sessions.append_message("s", user("c")) == 2
    assert [each.content for each in sessions.get_history("s").messages] == ["a", "c"]
    assert [each.event.kind for each in await app.log.read(RunId("s"))] == ["session.created"] + ["message.added"] * 2


async def test_memory_holds_the_sessions_used_last_and_those_held(path):
    async with opened(path, SessionSettings(loaded=8)) as app:
        for number in range(20):
            await app.sessions.create(f"s{number}")
        assert app.sessions.loaded == 8
        async with app.sessions.held("s0"):
            for number in range(1, 20):
                assert await app.sessions.append_message(f"s{number}", user("x")) == 1
            assert app.sessions.get_history("s0").messages == ()
            assert app.sessions.loaded == 8
        await app.sessions.load("s1")
        await app.sessions.load("s2")
        with pytest.raises(SessionNotLoaded):
            app.sessions.get("s12")
        both = await asyncio.gather(app.sessions.load("s12"), app.sessions.append_message("s12", user("y")))
        assert both[1] == 2


async def test_closed_manager_says_so(path):
    async with opened(path) as app:
        await app.sessions.create("s")
        await app.sessions.aclose()
        await app.sessions.aclose()
        with pytest.raises(StorageClosed):
            await app.sessions.append_message("s", user("a"))
        with pytest.raises(StorageClosed):
            await app.sessions.create("t")


def test_every_error_of_sessions_is_one_kind():
    assert all(issubclass(each, SessionError) for each in (BadChange, BadCut, OutOfOrder, UnknownCall))
