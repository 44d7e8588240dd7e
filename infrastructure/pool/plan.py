"""Which server keeps which lane in memory. Pure.

Owns the matching of lanes with places: a server has as many as it holds models at once, and one model is there with
one set of load-time options only. A lane that finds no place has to take turns with others, and each turn is a load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.fitting import ServerMemory
from infrastructure.pool.lanes import Lane, canonical, lane_of


@dataclass(frozen=True, slots=True)
class Plan:
    """Lanes with a place of their own, and those without. One that no server has is in neither."""

    homes: Mapping[str, str]
    """Lane to server, by their names."""
    turns: Mapping[str, tuple[str, ...]]
    """Lane without a place to the lanes that have those it could have had."""

    @property
    def said(self) -> tuple[str, ...]:
        """A line for each lane that has to take turns."""
        return tuple(
            f"{lane} has no place of its own in memory beside {' and '.join(others)}"
            f" ({', '.join(dict.fromkeys(self.homes[each] for each in others))}): they take turns, and each turn is a"
            " load"
            for lane, others in self.turns.items()
        )


def plan_lanes(lanes: Mapping[str, LaneSettings], servers: Sequence[ServerMemory]) -> Plan:
    """Give each lane a place, the first ones first; where a lane is loaded, or on the server with fewest, if it can be.

    As many lanes as possible get one: augmenting paths (Kuhn), so that none is without whom a swap of homes would help.
    """
    by_lane: dict[Lane, list[str]] = {}
    for name, settings in lanes.items():
        by_lane.setdefault(lane_of(settings, {}), []).append(name)
    matching = _Matching(servers)
    for lane in by_lane:
        matching.place(lane, set())
    homes = {
        name: server.label
        for server, kept in zip(servers, matching.kept, strict=True)
        for lane in kept
        for name in by_lane[lane]
    }
    turns: dict[str, tuple[str, ...]] = {}
    for lane, names in by_lane.items():
        if names[0] in homes:
            continue
        rivals = [other for at in matching.able(lane) for other in matching.kept[at]]
        if rivals:
            others = tuple(dict.fromkeys(by_lane[other][0] for other in rivals))
            turns |= dict.fromkeys(names, others)
    return Plan(homes, turns)


class _Matching:
    """Who is where so far."""

    def __init__(self, servers: Sequence[ServerMemory]) -> None:
        self.kept: list[list[Lane]] = [[] for _ in servers]
        self._servers = servers
        self._held = [{canonical(each.name) for each in (*server.models, *server.loaded)} for server in servers]

    def able(self, lane: Lane) -> list[int]:
        """The servers that have the lane's model."""
        return [at for at, held in enumerate(self._held) if lane.model in held]

    def place(self, lane: Lane, tried: set[int]) -> bool:
        """Find a place for the lane, moving others on where that makes one."""
        for at in sorted(self.able(lane), key=lambda at: self._order(lane, at)):
            if at in tried:
                continue
            tried.add(at)
            places = self._servers[at].places
            kept = self.kept[at]
            rivals = [other for other in kept if other.model == lane.model]
            if not rivals and len(kept) < (math.inf if places is None else places):
                kept.append(lane)
                return True
            for other in rivals or list(kept):
                if self.place(other, tried):
                    kept[kept.index(other)] = lane
                    return True
        return False

    def _order(self, lane: Lane, at: int) -> tuple[bool, int]:
        return self._servers[at].in_memory(lane.model) is None, len(self.kept[at])
