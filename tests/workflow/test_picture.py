"""The graph as it can be read: its picture, its size, and what each step reads and writes."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

import infrastructure.workflow
from infrastructure.running import results
from infrastructure.workflow import candidate, graph, nodes, routing
from infrastructure.workflow.candidate import build_candidate_graph
from infrastructure.workflow.graph import compile_codegen_graph
from infrastructure.workflow.nodes import coder
from infrastructure.workflow.nodes.coder import CoderNode
from infrastructure.workflow.state import CandidateState, CodegenInput, CodegenOutput, CodegenState

GRAPH_LINES = 120
NODE_LINES = 25
BY_EVERY_STEP = {"run", "spent"}
"""Written by `steps`: the id of a run that was given none, and the budget that ran out."""
PAYLOAD = {"start"}
"""What a candidate begins with."""


@pytest.mark.parametrize(
    ("module", "compiled"), [(graph, compile_codegen_graph()), (candidate, build_candidate_graph(None))]
)
def test_docstring_shows_the_graph_as_it_is(module: ModuleType, compiled) -> None:
    drawn = compiled.get_graph().draw_mermaid(with_styles=False).strip().replace("\t", "    ")
    assert (module.__doc__ or "").partition("```mermaid\n")[2].partition("\n```")[0] == drawn


def test_graph_is_a_table_of_contents() -> None:
    assert len(Path(graph.__file__).read_text().splitlines()) <= GRAPH_LINES


@dataclass(frozen=True)
class Node:
    """A node as its function's signature declares it."""

    name: str
    function: Callable[..., object]
    reads: frozenset[str]
    writes: frozenset[str]


def found() -> Iterator[Node]:
    for info in pkgutil.iter_modules(nodes.__path__):
        module = importlib.import_module(f"{nodes.__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            if name.endswith("_node") and function.__module__ == module.__name__:
                yield node(name.removesuffix("_node"), function)
    yield node("coder", CoderNode.__call__)


def node(name: str, function: Callable[..., object]) -> Node:
    hints = get_type_hints(function, include_extras=True)
    reads = hints.get("state")
    keys = frozenset(get_type_hints(reads)) if reads is not None else frozenset[str]()
    return Node(name, function, keys, frozenset(get_type_hints(hints["return"])))


NODES = {each.name: each for each in found()}
INNER = ("write", "apply", "run_tests", "debugger")


def table(which: Mapping[str, Node]) -> str:
    return "\n".join(
        f"{each.name:14} reads {', '.join(sorted(each.reads)):70} writes {', '.join(sorted(each.writes))}"
        for each in which.values()
    )


def asked_for(module: ModuleType) -> set[str]:
    """The keys that a module takes from a state: `state.get("x")`, `state["x"]`, `"x" in state`."""
    keys: set[str] = set()
    for each in ast.walk(ast.parse(inspect.getsource(module))):
        match each:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="state" | "final"), attr="get"),
                args=[ast.Constant(value=str(key)), *_],
            ):
                keys.add(key)
            case ast.Subscript(value=ast.Name(id="state" | "final"), slice=ast.Constant(value=str(key))):
                keys.add(key)
            case ast.Compare(left=ast.Constant(value=str(key)), ops=[ast.In()], comparators=[ast.Name(id="state")]):
                keys.add(key)
            case _:
                pass
    return keys


def test_every_node_of_the_graphs_is_a_function_found_by_its_name() -> None:
    outer, inner = set(compile_codegen_graph().builder.nodes), set(build_candidate_graph(None).builder.nodes)
    assert inner == set(INNER)
    assert outer | inner == set(NODES)


@pytest.mark.parametrize("name", [name for name in NODES if name != "coder"])
def test_node_is_given_what_its_signature_reads(name: str) -> None:
    compiled = build_candidate_graph(None) if name in INNER else compile_codegen_graph()
    schema = compiled.builder.nodes[name].input_schema
    assert frozenset(get_type_hints(schema)) == NODES[name].reads
    whole = CandidateState if name in INNER else CodegenState
    assert NODES[name].reads | NODES[name].writes <= set(get_type_hints(whole))


@pytest.mark.parametrize(
    ("which", "given"),
    [
        ({name: each for name, each in NODES.items() if name not in INNER}, set(get_type_hints(CodegenInput))),
        ({name: NODES[name] for name in INNER}, PAYLOAD),
    ],
    ids=["outer", "candidate"],
)
def test_every_key_that_is_read_is_written_by_somebody(which: Mapping[str, Node], given: set[str]) -> None:
    written = given | BY_EVERY_STEP | {key for each in which.values() for key in each.writes}
    for each in which.values():
        assert each.reads <= written, (
            f"{each.name} reads what nobody writes: {sorted(each.reads - written)}\n{table(which)}"
        )


def test_every_key_that_a_router_asks_for_is_written_by_somebody() -> None:
    written = BY_EVERY_STEP | PAYLOAD | set(get_type_hints(CodegenInput))
    written |= {key for each in NODES.values() for key in each.writes}
    assert asked_for(routing) <= written


def test_every_key_that_is_written_is_read_by_somebody() -> None:
    read = asked_for(routing) | asked_for(results) | asked_for(coder) | set(get_type_hints(CodegenOutput))
    read |= {key for each in NODES.values() for key in each.reads}
    for each in NODES.values():
        assert each.writes <= read, (
            f"{each.name} writes what nobody reads: {sorted(each.writes - read)}\n{table(NODES)}"
        )


def test_every_key_of_the_state_is_written_by_somebody() -> None:
    written = BY_EVERY_STEP | PAYLOAD | set(get_type_hints(CodegenInput))
    written |= {key for each in NODES.values() for key in each.writes}
    assert set(get_type_hints(CodegenState)) | set(get_type_hints(CandidateState)) <= written


@pytest.mark.parametrize("name", NODES)
def test_node_is_short(name: str) -> None:
    lines = inspect.getsource(NODES[name].function).splitlines()
    assert len(lines) <= NODE_LINES, f"{name} has {len(lines)} lines"


def test_reading_a_state_is_understood() -> None:
    assert {"attempt", "rejected", "spent", "outcome", "tried"} <= asked_for(routing)
    assert infrastructure.workflow.__doc__
