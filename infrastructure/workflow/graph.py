"""The code-generation graph: a table of contents. What a node does is in `nodes/`, which way it goes in `routing`.

```mermaid
graph TD;
    __start__ --> take_snapshot;
    approve_patch --> deliver;
    approve_plan -.-> deliver;
    approve_plan -.-> tester;
    ask_which --> choose;
    choose -.-> approve_patch;
    choose -.-> ask_which;
    choose -.-> deliver;
    choose -.-> examiner;
    choose -.-> reflector;
    choose -.-> reviewer;
    coder --> choose;
    examiner --> choose;
    intent -.-> responder;
    intent -.-> run_baseline;
    planner -.-> approve_plan;
    planner -.-> tester;
    reflector --> planner;
    researcher --> planner;
    responder -.-> __end__;
    responder -.-> deliver;
    reviewer -.-> approve_patch;
    reviewer -.-> deliver;
    reviewer -.-> reflector;
    run_baseline --> researcher;
    take_snapshot --> intent;
    tester -.-> choose;
    tester -.-> coder;
    deliver --> __end__;
```
"""

# LangGraph's own types are partly unknown to a strict checker.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from infrastructure.workflow import routing
from infrastructure.workflow.candidate import build_candidate_graph
from infrastructure.workflow.nodes.baseline import BaselineReads, SnapshotReads, run_baseline_node, take_snapshot_node
from infrastructure.workflow.nodes.choose import ChooseReads, choose_node
from infrastructure.workflow.nodes.coder import CoderNode
from infrastructure.workflow.nodes.deliver import DeliverReads, deliver_node
from infrastructure.workflow.nodes.examiner import ExaminerReads, examiner_node
from infrastructure.workflow.nodes.gates import PatchGateReads, PlanGateReads, approve_patch_node, approve_plan_node
from infrastructure.workflow.nodes.intent import IntentReads, intent_node
from infrastructure.workflow.nodes.planner import PlannerReads, planner_node
from infrastructure.workflow.nodes.reflector import ReflectorReads, reflector_node
from infrastructure.workflow.nodes.researcher import ResearcherReads, researcher_node
from infrastructure.workflow.nodes.responder import ResponderReads, responder_node
from infrastructure.workflow.nodes.reviewer import ReviewerReads, reviewer_node
from infrastructure.workflow.nodes.tester import TesterReads, tester_node
from infrastructure.workflow.nodes.which import WhichReads, ask_which_node
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.scopes import Scopes
from infrastructure.workflow.state import CodegenInput, CodegenOutput, CodegenState
from infrastructure.workflow.steps import Nodes
from infrastructure.workflow.values import CandidateStart

CodegenGraph = CompiledStateGraph[CodegenState, RunScope, CodegenInput, CodegenOutput]


def compile_codegen_graph(
    scopes: Scopes | None = None, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CodegenGraph:
    """The graph, compiled. Without `scopes` each run needs its `RunScope` as context: the engine gives it."""
    graph = StateGraph(CodegenState, context_schema=RunScope, input_schema=CodegenInput, output_schema=CodegenOutput)
    nodes = Nodes(graph, scopes)
    coder = CoderNode(build_candidate_graph(scopes))

    # fmt: off
    nodes.add("take_snapshot",  take_snapshot_node,  SnapshotReads, begins=True)
    nodes.add("intent",         intent_node,         IntentReads)
    nodes.add("responder",      responder_node,      ResponderReads)
    nodes.add("run_baseline",   run_baseline_node,   BaselineReads)
    nodes.add("researcher",     researcher_node,     ResearcherReads)
    nodes.add("planner",        planner_node,        PlannerReads)
    nodes.add("approve_plan",   approve_plan_node,   PlanGateReads)
    nodes.add("tester",         tester_node,         TesterReads)
    nodes.add("coder",          coder,               CandidateStart)
    nodes.add("choose",         choose_node,         ChooseReads, when_spent=True)
    nodes.add("examiner",       examiner_node,       ExaminerReads)
    nodes.add("ask_which",      ask_which_node,      WhichReads, when_spent=True)
    nodes.add("reviewer",       reviewer_node,       ReviewerReads)
    nodes.add("reflector",      reflector_node,      ReflectorReads)
    nodes.add("approve_patch",  approve_patch_node,  PatchGateReads, when_spent=True)
    nodes.add("deliver",        deliver_node,        DeliverReads, when_spent=True)
    # fmt: on

    graph.add_edge(START, "take_snapshot")
    graph.add_edge("take_snapshot", "intent")
    graph.add_conditional_edges("intent", routing.after_intent)
    graph.add_conditional_edges("responder", routing.after_responder)
    graph.add_edge("run_baseline", "researcher")
    graph.add_edge("researcher", "planner")
    graph.add_conditional_edges("planner", routing.after_planner)
    graph.add_conditional_edges("approve_plan", routing.after_approve_plan)
    graph.add_conditional_edges("tester", routing.after_tester, ["coder", "choose"])
    graph.add_edge("coder", "choose")
    graph.add_conditional_edges("choose", routing.after_choose)
    graph.add_conditional_edges("reviewer", routing.after_reviewer)
    graph.add_edge("examiner", "choose")
    graph.add_edge("ask_which", "choose")
    graph.add_edge("reflector", "planner")
    graph.add_edge("approve_patch", "deliver")
    graph.add_edge("deliver", END)
    return graph.compile(checkpointer=checkpointer)
