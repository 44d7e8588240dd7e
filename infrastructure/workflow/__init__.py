"""The code-generation graph: what flows, in which order, and what each step does."""

from infrastructure.workflow.standalone import build_codegen_graph

__all__ = ["build_codegen_graph"]
