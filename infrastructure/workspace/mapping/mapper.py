"""The face of the map: a snapshot and a task in, a few hundred tokens of text out.

Owns the indexes of the last few states of repositories, so that the steps of a run, and the runs of a batch over one
repository, read the cache once.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Collection, Sequence

from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.mapping.cache import TagStore
from infrastructure.workspace.mapping.indexing import Index, index_of
from infrastructure.workspace.mapping.parsers import Parse, parse_files
from infrastructure.workspace.mapping.ranking import Focus, Ranking, callees, rank
from infrastructure.workspace.mapping.rendering import Map, MapBudget, render
from infrastructure.workspace.threads import in_thread

_KEPT = 3
"""Indexes; some 16 MB each for a repository of 750 source files."""


class Mapper:
    """Draws maps of snapshots.

    Args:
        tags: What is known of files already.
        parse: Parses those that are not; worker processes unless a test says otherwise.
    """

    def __init__(self, tags: TagStore, *, parse: Parse = parse_files) -> None:
        self._tags = tags
        self._parse = parse
        self._indexes: OrderedDict[str, Index] = OrderedDict()
        self._indexing = asyncio.Lock()

    async def index(self, snapshot: Snapshot) -> Index:
        """The snapshot's index; candidates that ask at once wait for the first."""
        key = _identity(snapshot)
        async with self._indexing:
            index = self._indexes.get(key)
            if index is None:
                index = self._indexes[key] = await index_of(snapshot, self._tags, parse=self._parse)
            self._indexes.move_to_end(key)
            while len(self._indexes) > _KEPT:
                self._indexes.popitem(last=False)
        return index

    async def rank(self, snapshot: Snapshot, focus: Focus) -> Ranking:
        """All files of a snapshot by how much they matter."""
        index = await self.index(snapshot)
        return await in_thread(lambda _: rank(index.graph, focus))

    async def overview(
        self, snapshot: Snapshot, focus: Focus, budget: MapBudget, *, without: Collection[str] = ()
    ) -> Map:
        """What a role sees of a repository before it knows which files matter.

        Args:
            snapshot: The repository.
            focus: The task.
            budget: Length of the text.
            without: Files that are shown whole beside it.
        """
        index = await self.index(snapshot)

        def draw() -> Map:
            ranking = rank(index.graph, focus)
            return render(ranking.without(without), index.files, budget)

        return await in_thread(lambda _: draw())

    async def interfaces(self, snapshot: Snapshot, files: Sequence[str], budget: MapBudget) -> Map:
        """What files that are shown whole use of others: those signatures, the most used first."""
        index = await self.index(snapshot)
        return await in_thread(lambda _: render(callees(index.graph, files), index.files, budget, named_only=True))


def _identity(snapshot: Snapshot) -> str:
    """The same for every snapshot of the same files."""
    said = "\0".join(f"{path} {state.sha256} {state.mode}" for path, state in sorted(snapshot.files.items()))
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()
