"""One candidate as a graph of its own: written, applied, tried, repaired; a repair that breaks a test is undone.

```mermaid
graph TD;
    __start__ --> write;
    apply -.-> __end__;
    apply -.-> run_tests;
    apply -.-> write;
    debugger --> write;
    run_tests -.-> __end__;
    run_tests -.-> debugger;
    run_tests -.-> write;
    write -.-> __end__;
    write -.-> apply;
```
"""

# LangGraph's own types are partly unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false

from __future__ import annotations

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from infrastructure.workflow.nodes.apply import ApplyReads, apply_node
from infrastructure.workflow.nodes.debugger import DebuggerReads, debugger_node
from infrastructure.workflow.nodes.run_tests import RunTestsReads, run_tests_node
from infrastructure.workflow.nodes.write import WriteReads, write_node
from infrastructure.workflow.routing import after_apply, after_tests, after_write
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.scopes import Scopes
from infrastructure.workflow.state import CandidateState
from infrastructure.workflow.steps import Nodes


def build_candidate_graph(
    scopes: Scopes | None,
) -> CompiledStateGraph[CandidateState, RunScope, CandidateState, CandidateState]:
    """The candidate's graph, compiled. It takes its checkpointer from the graph it runs in."""
    graph = StateGraph(CandidateState, context_schema=RunScope)
    nodes = Nodes(graph, scopes)
    nodes.add("write", write_node, WriteReads)
    nodes.add("apply", apply_node, ApplyReads, when_spent=True)
    nodes.add("run_tests", run_tests_node, RunTestsReads, when_spent=True)
    nodes.add("debugger", debugger_node, DebuggerReads)

    graph.add_edge(START, "write")
    graph.add_conditional_edges("write", after_write)
    graph.add_conditional_edges("apply", after_apply)
    graph.add_conditional_edges("run_tests", after_tests)
    graph.add_edge("debugger", "write")
    return graph.compile()
