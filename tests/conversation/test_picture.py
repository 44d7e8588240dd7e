"""The conversation graph as it can be read: its picture and its size."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from agents.conversation.roster import AgentProfile, AgentType
from agents.conversation.router import AgentRouter
from infrastructure.conversation import graph
from infrastructure.conversation.graph import compile_conversation_graph
from infrastructure.conversation.nodes.agent import AgentNode
from infrastructure.conversation.nodes.summarise import summarise_node
from infrastructure.conversation.nodes.use_tools import use_tools_node

GRAPH_LINES = 120
NODE_LINES = 25


def test_docstring_shows_the_graph_as_it_is() -> None:
    drawn = compile_conversation_graph().get_graph().draw_mermaid(with_styles=False).strip().replace("\t", "    ")
    assert (graph.__doc__ or "").partition("```mermaid\n")[2].partition("\n```")[0] == drawn


def test_graph_is_a_table_of_contents() -> None:
    assert len(Path(graph.__file__).read_text().splitlines()) <= GRAPH_LINES


def test_custom_agents_are_nodes_beside_the_six() -> None:
    poet = AgentProfile(name="poet", about="", tools=())
    nodes = set(compile_conversation_graph(AgentRouter([poet])).builder.nodes)
    assert nodes == {*AgentType, "poet", "use_tools", "summarise"}


@pytest.mark.parametrize("function", [AgentNode.__call__, summarise_node, use_tools_node])
def test_node_is_short(function) -> None:
    assert len(inspect.getsource(function).splitlines()) <= NODE_LINES
