import asyncio
import sqlite3
import stat
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
