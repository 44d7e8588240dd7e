"""What will be asked of the servers, and whether their memory has room for it.

Owns what is known of each server's memory, and that lanes which have to take turns in it are told of once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.fitting import ServerMemory
from infrastructure.pool.lanes import canonical
from infrastructure.pool.plan import Plan, plan_lanes
from infrastructure.pool.states import Health
from infrastructure.transport.encoding import is_cloud

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.lanes import LaneBook

_TOLD_KEPT = 1000
_log = logging.getLogger(__name__)


class Expectations:
    """Over one pool's servers."""

    def __init__(self, dispatcher: Dispatcher, lanes: LaneBook, told: set[str] | None = None) -> None:
        self._pool = dispatcher
        self._lanes = lanes
        self._told: set[str] = set() if told is None else told

    def with_lanes(self, lanes: LaneBook) -> Expectations:
        """The same of other lanes; what was told is not told again."""
        return Expectations(self._pool, lanes, self._told)

    def local(self, names: Iterable[str]) -> dict[str, LaneSettings]:
        """The lanes of these names that a server has to load; of a model's own names the one that its lane has."""
        aliases, found = self._pool.inventory.aliases, dict[str, LaneSettings]()
        for name in names:
            settings = self._lanes.settings(name)
            one = aliases.one_name(canonical(settings.model))
            if not is_cloud(settings.model):
                found[name] = (
                    settings if one == canonical(settings.model) else settings.model_copy(update={"model": one})
                )
        return found

    def plan(self, names: Iterable[str]) -> Plan:
        """Which server has a place for which of these lanes, as far as the servers that are up were looked at.

        Lanes that have to take turns are told in the log, in the same words only once.
        """
        plan = plan_lanes(self.local(names), [self._memory(name) for name in self._up()])
        for said in plan.said:
            if said not in self._told and len(self._told) < _TOLD_KEPT:
                self._told.add(said)
                _log.warning("%s", said)
        return plan

    def _up(self) -> list[str]:
        states = self._pool.scheduler.servers
        return [name for name in self._pool.servers if states[name].health is Health.UP]

    def _memory(self, name: str) -> ServerMemory:
        held, state = self._pool.inventory.holdings(name), self._pool.scheduler.servers[name]
        return ServerMemory(
            label=self._pool.servers[name].label, models=held.models or (), loaded=held.loaded, places=state.places
        )
