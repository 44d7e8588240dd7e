"""The graph for a stranger: compiled with dependencies of its own, so that plain `astream(state)` works.

Owns the defaults (the process-wide pool, a model chosen where none is named, the strongest sandbox there is, a
temporary folder), and the way from the hashes of a result to its texts. The engine uses none of it: it gives each run
a scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

from langgraph.checkpoint.base import BaseCheckpointSaver

from infrastructure.config.settings import BudgetSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, get_ollama_pool
from infrastructure.pool.snapshot import PoolModel
from infrastructure.sandbox import Level, Sandbox, open_sandbox
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.lanes import SIMULATED_FAMILY, Offer, RoleLanes, choose_model
from infrastructure.workflow.models import PoolModels
from infrastructure.workflow.ports import ModelSource
from infrastructure.workflow.scopes import Scopes
from infrastructure.workflow.values import FileRef

_stores: WeakKeyDictionary[object, Blobs] = WeakKeyDictionary()
"""Where the texts of each graph are kept, by its builder: LangGraph's `with_config` copies the graph, not that."""


def build_codegen_graph(
    model: str | None = None,
    *,
    pool: OllamaConnectionPool | None = None,
    source: ModelSource | None = None,
    sandbox: Level | Literal["auto"] = "auto",
    budget: BudgetSettings | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    blobs: Blobs | None = None,
) -> CodegenGraph:
    """The code-generation graph, ready for `async for update in graph.astream({"task": "…", "repo": "."})`.

    A result, and the update of `deliver`, hold the hash of the patch and of each changed file: `patch_text` and
    `changed_files` give the texts.

    With `stream_mode=["updates", "custom"], subgraphs=True` the steps inside a candidate and the tokens come too: a
    custom part is an event of `infrastructure.events.catalogue`.

    Every input is a run of its own, also on a thread that has had one. A gate (`approve`) takes `Command(resume=True)`,
    `False`, or `{"approved": …, "reason": "…"}`; another answer is asked for again. See `docs/workflow.md`.

    Args:
        model: Lane or model of every role; the loaded one, else the largest, when None.
        pool: Where calls go; the pool that the process has at each step when None.
        source: Who answers the roles, instead of a pool.
        sandbox: How strongly tests are held.
        budget: What each run may use; time in which it waits for a person costs nothing.
        checkpointer: LangGraph's, for runs that can go on; give it the types of `values.STORED_TYPES`.
        blobs: Where files and patches are kept, by their hash; in memory, as long as the graph, when None. What is to
            be read in another process needs a `BlobStore` of a folder.
    """
    answering = _Answering(pool, model)

    async def find_source() -> ModelSource:
        return source or await answering.now()

    async def opened_sandbox() -> Sandbox:
        return await open_sandbox(sandbox)

    scopes = Scopes(find_source, opened_sandbox, budget=budget, blobs=blobs)
    graph = compile_codegen_graph(scopes, checkpointer)
    _stores[graph.builder] = scopes.blobs
    return graph


async def patch_text(graph: CodegenGraph, result: Mapping[str, object]) -> str:
    """The patch of a run as a unified diff that `git apply` takes; empty where there is none.

    Args:
        graph: What `build_codegen_graph` returned and the run was run with.
        result: What `ainvoke` returned, the run's state, or the update of `deliver`.

    Raises:
        ValueError: the graph was not made by `build_codegen_graph`.
        MissingBlob: the run was not this graph's.
    """
    sha = result.get("patch")
    return (await _blobs_of(graph).get(str(sha))).decode("utf-8", "surrogateescape") if sha else ""


async def changed_files(graph: CodegenGraph, result: Mapping[str, object]) -> dict[str, bytes | None]:
    """The files that a run's patch changes, by path, as they are after it; None for a deleted one.

    Arguments and errors are those of `patch_text`.
    """
    files = cast("Sequence[FileRef]", result.get("files", ()))
    blobs = _blobs_of(graph)
    return {ref.path: None if ref.sha is None else await blobs.get(ref.sha) for ref in files}


def _blobs_of(graph: CodegenGraph) -> Blobs:
    try:
        return _stores[graph.builder]
    except KeyError:
        raise ValueError("only a graph of build_codegen_graph keeps its patches where they can be asked for") from None


class _Answering:
    """Who answers from a pool. That of the process may be another one each time: it was closed, and made anew."""

    def __init__(self, pool: OllamaConnectionPool | None, model: str | None) -> None:
        self._pool = pool
        self._model = model
        self._models: PoolModels | None = None

    async def now(self) -> ModelSource:
        """The models of the pool; where none is named, one is chosen for as long as it is the same pool."""
        pool, models = self._pool or await get_ollama_pool(), self._models
        if models is None or models.pool is not pool:
            models = self._models = PoolModels(pool, RoleLanes(Settings(), self._model or await _chosen(pool)))
        return models


async def _chosen(pool: OllamaConnectionPool) -> str:
    return choose_model([offer_of(each) for each in await pool.models()])


def offer_of(model: PoolModel) -> Offer:
    """A pool's model as something to choose from; one that runs elsewhere is not."""
    completes = model.capabilities is None or "completion" in model.capabilities
    return Offer(
        name=model.name,
        size=model.size,
        loaded=bool(model.loaded_on),
        completes=completes and not model.remote_host,
        simulated=model.family == SIMULATED_FAMILY,
    )
