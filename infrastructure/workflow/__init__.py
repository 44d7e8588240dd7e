"""The code-generation graph: what flows, in which order, and what each step does."""

from infrastructure.workflow.standalone import build_codegen_graph, changed_files, patch_text

__all__ = ["build_codegen_graph", "changed_files", "patch_text"]
