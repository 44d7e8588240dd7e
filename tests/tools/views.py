"""A session's view of a registry, as tests want it."""

from __future__ import annotations

from collections.abc import Sequence

from infrastructure.tools.client import ClientTool, client_tools
from infrastructure.tools.registry import ToolRegistry


def with_client_tools(registry: ToolRegistry, declared: Sequence[ClientTool]) -> ToolRegistry:
    """The registry with what a client runs."""
    return registry.with_tools(client_tools(declared, registry.names))
