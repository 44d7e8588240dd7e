import asyncio
import sqlite3
import stat
import time
from dataclasses import dataclass
from operator import add
from typing import Annotated

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from infrastructure.checkpoints import open_checkpointer
from infrastructure.storage.errors import CorruptDatabase, DiskFull, StorageError


@dataclass(frozen=True)
class Plan:
    goal: str


@dataclass(frozen=True)
class Ticket:
    """Occurs in a Send only."""

    number: int


@dataclass(frozen=True)
class Stranger:
    text: str


class State(TypedDict, total=False):
    plan: Plan
    stranger: Stranger
    seen: Annotated[list[str], add]


def config(thread="t"):
    return {"configurable": {"thread_id": thread}}


@pytest.fixture
def set_clock(monkeypatch):
    """Sets the clock so many hours off, as this process goes on with it or as another would begin with it."""
    true = time.time_ns

    def set_off(hours: int, *, anew: bool = True) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: true() + hours * 3600 * 10**9)
        if anew:  # within a process LangGraph sees to it that names ascend
            monkeypatch.setattr("langgraph.checkpoint.base.id._last_v6_timestamp", None)

    return set_off


async def names(store, thread="t"):
    """A thread's checkpoints in the order of their names, the greatest first."""
    return [found.config["configurable"]["checkpoint_id"] async for found in store.alist(config(thread))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "checkpoints.db"


def three_steps():
    async def one(state):
        return {"plan": Plan("a"), "stranger": Stranger("x"), "seen": ["one"]}

    async def two(state):
        return {"seen": [type(state["plan"]).__name__]}

    async def three(state):
        return {"seen": ["three"]}

    graph = StateGraph(State)
    for node in (one, two, three):
        graph.add_node(node)
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", "three")
    graph.add_edge("three", END)
    return graph


def fan_out():
    """Sends a ticket to a node that first asks a person, so the ticket must come back from the file."""

    async def start(state):
        return {"seen": ["start"]}

    def to_tickets(state):
        return [Send("work", {"ticket": Ticket(7)})]

    async def work(state):
        interrupt("go on?")
        return {"seen": [type(state["ticket"]).__name__]}

    graph = StateGraph(State)
    graph.add_node(start)
    graph.add_node(work)
    graph.add_edge(START, "start")
    graph.add_conditional_edges("start", to_tickets, ["work"])
    graph.add_edge("work", END)
    return graph


async def test_named_types_come_back_as_themselves_after_a_reload(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        await three_steps().compile(checkpointer=store).ainvoke({}, config(), durability="sync")
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        state = await three_steps().compile(checkpointer=store).aget_state(config())
    assert state.values["plan"] == Plan("a")
    assert state.values["stranger"] == Stranger("x")


@pytest.mark.parametrize("allowed", [[Plan], []])
async def test_type_that_was_not_named_never_comes_back_as_that_type(path, allowed):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        await three_steps().compile(checkpointer=store).ainvoke({}, config(), durability="sync")
    async with open_checkpointer(path, allowed) as store:
        state = await three_steps().compile(checkpointer=store).aget_state(config())
    assert type(state.values["stranger"]) is dict
    assert isinstance(state.values["plan"], Plan) == (Plan in allowed)


async def test_type_that_only_a_send_holds_must_be_named_too(path):
    for allowed, expected in (([], "dict"), ([Ticket], "Ticket")):
        thread = config(expected)
        async with open_checkpointer(path, allowed) as store:
            await fan_out().compile(checkpointer=store).ainvoke({}, thread, durability="sync")
        async with open_checkpointer(path, allowed) as store:
            state = await fan_out().compile(checkpointer=store).ainvoke(Command(resume=True), thread)
        assert state["seen"] == ["start", expected]


async def test_pickled_value_in_the_file_is_refused(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        await three_steps().compile(checkpointer=store).ainvoke({}, config(), durability="sync")
        await store.conn.execute("UPDATE checkpoints SET type = 'pickle'")
        await store.conn.commit()
        with pytest.raises(NotImplementedError, match="pickle"):
            await store.aget_tuple(config())


async def test_file_is_private_synced_and_its_log_is_empty_after_closing(path):
    async with open_checkpointer(path, []) as store:
        pragmas = {}
        for name in ("journal_mode", "synchronous", "busy_timeout"):
            cursor = await store.conn.execute(f"PRAGMA {name}")
            pragmas[name] = (await cursor.fetchone())[0]
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["checkpoints.db"]


async def test_thread_can_be_deleted_before_anything_was_stored(path):
    async with open_checkpointer(path, []) as store:
        store.is_setup = False  # as a saver that was never used
        await store.conn.executescript("DROP TABLE checkpoints; DROP TABLE writes")
        await store.adelete_thread("t")


async def test_deleted_thread_is_gone_and_others_stay(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        for thread in ("a", "b"):
            await graph.ainvoke({}, config(thread), durability="sync")
        await store.adelete_thread("a")
        assert await store.aget_tuple(config("a")) is None
        assert (await graph.aget_state(config("b"))).values["seen"] == ["one", "Plan", "three"]


async def test_pruning_keeps_the_newest_and_the_thread_goes_on_from_it(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store, interrupt_before=["three"])
        for thread in ("a", "b"):
            await graph.ainvoke({}, config(thread), durability="sync")
        before = [found async for found in store.alist(config("a"))]
        assert await store.prune_thread("a", keep_latest=1) == len(before) - 1
        kept = [found async for found in store.alist(config("a"))]
        assert [found.config for found in kept] == [before[0].config]
        assert len([found async for found in store.alist(config("b"))]) == len(before)
        final = await graph.ainvoke(None, config("a"))
    assert final["seen"] == ["one", "Plan", "three"]


async def test_pruning_removes_the_writes_of_what_went(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        await three_steps().compile(checkpointer=store).ainvoke({}, config(), durability="sync")
        await store.prune_thread("t", keep_latest=2)
        cursor = await store.conn.execute(
            "SELECT COUNT(*) FROM writes WHERE checkpoint_id NOT IN (SELECT checkpoint_id FROM checkpoints)"
        )
        assert (await cursor.fetchone())[0] == 0


async def test_pruning_to_nothing_is_refused(path):
    async with open_checkpointer(path, []) as store:
        with pytest.raises(ValueError, match="at least one"):
            await store.prune_thread("t", keep_latest=0)


async def test_full_disk_is_a_named_error_and_leaves_no_half_transaction(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        await graph.ainvoke({}, config(), durability="sync")
        cursor = await store.conn.execute("PRAGMA page_count")
        pages = (await cursor.fetchone())[0]
        await store.conn.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull):
            await graph.ainvoke({"seen": ["x" * 1_000_000]}, config("big"), durability="sync")
        assert not store.conn.in_transaction
        assert (await graph.aget_state(config())).values["seen"] == ["one", "Plan", "three"]
        await store.conn.execute("PRAGMA max_page_count = 100000")
        await graph.ainvoke({"seen": ["y"]}, config("again"), durability="sync")


async def test_file_that_is_no_database_is_a_named_error(path):
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(CorruptDatabase):
        async with open_checkpointer(path, []):
            pass


async def test_many_threads_of_a_graph_at_once_are_all_kept(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        await asyncio.gather(*(graph.ainvoke({}, config(str(n)), durability="sync") for n in range(20)))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT COUNT(DISTINCT thread_id) FROM checkpoints").fetchone() == (20,)
    connection.close()


async def test_failed_write_leaves_no_open_transaction_for_the_next_to_commit(path):
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        await store.conn.executescript(
            "CREATE TRIGGER no BEFORE INSERT ON writes WHEN NEW.idx = 1 BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(StorageError, match="no"):
            await graph.ainvoke({}, config(), durability="sync")
        assert not store.conn.in_transaction
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT COUNT(*) FROM writes WHERE channel = 'plan'").fetchone() == (0,)
        connection.close()


# ------------------------------------------------------------------------------------ a clock that is set back
@pytest.mark.parametrize("anew", [True, False], ids=["another process", "this process"])
async def test_threads_go_on_from_their_last_step_when_the_clock_was_set_back(path, set_clock, anew):
    set_clock(1)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store, interrupt_after=["one", "two"])
        for thread in ("a", "b"):
            await graph.ainvoke({}, config(thread), durability="sync")
    for hours in (0, -1):
        set_clock(hours, anew=anew)
        async with open_checkpointer(path, [Plan, Stranger]) as store:
            graph = three_steps().compile(checkpointer=store, interrupt_after=["one", "two"])
            for thread in ("b", "a"):
                await graph.ainvoke(None, config(thread), durability="sync")
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        for thread in ("a", "b"):
            state = await graph.aget_state(config(thread))
            assert (state.values["seen"], state.next) == (["one", "Plan", "three"], ())


async def test_branch_from_an_earlier_step_is_the_latest_when_the_clock_was_set_back(path, set_clock):
    set_clock(1)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        await graph.ainvoke({}, config(), durability="sync")
        early = [found async for found in store.alist(config())][-2].config
    set_clock(0)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        branch = await graph.aupdate_state(early, {"seen": ["other"]}, as_node="two")
        latest = await store.aget_tuple(config())
        assert latest.config == {"configurable": {**config()["configurable"], **branch["configurable"]}}
        assert (await graph.ainvoke(None, config()))["seen"] == ["other", "three"]


async def test_pruning_keeps_what_was_written_last_when_the_clock_was_set_back(path, set_clock):
    set_clock(1)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store, interrupt_before=["three"])
        await graph.ainvoke({}, config(), durability="sync")
        ahead = (await store.aget_tuple(config())).config["configurable"]["checkpoint_id"]
    set_clock(0)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store)
        await graph.ainvoke(None, config(), durability="sync")
        last = (await store.aget_tuple(config())).config["configurable"]["checkpoint_id"]
        assert last < ahead
        await store.prune_thread("t", keep_latest=2)
        assert await names(store) == [ahead, last]
        await store.prune_thread("t")
        assert await names(store) == [last]
        assert (await graph.aget_state(config())).values["seen"] == ["one", "Plan", "three"]


async def test_order_of_writing_outlives_what_is_deleted_and_given_back_to_the_disk(path, set_clock):
    set_clock(1)
    async with open_checkpointer(path, [Plan, Stranger]) as store:
        graph = three_steps().compile(checkpointer=store, interrupt_before=["three"])
        for thread in ("a", "t", "b"):
            await graph.ainvoke({}, config(thread), durability="sync")
    for hours, gone in ((0, "a"), (-1, "b")):
        set_clock(hours)
        async with open_checkpointer(path, [Plan, Stranger]) as store:
            graph = three_steps().compile(checkpointer=store, interrupt_before=["three"])
            await store.adelete_thread(gone)
            await store.conn.execute("VACUUM")
            before = (await store.aget_tuple(config())).config["configurable"]["checkpoint_id"]
            branch = await graph.aupdate_state(config(), {"seen": [gone]}, as_node="two")
            assert branch["configurable"]["checkpoint_id"] < before
            await store.conn.execute("VACUUM")
            assert (await graph.aget_state(config())).values["seen"][-1] == gone
