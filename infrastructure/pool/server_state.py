"""A server as the scheduler sees it: is it there, what does it hold, what is loaded, which slots are taken.

Owns the slots, one `Berth` for each lane; and residency: which models are in memory, which is on its way in, which have
to go for it. A lane's berth is made when it is first used and forgotten when idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.breakers import Breakers
from infrastructure.pool.learning import SlotLearner, overlap
from infrastructure.pool.states import SPECULATIVE, Band, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from infrastructure.pool.lanes import Lane

_BUSY, _FREE = SlotState.BUSY, SlotState.FREE
_IDLE_LANES_KEPT = 32
"""Lanes whose free slots are remembered; calls with ever new load options must not make them grow without end."""


class Berth:
    """The slots of one lane on one server."""

    __slots__ = (
        "free",
        "given",
        "heard",
        "in_flight",
        "lane",
        "learner",
        "left",
        "slots",
        "taken",
        "urgency",
        "used_at",
    )

    def __init__(self, lane: Lane, given: int | None) -> None:
        self.lane = lane
        self.given = given
        """How many there are; None: to be learned."""
        self.learner = SlotLearner()
        self.slots: list[Slot] = []
        """All that were ever used."""
        self.free: list[Slot] = []
        """Those of them that are free."""
        self.taken = 0
        """Slots that are busy or being freed."""
        self.in_flight: dict[int, Ticket] = {}
        self.heard = False
        """Whether a call here has had a byte since whoever watches last set this to False."""
        self.left = False
        """Whether a stream was left here in its middle, and no other call has had a byte since."""
        self.used_at = float("-inf")
        """When a call other than a guess was last given a slot here."""
        self.urgency = SPECULATIVE.order
        """The order of that call's band."""

    @property
    def capacity(self) -> int:
        """How many calls may be in flight."""
        return self.learner.limit if self.given is None else self.given

    def learns_from(self, ticket: Ticket, wait_seconds: float, away_seconds: float, now: float) -> bool:
        """A call is done, after the server let it wait for so long; whether more calls may be in flight now.

        It was on its way for `away_seconds`: the server's own time is so much less than ours.
        """
        if self.given is not None:
            return False
        before = self.learner.limit
        others = [other for other in self.in_flight.values() if other is not ticket]
        self.learner.ended(ticket, others, wait_seconds, away_seconds, now)
        for other in others:
            other.overlaps += (overlap(other, ticket, now),)
        return self.learner.limit > before

    def serves(self, band: Band) -> Iterator[Ticket]:
        """The calls of a band in flight."""
        return (ticket for ticket in self.in_flight.values() if ticket.call.band is band)


class Move:
    """A model that is on its way into memory."""

    __slots__ = ("lane", "leaving", "reloads", "ticket")

    def __init__(self, lane: Lane, leaving: frozenset[str] = frozenset()) -> None:
        self.lane = lane
        self.leaving = leaving
        """Models that get no new calls meanwhile, since one of them has to go."""
        self.ticket: Ticket | None = None
        """The call that loads it; None while the leaving ones still have calls in flight."""
        self.reloads = False
        """Whether it was in memory before, with other options."""


class ServerState:
    """One server's state. `name` is its URL."""

    def __init__(self, name: str, slots: int | None, *, places: int | None = None) -> None:
        self.name = name
        self.slots = slots
        """Of each lane; None: learned for each."""
        self.places = places
        """Models that fit into memory at once; None until a load has shown it."""
        self.places_given = places is not None
        self.health = Health.UNKNOWN
        self.reason = ""
        """Why it is down."""
        self.looked_at = float("-inf")
        """When it last said what it has, or failed to."""
        self.look_began: int | None = None
        """The newest call's number when it was last asked; None: it was not."""
        self.looked_after = -1
        """The newest call's number when that was asked: later calls may want it to be asked again. -1: it has not been
        seen since a call failed there."""
        self.models: frozenset[str] | None = None
        """Canonical names of what it holds; None if that is not known."""
        self.draining = False
        """Whether it gets no new calls, on somebody's word."""
        self.leaving = False
        """Whether it is drained because it is to be removed: then no call waits for it."""
        self.in_flight = 0
        self.move: Move | None = None
        self.loads = 0
        """Beginnings and ends of loads so far: what it listed before the last of them is no longer true."""
        self.breakers = Breakers()
        self.moved_at = float("-inf")
        """When a call was last sent here so that its model got loaded."""
        self._seen_idle: float | None = None
        self.berths: dict[Lane, Berth] = {}
        self._resident: dict[str, Lane | None] = {}

    def looked(self, now: float, newest: int, *, seen: bool = True) -> None:
        """It said what it has, or failed to; `newest` is the number of the last call so far.

        Not `seen` is what only a call has shown: then every waiting call may want a look of its own.
        """
        self.looked_at = now
        began = newest if self.look_began is None else self.look_began
        self.looked_after = began if seen else -1

    # ------------------------------------------------------------------------------------------ slots
    @property
    def capacity(self) -> int:
        """Slots of a lane, as far as they are known for all."""
        if self.slots is not None:
            return self.slots
        return max((berth.learner.proven for berth in self.berths.values()), default=1)

    @property
    def load(self) -> float:
        """Calls in flight, of all lanes, per slot."""
        return self.in_flight / self.capacity

    def seen_idle(self, now: float) -> float | None:
        """Since when it is known to have no call, at the latest this moment; None while it has one."""
        if self.in_flight:
            return None
        if self._seen_idle is None:
            self._seen_idle = now
        return self._seen_idle

    def capacity_of(self, lane: Lane) -> int:
        """Slots of the lane."""
        berth = self.berths.get(lane)
        if berth is not None:
            return berth.capacity
        return self.slots or 2

    def room(self, lane: Lane) -> bool:
        """Whether a slot of the lane is free."""
        berth = self.berths.get(lane)
        return berth is None or berth.taken < (berth.learner.limit if berth.given is None else berth.given)

    def unproven(self, lane: Lane) -> bool:
        """Whether one more call would be the one that finds out about a further slot."""
        berth = self.berths.get(lane)
        return berth is not None and berth.given is None and berth.taken >= berth.learner.proven

    def guesses_first(self, lane: Lane) -> bool:
        """Whether only a slot that may not exist is free, and a guess is in one that does: it gives way instead."""
        berth = self.berths.get(lane)
        if berth is None or berth.given is not None or berth.taken < berth.learner.proven:
            return False
        return any(True for _ in berth.serves(SPECULATIVE))

    def cancelling(self, lane: Lane) -> int:
        """Slots of the lane that are being freed."""
        berth = self.berths.get(lane)
        return 0 if berth is None else berth.taken - len(berth.in_flight)

    def busy(self, models: Iterable[str]) -> bool:
        """Whether a call is in flight, or its slot being freed, for one of these models."""
        wanted = frozenset(models)
        return any(berth.taken and lane.model in wanted for lane, berth in self.berths.items())

    def take(self, ticket: Ticket, now: float) -> Slot:
        """Give the call a free slot of its lane; there must be one."""
        lane = ticket.lane
        berth = self.berths.get(lane) or self._new_berth(lane)
        if berth.taken >= (berth.learner.limit if berth.given is None else berth.given):
            raise LookupError(f"no free slot for {lane} on {self.name}")
        if ticket.embeds:
            berth.given = 1
        if berth.free:
            slot = berth.free.pop()
        else:
            slot = Slot(self.name, lane, berth)
            berth.slots.append(slot)
        slot.become(_BUSY)
        slot.ticket = ticket
        ticket.beside = len(berth.in_flight)
        berth.in_flight[ticket.number] = ticket
        band = ticket.call.band
        if band is not SPECULATIVE:
            berth.used_at, berth.urgency = now, band.order
        berth.taken += 1
        self.in_flight += 1
        self._seen_idle = None
        return slot

    def give_back(self, slot: Slot) -> None:
        """The slot's connection is closed: it is free."""
        slot.become(_FREE)
        slot.ticket = None
        berth = slot.berth
        berth.free.append(slot)
        berth.taken -= 1
        self.in_flight -= 1

    def resize(self, slots: int | None, places: int | None) -> None:
        """Other numbers hold from now on. Calls in flight keep their slots where there are fewer."""
        for berth in self.berths.values():
            if berth.given == self.slots:  # else it is one for vectors, which has its own
                berth.given = slots
        self.slots = slots
        self.places, self.places_given = places, places is not None

    # -------------------------------------------------------------------------------------- residency
    def loaded(self, lane: Lane) -> int:
        """2: this very lane is loaded; 1: its model, with other or unknown options; 0: it is not."""
        if lane.model not in self._resident:
            return 0
        return 2 if self._resident[lane.model] == lane else 1

    def hosts(self, lane: Lane) -> bool:
        """Whether calls of the lane need no load, as far as is known."""
        return lane.model in self._resident and self._resident[lane.model] in (lane, None)

    def open_to(self, lane: Lane) -> bool:
        """Whether calls of the lane may be sent: it does not keep failing, and is not on its way out or still in."""
        if self.breakers.of and not self.admits(lane):
            return False
        move = self.move
        if move is None:
            return True
        return lane.model not in move.leaving and lane.model != move.lane.model

    def admits(self, lane: Lane) -> bool:
        """Whether the lane's breaker lets a call pass."""
        if not self.breakers.of:
            return True
        berth = self.berths.get(lane)
        return self.breakers.admit(lane, 0 if berth is None else berth.taken)

    @property
    def serving(self) -> bool:
        """Whether it may get calls at all."""
        return self.health is Health.UP and not self.draining

    def resident(self) -> Mapping[str, Lane | None]:
        """The loaded models by canonical name, each with the lane that loaded it if that was one of ours."""
        return self._resident

    def observe_loaded(self, models: frozenset[str]) -> None:
        """Take the server's own list of loaded models; the lane of one is kept while it stays loaded."""
        self._resident = {model: self._resident.get(model) for model in models}
        if not self.places_given and self.places is not None and len(models) > self.places:
            self.places = len(models)

    def answered(self, lane: Lane) -> None:
        """A call of the lane has had its first byte: the lane is loaded."""
        self._resident[lane.model] = lane

    def evict(self, models: Iterable[str]) -> None:
        """These models leave memory for another."""
        for model in models:
            self._resident.pop(model, None)

    def _new_berth(self, lane: Lane) -> Berth:
        self._forget_idle_lanes()
        berth = self.berths[lane] = Berth(lane, self.slots)
        return berth

    def _forget_idle_lanes(self) -> None:
        if len(self.berths) < _IDLE_LANES_KEPT:
            return
        self.berths = {lane: berth for lane, berth in self.berths.items() if berth.taken}


def swap_slots(one: Ticket, other: Ticket) -> None:
    """Two calls in flight change places."""
    for each in (one, other):
        if each.slot is None:
            raise LookupError(f"call {each.number} holds no slot")
        del each.slot.berth.in_flight[each.number]
    one.slot, other.slot = other.slot, one.slot
    for each in (one, other):
        if each.slot is not None:
            each.slot.ticket = each
            each.slot.berth.in_flight[each.number] = each
