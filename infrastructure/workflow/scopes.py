"""The scopes of runs that a stranger makes without the engine: one for each, begun with it and kept while the graph is.

Owns what these runs share: the folder of their trees, the store of their files and patches, and in each event loop the
sandbox and the maps.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

from infrastructure.config.settings import BudgetSettings, RunSettings
from infrastructure.ids import new_id
from infrastructure.sandbox import Sandbox
from infrastructure.storage.blobs import Blobs, MemoryBlobs
from infrastructure.workflow.budget import Budget, Stopwatch
from infrastructure.workflow.ports import ForgetfulRecorder, ModelSource
from infrastructure.workflow.race import Race
from infrastructure.workflow.scope import Once, RunScope
from infrastructure.workspace.mapping.cache import MemoryTags
from infrastructure.workspace.mapping.mapper import Mapper


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is used in one event loop only: both make some wait for others."""

    sandbox: Sandbox
    mapper: Mapper


class Scopes:
    """Makes and keeps a scope for each run of a graph that is used without the engine.

    Args:
        find_source: Finds out who answers the roles, for every step: what answered the last may have been closed.
        open_sandbox: Opens the sandbox, once in an event loop, when the first run needs it.
        budget: What each run may use.
        blobs: Where files and patches are kept; in memory when None.
        clock: In seconds.
    """

    def __init__(
        self,
        find_source: Callable[[], Awaitable[ModelSource]],
        open_sandbox: Callable[[], Awaitable[Sandbox]],
        *,
        budget: BudgetSettings | None = None,
        blobs: Blobs | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_source = find_source
        self._open_sandbox = open_sandbox
        self._budget = budget or BudgetSettings()
        self._blobs = MemoryBlobs() if blobs is None else blobs
        self._clock = clock
        self._scopes: dict[str, RunScope] = {}
        self._parts: WeakKeyDictionary[asyncio.AbstractEventLoop, _Parts] = WeakKeyDictionary()
        self._tags = MemoryTags()
        self._trees: Path | None = None
        self._making = threading.Lock()

    @property
    def blobs(self) -> Blobs:
        """Where the files and patches of these runs are."""
        return self._blobs

    async def begin(self, name: str = "") -> RunScope:
        """The scope of a run that begins now: under the name, or under one of its own where that is empty or taken."""
        source, parts, trees = await self._find_source(), await self._here(), await asyncio.to_thread(self._folder)
        run = name if name and name not in self._scopes else new_id()
        scope = self._scopes[run] = self._make(run, trees, source, parts)
        return scope

    def forget(self, run: str) -> None:
        """Give up a run that did not come to begin; its name is free again."""
        self._scopes.pop(run, None)

    async def of(self, run: str) -> RunScope:
        """The scope of a run, with what answers now, and what belongs to this event loop.

        A run that began in another process has a new one: nothing of its trees and of what it had used is there.
        """
        source, parts = await self._find_source(), await self._here()
        known = self._scopes.get(run)
        if known is None:
            return await self.begin(run)
        if known.sandbox is not parts.sandbox:
            known = replace(known, sandbox=parts.sandbox, mapper=parts.mapper, second_baseline=Once())
        if known.source is not source:
            known = replace(known, source=source)
        self._scopes[run] = known
        return known

    async def _here(self) -> _Parts:
        loop = asyncio.get_running_loop()
        if loop not in self._parts:
            opened = _Parts(await self._open_sandbox(), Mapper(self._tags))
            self._parts.setdefault(loop, opened)  # of two that open at once all take the first
        return self._parts[loop]

    def _folder(self) -> Path:
        """Where trees go; made in a thread, removed when the graph is collected."""
        with self._making:
            if self._trees is None:
                self._trees = Path(tempfile.mkdtemp(prefix="corral-"))
                weakref.finalize(self, shutil.rmtree, self._trees, ignore_errors=True)
            return self._trees

    def _make(self, run: str, trees: Path, source: ModelSource, parts: _Parts) -> RunScope:
        """A scope whose folder has a name of our own: a run's name comes from outside, and is never a path."""
        worked = Stopwatch(self._clock)
        return RunScope(
            run=run,
            trees=trees / new_id(),
            source=source,
            recorder=ForgetfulRecorder(),
            budget=Budget(limits=self._budget, now=worked, started=worked()),
            race=Race(),
            sandbox=parts.sandbox,
            blobs=self._blobs,
            mapper=parts.mapper,
            map_tokens=RunSettings().map_tokens,
            at_work=worked.at_work,
        )
