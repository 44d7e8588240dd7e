"""A server as the scheduler sees it: is it there, what does it hold, what is loaded, which slots are taken.

Owns the slots. They are counted per lane; a lane's slots are made when it is first used and forgotten when idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.states import Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infrastructure.pool.lanes import Lane

_IDLE_LANES_KEPT = 32
"""Lanes whose free slots are remembered; calls with ever new load options must not make them grow without end."""


class ServerState:
    """One server's state. `name` is its URL."""

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.capacity = slots
        """Slots of each lane."""
        self.health = Health.UNKNOWN
        self.reason = ""
        """Why it is down."""
        self.looked_at = float("-inf")
        """When it last said what it has, or failed to."""
        self.looked_after = -1
        """The newest call's number at that moment: later calls may want it to be asked again."""
        self.models: frozenset[str] | None = None
        """Canonical names of what it holds; None if that is not known."""
        self.in_flight = 0
        self._resident: dict[str, Lane | None] = {}
        self._slots: dict[Lane, list[Slot]] = {}
        self._taken: dict[Lane, int] = {}

    @property
    def load(self) -> float:
        """Calls in flight, of all lanes, per slot."""
        return self.in_flight / self.capacity

    def room(self, lane: Lane) -> bool:
        """Whether a slot of the lane is free."""
        return self._taken.get(lane, 0) < self.capacity

    def loaded(self, lane: Lane) -> int:
        """2: this very lane is loaded; 1: its model, with other or unknown options; 0: it is not."""
        if lane.model not in self._resident:
            return 0
        return 2 if self._resident[lane.model] == lane else 1

    def cancelling(self, lane: Lane) -> int:
        """Slots of the lane that are being freed."""
        return sum(slot.state is SlotState.CANCELLING for slot in self.slots_of(lane))

    def slots_of(self, lane: Lane) -> Sequence[Slot]:
        """The lane's slots as far as they have been used."""
        return self._slots.get(lane, ())

    def lanes(self) -> Mapping[Lane, Sequence[Slot]]:
        """All slots by lane, as far as they have been used."""
        return self._slots

    def take(self, ticket: Ticket) -> Slot:
        """Give the call a free slot of its lane; there must be one."""
        lane = ticket.lane
        if not self.room(lane):
            raise LookupError(f"no free slot for {lane} on {self.name}")
        slots = self._slots.get(lane)
        if slots is None:
            self._forget_idle_lanes()
            slots = self._slots[lane] = []
        slot = next((slot for slot in slots if slot.state is SlotState.FREE), None)
        if slot is None:
            slot = Slot(self.name, lane)
            slots.append(slot)
        slot.become(SlotState.BUSY)
        slot.ticket = ticket
        self._taken[lane] = self._taken.get(lane, 0) + 1
        self.in_flight += 1
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot's connection is closed: it is free."""
        slot.become(SlotState.FREE)
        slot.ticket = None
        self._taken[slot.lane] -= 1
        self.in_flight -= 1

    def resident(self) -> Mapping[str, Lane | None]:
        """The loaded models by canonical name, each with the lane that loaded it if that was one of ours."""
        return self._resident

    def observe_loaded(self, models: frozenset[str]) -> None:
        """Take the server's own list of loaded models; the lane of one is kept while it stays loaded."""
        self._resident = {model: self._resident.get(model) for model in models}

    def answered(self, lane: Lane) -> None:
        """A call of the lane has had its first byte: the lane is loaded."""
        self._resident[lane.model] = lane

    def _forget_idle_lanes(self) -> None:
        if len(self._slots) < _IDLE_LANES_KEPT:
            return
        for lane in [lane for lane, taken in self._taken.items() if not taken]:
            del self._slots[lane], self._taken[lane]
