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
from infrastructure.storage.blobs import BlobStore
from infrastructure.workflow import build_codegen_graph, changed_files, patch_text
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.lanes import ROLE_NAMES, NoModel, Offer, RoleLanes, choose_model
from tests.workflow.scenario import RIGHT, TASK, intent, repository, scripted

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


async def test_patch_and_files_of_a_result_can_be_read_by_their_hashes(tmp_path):
    graph = kept(source=scripted())
    given = {"task": TASK, "repo": str(repository(tmp_path))}
    end = await graph.ainvoke(given)
    assert (await patch_text(graph, end)).startswith("diff --git a/calc.py b/calc.py\n")
    assert await changed_files(graph, end) == {"calc.py": RIGHT.encode()}
    delivered = [update["deliver"] async for update in graph.astream(given) if "deliver" in update]
    assert await patch_text(graph, delivered[-1]) == await patch_text(graph, end)


async def test_copy_of_a_graph_with_a_configuration_of_its_own_gives_the_same_patch(tmp_path):
    graph = kept(source=scripted())
    copy = graph.with_config(recursion_limit=100)
    end = await copy.ainvoke({"task": TASK, "repo": str(repository(tmp_path))})
    assert "+    return a + b" in await patch_text(copy, end)
    assert await patch_text(copy, end) == await patch_text(graph, end)


async def test_answer_to_a_question_has_an_empty_patch(tmp_path):
    graph = kept(source=scripted(intent=[intent("question")]))
    end = await graph.ainvoke({"task": "Why?", "repo": str(repository(tmp_path))})
    assert (await patch_text(graph, end), await changed_files(graph, end)) == ("", {})


async def test_texts_are_kept_where_the_caller_says_and_can_be_read_by_another_graph(tmp_path):
    blobs = BlobStore(tmp_path / "blobs")
    end = await kept(source=scripted(), blobs=blobs).ainvoke({"task": TASK, "repo": str(repository(tmp_path / "repo"))})
    assert "+    return a + b" in await patch_text(kept(blobs=blobs), end)


async def test_graph_of_the_engine_says_that_it_keeps_no_patches():
    with pytest.raises(ValueError, match="build_codegen_graph"):
        await patch_text(compile_codegen_graph(), {"patch": "0" * 64})


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


def test_temporary_folder_goes_with_the_graph(tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    async def run(graph: CodegenGraph) -> Path:
        await graph.ainvoke({"task": TASK, "repo": str(repository(tmp_path / "repo"))})
        return next(temporary.glob("corral-*"))

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


def test_roles_need_no_common_model_where_each_of_them_is_named():
    assert RoleLanes(Settings(roles=dict.fromkeys(ROLE_NAMES, "special")), None).complete
    assert not RoleLanes(Settings(roles=dict.fromkeys(ROLE_NAMES - {"tester"}, "special")), None).complete
