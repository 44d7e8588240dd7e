"""Names that stand for one and the same model.

Owns which they are: a copy (`ollama cp`) has the digest of its original. A server has such a model in memory once,
under the name that loaded it, and calls by either name share its slots (measured). So they share a lane, too, as long
as they are one model: a lane has the first of the names, which may go while the others stay. A model that was made from
another one with a Modelfile has a digest of its own, and is another model here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.lanes import Lane, canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infrastructure.transport.messages import LocalModel

_LANES_KEPT = 1000


class Aliases:
    """What all servers that were looked at agree on: names that the same servers have, with the same digest on each."""

    def __init__(self) -> None:
        self._held: dict[str, Mapping[str, str]] = {}
        self._names: dict[str, str] = {}
        self._lanes: dict[Lane, Lane] = {}
        self.on_change: Callable[[], None] = _ignore
        """Called when names stand for other models than before."""

    def see(self, server: str, models: Sequence[LocalModel]) -> None:
        """A server said what it holds."""
        held = {canonical(model.name): model.digest for model in models if model.digest and model.remote_host is None}
        if self._held.get(server) != held:
            self._held[server] = held
            self._compare()

    def forget(self, server: str) -> None:
        """The server is not ours any more."""
        if self._held.pop(server, None) is not None:
            self._compare()

    def one_name(self, model: str) -> str:
        """The first of the names of a model (canonical); its own where it has no other."""
        return self._names.get(model, model)

    def lane(self, lane: Lane) -> Lane:
        """The lane that calls by all names of its model have in common."""
        if lane.model not in self._names:
            return lane
        found = self._lanes.get(lane)
        if found is None:
            if len(self._lanes) >= _LANES_KEPT:
                self._lanes.clear()
            found = self._lanes[lane] = Lane(self._names[lane.model], lane.load, lane.shift)
        return found

    def _compare(self) -> None:
        where: dict[str, list[tuple[str, str]]] = {}
        for server, held in self._held.items():
            for name, digest in held.items():
                where.setdefault(name, []).append((server, digest))
        first: dict[tuple[tuple[str, str], ...], str] = {}
        for name in sorted(where):
            first.setdefault(tuple(where[name]), name)
        names = {name: one for name, places in where.items() if (one := first[tuple(places)]) != name}
        if names != self._names:
            self._lanes.clear()
            self._names = names
            self.on_change()


def _ignore() -> None:
    pass
