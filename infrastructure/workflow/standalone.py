"""The graph for a stranger: compiled with dependencies of its own, so that plain `astream(state)` works.

Owns the defaults: the process-wide pool, a model chosen where none is named, the strongest sandbox there is, a
temporary folder. The engine does not use this: it gives each run a scope.
"""

from __future__ import annotations

from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver

from infrastructure.config.settings import BudgetSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, get_ollama_pool
from infrastructure.pool.snapshot import PoolModel
from infrastructure.sandbox import Level, Sandbox, open_sandbox
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.lanes import Offer, RoleLanes, choose_model
from infrastructure.workflow.models import PoolModels
from infrastructure.workflow.ports import ModelSource
from infrastructure.workflow.scope import Scopes


def build_codegen_graph(
    model: str | None = None,
    *,
    pool: OllamaConnectionPool | None = None,
    source: ModelSource | None = None,
    sandbox: Level | Literal["auto"] = "auto",
    budget: BudgetSettings | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CodegenGraph:
    """The code-generation graph, ready for `async for update in graph.astream({"task": "…", "repo": "."})`.

    With `stream_mode=["updates", "custom"], subgraphs=True` the steps inside a candidate and the tokens come too: a
    custom part is an event of `infrastructure.events.catalogue`.

    Args:
        model: Lane or model of every role; the loaded one, else the largest, when None.
        pool: Where calls go; the process-wide pool when None.
        source: Who answers the roles, instead of a pool.
        sandbox: How strongly tests are held.
        budget: What each run may use.
        checkpointer: LangGraph's, for runs that can go on; give it the types of `values.STORED_TYPES`.
    """

    async def open_source() -> ModelSource:
        return source or await _pool_models(pool or await get_ollama_pool(), model)

    async def opened_sandbox() -> Sandbox:
        return await open_sandbox(sandbox)

    return compile_codegen_graph(Scopes(open_source, opened_sandbox, budget=budget), checkpointer)


async def _pool_models(pool: OllamaConnectionPool, model: str | None) -> ModelSource:
    named = model or choose_model([offer_of(each) for each in await pool.models()])
    return PoolModels(pool, RoleLanes(Settings(), named))


def offer_of(model: PoolModel) -> Offer:
    """A pool's model as something to choose from; one that runs elsewhere is not."""
    completes = model.capabilities is None or "completion" in model.capabilities
    return Offer(
        name=model.name, size=model.size, loaded=bool(model.loaded_on), completes=completes and not model.remote_host
    )
