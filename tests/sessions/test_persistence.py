"""The modes that acknowledge before the disk has it: when they write, what a crash takes, and what a failure does."""

import asyncio
import logging

import pytest

from infrastructure.config.load import load_settings
from infrastructure.config.settings import SessionSettings
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import RunId
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.errors import SessionError
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.database import Database
from infrastructure.storage.errors import DiskFull, StorageError
from tests.sessions.parts import HandClock, asks, call, opened, user

EVENT_DRIVEN = SessionSettings(persistence="event_driven")
TIMER = SessionSettings(persistence="timer")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corral.db"


@pytest.fixture
def clock():
    return HandClock()


def stored(connection):
    return [text for (text,) in connection.execute("SELECT text FROM messages ORDER BY session, number")]


async def kept(app):
    return await app.database.read(stored)


async def message_events(app, session, count):
    """Wait until so many messages of the session are on disk."""
    numbers = []
    async for each in app.log.follow(RunId(session)):
        if each.event.kind == "message.added":
            numbers.append(each.event.number)
        if len(numbers) == count:
            return numbers
    raise AssertionError("the log ended")


async def refuse(app, on):
    sql = "CREATE TRIGGER refusing BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'no'); END"
    await app.database.write(lambda connection: connection.execute(sql if on else "DROP TRIGGER refusing") and None)


async def test_event_driven_writes_when_nothing_came_for_the_debounce(path, clock):
    async with opened(path, EVENT_DRIVEN, clock) as app:
        await app.sessions.create("s")
        assert await app.sessions.append_message("s", user("a")) == 1
        assert await clock.asleep() == pytest.approx(2)
        clock.move(1.5)
        await app.sessions.append_message("s", user("b"))
        clock.move(0.5)
        assert await clock.asleep() == pytest.approx(1.5)  # two seconds after the last one
        assert (await kept(app), app.sessions.waiting) == ([], 2)
        assert [each.content for each in app.sessions.get_history("s").messages] == ["a", "b"]
        clock.move(1.5)
        assert await message_events(app, "s", 2) == [1, 2]
        assert await kept(app) == ["a", "b"]


async def test_event_driven_writes_under_steady_traffic_after_the_interval(path, clock):
    async with opened(path, EVENT_DRIVEN, clock) as app:
        await app.sessions.create("s")
        for number in range(5):
            await app.sessions.append_message("s", user(str(number)))
            await clock.asleep()
            assert await kept(app) == []
            clock.move(1)
        assert await message_events(app, "s", 5) == [1, 2, 3, 4, 5]


async def test_timer_writes_every_interval(path, clock):
    async with opened(path, TIMER, clock) as app:
        await app.sessions.create("s")
        clock.move(1)
        await app.sessions.append_message("s", user("a"))
        assert await clock.asleep() == pytest.approx(4)
        clock.move(3)
        await app.sessions.append_message("s", user("b"))
        clock.move(1)
        await message_events(app, "s", 2)
        await app.sessions.append_message("s", user("c"))
        assert await clock.asleep() == pytest.approx(5)
        assert await kept(app) == ["a", "b"]


async def test_a_batch_is_written_whole_and_a_burst_shares_few_commits(path, clock):
    async with opened(path, EVENT_DRIVEN, clock) as app:
        await app.sessions.create("s")
        works = []
        real = app.database.submit
        app.database.submit = lambda work: works.append(work) or real(work)
        for number in range(120):
            await app.sessions.append_message("s", user(f"{number:03}"))
        assert works == []
        before = app.database.commits
        await app.sessions.flush()
        assert len(works) == 3  # batches of 50
        assert app.database.commits - before <= 3
        assert await kept(app) == [f"{number:03}" for number in range(120)]


async def test_close_writes_the_rest(path, clock):
    async with opened(path, TIMER, clock) as app:
        await app.sessions.create("s")
        await app.sessions.append_message("s", user("a"))
    async with opened(path) as app:
        assert await kept(app) == ["a"]


@pytest.mark.parametrize("settings", [EVENT_DRIVEN, TIMER])
async def test_crash_takes_the_last_seconds_and_nothing_before_them(path, clock, settings):
    async with opened(path, settings, clock, flushed=False) as app:
        await app.sessions.create("s")
        await app.sessions.append_message("s", asks("a"))
        await clock.asleep()
        clock.move(5)
        await message_events(app, "s", 1)
        await app.sessions.append_tool_result("s", call("a"), "A")
        await app.sessions.append_message("s", user("b"))
        assert app.sessions.waiting == 2
    async with opened(path, settings, HandClock()) as app:
        await app.sessions.load("s")
        assert app.sessions.get("s").last == 1
        assert app.sessions.get_history("s").messages == (asks("a"),)
        assert len(await app.log.read(RunId("s"))) == 2  # no event speaks of what is lost
        assert await app.sessions.append_tool_result("s", call("a"), "again") == 2


async def test_failed_write_is_told_and_tried_again_in_order(path, clock, caplog):
    async with opened(path, EVENT_DRIVEN, clock) as app:
        await app.sessions.create("s")
        await app.sessions.create("t")
        await refuse(app, on=True)
        for number in range(60):
            await app.sessions.append_message("s", user(f"{number:03}"))
        await clock.asleep()
        with caplog.at_level(logging.WARNING):
            clock.move(2)
            assert await clock.asleep() == pytest.approx(5)
        assert "60 messages of sessions could not be stored yet" in caplog.text
        assert (app.sessions.failures, app.sessions.waiting) == (1, 60)
        await refuse(app, on=False)
        clock.move(5)
        assert await message_events(app, "s", 60) == list(range(1, 61))
        assert await kept(app) == [f"{number:03}" for number in range(60)]


async def test_session_that_can_be_stored_is_flushed_though_another_cannot(path, clock):
    async with opened(path, EVENT_DRIVEN, clock) as app:
        for session in ("s", "t"):
            await app.sessions.create(session)
            await app.sessions.append_message(session, user(session))
        when = "WHEN NEW.session = 't' BEGIN SELECT RAISE(ABORT, 'no'); END"
        sql = f"CREATE TRIGGER refusing BEFORE INSERT ON messages {when}"
        await app.database.write(lambda connection: connection.execute(sql) and None)
        await app.sessions.flush("s")
        assert (await kept(app), app.sessions.waiting) == (["s"], 1)
        with pytest.raises(Exception, match="no"):
            await app.sessions.flush("t")
        await refuse(app, on=False)
        await app.sessions.flush("t")
        assert await kept(app) == ["s", "t"]


async def test_too_many_that_wait_are_written_first_and_refused_where_they_cannot(path, clock):
    settings = SessionSettings(persistence="timer", waiting=3)
    async with opened(path, settings, clock) as app:
        await app.sessions.create("s")
        for number in range(4):
            await app.sessions.append_message("s", user(str(number)))
        assert (await kept(app), app.sessions.waiting) == (["0", "1", "2"], 1)
        await refuse(app, on=True)
        for number in range(4, 6):
            await app.sessions.append_message("s", user(str(number)))
        with pytest.raises(Exception, match="no"):
            await app.sessions.append_message("s", user("refused"))
        assert app.sessions.get("s").last == 6
        await refuse(app, on=False)
        assert await app.sessions.append_message("s", user("6")) == 7


async def test_close_that_cannot_write_says_how_much_is_lost(path, clock, caplog):
    async with opened(path, TIMER, clock, flushed=False) as app:
        await app.sessions.create("s")
        await app.sessions.append_message("s", user("a"))
        await app.database.aclose()
        with pytest.raises(StorageError):
            await app.sessions.aclose()
        assert "1 messages of sessions are lost" in caplog.text


async def test_reads_of_the_store_see_all_that_was_acknowledged(path, clock):
    async with opened(path, TIMER, clock) as app:
        await app.sessions.create("s")
        await app.sessions.append_message("s", user("first"))
        assert [each.number for each in await app.sessions.page("s")] == [1]
        await app.sessions.append_message("s", user("second"))
        assert [each.number for each in await app.sessions.search("SECOND")] == [2]
        await app.sessions.append_message("s", user("third"))
        assert (await app.sessions.list())[0].last == 3
        await app.sessions.append_message("s", user("fourth"))
        assert (await app.sessions.fork("s")).last == 4
        await app.sessions.append_message("s", user("fifth"))
        await app.sessions.delete("s")
        assert app.sessions.waiting == 0


async def test_switch_stands_behind_what_was_said_before_it(path, clock):
    async with opened(path, TIMER, clock) as app:
        contexts: AsyncAgentContextManager = app.contexts
        await contexts.get_or_create("s", agent="a")
        await app.sessions.append_message("s", user("x"))
        await contexts.switch_agent("s", "b")
        kinds = [each.event.kind for each in await app.log.read(RunId("s"))]
        assert kinds == ["session.created", "message.added", "agent.switched"]


async def test_session_with_something_to_write_stays_in_memory(path, clock):
    settings = SessionSettings(persistence="timer", loaded=8)
    async with opened(path, settings, clock) as app:
        for number in range(12):
            await app.sessions.create(f"s{number}")
            await app.sessions.append_message(f"s{number}", user("x"))
        assert app.sessions.loaded == 12
        await app.sessions.flush()
        await app.sessions.create("last")
        assert app.sessions.loaded == 8


class HeldLog:
    """A log whose messages reach the disk, or fail, when a test says so; each in its turn."""

    def __init__(self, log):
        self._log, self.held = log, []

    def keep(self, events, work):
        if events[0][1].kind != "message.added":
            return self._log.keep(events, work)
        future = asyncio.get_running_loop().create_future()
        self.held.append((future, lambda: self._log.keep(events, work)))
        return future

    async def let_go(self, number: int) -> None:
        future, keep = self.held[number]
        try:
            future.set_result(await keep())
        except SessionError as error:
            future.set_exception(error)


async def test_late_failure_leaves_a_session_alone_that_was_read_anew_since(path):
    async with Database(path) as database:
        log = HeldLog(SqliteEventLog(database))
        async with AsyncSessionManager(database, log) as sessions:
            await sessions.create("s")

            async def sent(text: str, count: int) -> asyncio.Future[int]:
                sending = asyncio.ensure_future(sessions.append_message("s", user(text)))
                while len(log.held) < count:  # noqa: ASYNC110 - until it is on its way
                    await asyncio.sleep(0)
                return sending

            first, second = await sent("1", 1), await sent("2", 2)
            log.held[0][0].set_exception(DiskFull(path))
            with pytest.raises(DiskFull):
                await first
            third = await sent("3", 3)
            await log.let_go(1)
            with pytest.raises(SessionError):
                await second
            await sessions.load("s")  # anybody reads it now
            await log.let_go(2)
            await third
            fourth = await sent("4", 4)
            await log.let_go(3)
            await fourth
            on_disk = sorted(each.message.content for each in await sessions.page("s"))
            assert [each.content for each in sessions.get_history("s").messages] == on_disk == ["3", "4"]


async def test_strict_keeps_no_message_back(path):
    async with opened(path, flushed=False) as app:
        await app.sessions.create("s")
        await asyncio.gather(*(app.sessions.append_message("s", user(f"{number:02}")) for number in range(50)))
    async with opened(path) as app:
        assert await kept(app) == [f"{number:02}" for number in range(50)]


@pytest.mark.parametrize(
    ("environ", "mode", "origin"),
    [
        ({}, "strict", "default"),
        (
            {"USE_EVENT_DRIVEN_PERSISTENCE": "true"},
            "event_driven",
            "environment USE_EVENT_DRIVEN_PERSISTENCE",
        ),
        ({"USE_EVENT_DRIVEN_PERSISTENCE": "0"}, "strict", "default"),
        (
            {"USE_EVENT_DRIVEN_PERSISTENCE": "1", "CORRAL_SESSIONS__PERSISTENCE": "timer"},
            "timer",
            "environment CORRAL_SESSIONS__PERSISTENCE",
        ),
    ],
)
def test_event_driven_has_another_name_in_the_environment(environ, mode, origin):
    loaded = load_settings(None, {"HOME": "/home/ada", **environ})
    assert (loaded.settings.sessions.persistence, loaded.origins["sessions.persistence"]) == (mode, origin)
