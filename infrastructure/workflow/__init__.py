"""The code-generation graph: what flows, in which order, and what each step does.

Its names are imported when they are asked for: whoever wants one value of a module below, such as a guest who wants a
name of an error, does not wait for LangGraph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.workflow.standalone import build_codegen_graph, changed_files, patch_text

__all__ = ["build_codegen_graph", "changed_files", "patch_text"]


def __getattr__(name: str) -> object:
    """A name of the graph for strangers, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from infrastructure.workflow import standalone  # noqa: PLC0415 - it imports LangGraph

    return getattr(standalone, name)
