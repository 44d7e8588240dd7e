"""The conversation graph: a table of contents. What a node does is in `nodes/`, which way it goes in `routing`.

Custom agents are nodes beside the six.

```mermaid
graph TD;
    __start__ -.-> architect;
    __start__ -.-> ask;
    __start__ -.-> coder;
    __start__ -.-> debug;
    __start__ -.-> orchestrator;
    __start__ -.-> universal;
    architect -.-> __end__;
    architect -.-> summarise;
    architect -.-> use_tools;
    ask -.-> __end__;
    ask -.-> summarise;
    ask -.-> use_tools;
    coder -.-> __end__;
    coder -.-> summarise;
    coder -.-> use_tools;
    debug -.-> __end__;
    debug -.-> summarise;
    debug -.-> use_tools;
    orchestrator -.-> __end__;
    orchestrator -.-> summarise;
    orchestrator -.-> use_tools;
    summarise -.-> architect;
    summarise -.-> ask;
    summarise -.-> coder;
    summarise -.-> debug;
    summarise -.-> orchestrator;
    summarise -.-> universal;
    universal -.-> __end__;
    universal -.-> summarise;
    universal -.-> use_tools;
    use_tools -.-> architect;
    use_tools -.-> ask;
    use_tools -.-> coder;
    use_tools -.-> debug;
    use_tools -.-> orchestrator;
    use_tools -.-> universal;
    use_tools -.-> use_tools;
```
"""

# LangGraph's own types are partly unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agents.conversation.router import AgentRouter
from infrastructure.conversation import routing
from infrastructure.conversation.nodes.agent import AgentNode
from infrastructure.conversation.nodes.summarise import summarise_node
from infrastructure.conversation.nodes.use_tools import use_tools_node
from infrastructure.conversation.routing import SUMMARISE, USE_TOOLS
from infrastructure.conversation.scope import TurnScope, as_node
from infrastructure.conversation.state import ConversationState, TurnInput, TurnReads

ConversationGraph = CompiledStateGraph[ConversationState, TurnScope, TurnInput, ConversationState]


def compile_conversation_graph(
    router: AgentRouter | None = None, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> ConversationGraph:
    """The graph of these agents, compiled; each turn needs its `TurnScope` as context."""
    graph = StateGraph(ConversationState, context_schema=TurnScope, input_schema=TurnInput)
    agents = list((router or AgentRouter()).names)

    for agent in agents:
        graph.add_node(agent, as_node(AgentNode(agent)), input_schema=TurnReads)
    graph.add_node(USE_TOOLS, as_node(use_tools_node), input_schema=TurnReads)
    graph.add_node(SUMMARISE, as_node(summarise_node), input_schema=TurnReads)

    graph.add_conditional_edges(START, routing.who_speaks, agents)
    for agent in agents:
        graph.add_conditional_edges(agent, routing.after_agent, [USE_TOOLS, SUMMARISE, END])
    graph.add_conditional_edges(USE_TOOLS, routing.after_use_tools, [*agents, USE_TOOLS])
    graph.add_conditional_edges(SUMMARISE, routing.who_speaks, agents)
    return graph.compile(checkpointer=checkpointer)
