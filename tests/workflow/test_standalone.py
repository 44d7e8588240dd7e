"""The graph in a stranger's hands: no engine, no context, plain `astream`."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from infrastructure.config.settings import BudgetSettings, Settings
from infrastructure.events.catalogue import Event
from infrastructure.workflow import build_codegen_graph
from infrastructure.workflow.graph import CodegenGraph
from infrastructure.workflow.lanes import NoModel, Offer, RoleLanes, choose_model
from tests.workflow.scenario import TASK, repository, scripted

KEPT: list[CodegenGraph] = []


def kept(**given: object) -> CodegenGraph:
    """A graph that lives as long as the tests: its temporary folder goes when it is collected, which blocks."""
    KEPT.append(build_codegen_graph(**given))
    return KEPT[-1]


async def test_stranger_streams_node_by_node(tmp_path):
    graph = kept(source=scripted())
    seen = [next(iter(update)) async for update in graph.astream({"task": TASK, "repo": str(repository(tmp_path))})]
    assert seen[0] == "take_snapshot"
    assert seen[-1] == "deliver"
    assert seen.count("coder") == 1


async def test_result_is_the_output_only(tmp_path):
    graph = kept(source=scripted())
    end = await graph.ainvoke({"task": TASK, "repo": str(repository(tmp_path))})
    assert set(end) == {"status", "judge", "reason", "patch", "files"}
    assert end["status"] == "unverified"


async def test_two_runs_of_one_graph_do_not_share_a_race_a_budget_or_trees(tmp_path):
    graph = kept(source=scripted(), budget=BudgetSettings(calls=6))
    for name in ("one", "two"):
        end = await graph.ainvoke({"task": TASK, "repo": str(repository(tmp_path / name))})
        assert end["status"] == "unverified"


async def test_inner_steps_and_events_come_on_demand(tmp_path):
    graph = kept(source=scripted(), checkpointer=InMemorySaver())
    inner, events = [], []
    stream = graph.astream(
        {"task": TASK, "repo": str(repository(tmp_path))}, {"configurable": {"thread_id": "1"}},
        stream_mode=["updates", "custom"], subgraphs=True,
    )  # fmt: skip
    async for namespace, mode, part in stream:
        if mode == "updates" and namespace:
            inner.extend(part)
        elif mode == "custom":
            events.append(part)
    assert inner == ["write", "apply", "run_tests"]
    assert all(isinstance(event, Event) for event in events)
    assert any(event.kind == "call.text" for event in events)


def test_temporary_folder_goes_with_the_graph(tmp_path):
    async def run(graph: CodegenGraph) -> Path:
        await graph.ainvoke({"task": TASK, "repo": str(repository(tmp_path)), "run": "mine"})
        return next(Path(tempfile.gettempdir()).glob("corral-*/mine")).parent

    folder = asyncio.run(run(build_codegen_graph(source=scripted())))
    gc.collect()
    assert not folder.exists()


def test_picture_can_be_drawn_without_any_server():
    assert "coder" in build_codegen_graph().get_graph().draw_mermaid()


OFFERS = [Offer("small", 1, False), Offer("big", 9, False), Offer("embedder", 99, True, completes=False)]


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (OFFERS, "big"),
        ([*OFFERS, Offer("warm", 2, True)], "warm"),
        ([Offer("b", 1, False), Offer("a", 1, False)], "a"),
    ],
)
def test_model_is_the_loaded_one_else_the_largest_that_completes_text(offers, chosen):
    assert choose_model(offers) == chosen


@pytest.mark.parametrize("offers", [[], OFFERS[2:]])
def test_no_model_is_said_with_what_to_do(offers):
    with pytest.raises(NoModel) as error:
        choose_model(offers)
    assert "ollama pull" in error.value.hint


@pytest.mark.parametrize(
    ("settings", "task", "role", "lane"),
    [
        ({"model": "common"}, None, "coder", "common"),
        ({"model": "common", "roles": {"coder": "special"}}, None, "coder", "special"),
        ({"model": "common", "roles": {"coder": "special"}}, "tasks", "coder", "tasks"),
        ({"roles": {"coder": "special"}}, None, "coder", "special"),
    ],
)
def test_lane_is_the_tasks_then_the_roles_then_the_common_one(settings, task, role, lane):
    assert RoleLanes(Settings(**settings), task).of(role) == lane


def test_role_without_any_lane_is_an_error():
    with pytest.raises(NoModel):
        RoleLanes(Settings(roles={"coder": "special"}), None).of("planner")
