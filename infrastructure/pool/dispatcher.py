"""Carries out what the scheduler decides.

Owns the calls from admission to end, the one timer that wakes for deadlines, and closing. All of it runs in the event
loop; a decision is made at each change and at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from typing import TYPE_CHECKING

from infrastructure.pool.background import Background
from infrastructure.pool.changes import Changes
from infrastructure.pool.doubts import Doubts
from infrastructure.pool.errors import DeadlinePassed, PoolClosed, PoolDraining, QueueTimeout
from infrastructure.pool.failures import is_down, trips
from infrastructure.pool.figures import Figures
from infrastructure.pool.fleet import Fleet
from infrastructure.pool.home import Home
from infrastructure.pool.inventory import Inventory
from infrastructure.pool.lanes import Lane, canonical
from infrastructure.pool.overdue import Overdue
from infrastructure.pool.placement import holds
from infrastructure.pool.positions import Positions
from infrastructure.pool.retries import HEDGE_SHARE, RetryBudget
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import CallState
from infrastructure.pool.turns import Turns
from infrastructure.pool.watchman import Watchman
from infrastructure.transport.errors import ModelNotFound, NotJson, OllamaError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from infrastructure.config.settings import PoolSettings, ServerSettings
    from infrastructure.pool.calls import Call
    from infrastructure.pool.observing import CallObserver
    from infrastructure.pool.running import Running
    from infrastructure.pool.ticket import Slot, Ticket

_log = logging.getLogger(__name__)


class Dispatcher:
    """The scheduler with hands."""

    def __init__(
        self, servers: Mapping[str, ServerSettings], settings: PoolSettings, clock: Callable[[], float]
    ) -> None:
        self.servers = dict(servers)
        self.settings = settings
        self.clock = clock
        self.home = Home()
        self.background = Background()
        self.figures = Figures()
        self.doubts = Doubts()
        self.counts: Counter[str] = Counter()
        self.changes = Changes()
        self.observers: list[CallObserver] = []
        self.scheduler = Scheduler(
            {name: server.slots for name, server in servers.items()},
            queue_length=settings.queue_length,
            places={name: server.max_loaded_models for name, server in servers.items()},
        )
        self.inventory = Inventory(self.servers, settings, self.scheduler, self.background, clock)
        self.fleet = Fleet(self)
        self.inventory.on_look = self.fleet.looked
        self.inventory.aliases.on_change = self._names_changed
        self.watchman = Watchman(self)
        self.overdue = Overdue(self)
        self.on_call: Callable[[], None] = _ignore
        """Called when a call begins."""
        self.budget = RetryBudget()
        self.hedges = RetryBudget(HEDGE_SHARE, start=1, most=20)
        self.draining = False
        self.closed = False
        self._runs: dict[int, Running] = {}
        self._turns = Turns()
        self._idle = asyncio.Event()
        self._idle.set()
        self._freed = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._positions = Positions(self.scheduler.queue, self._runs)

    def limit(self, settings: PoolSettings) -> None:
        """Other limits hold for the calls that begin from now on."""
        self.settings = settings
        self.scheduler.limit_queue(settings.queue_length)
        self.inventory.limit(settings)

    # ------------------------------------------------------------------------------------------ calls
    def admit(
        self,
        lane: Lane,
        call: Call,
        *,
        prompt_tokens: int = 0,
        read: bool = False,
        embeds: bool = False,
        excluded: frozenset[str] = frozenset(),
    ) -> Ticket:
        """Queue a new call, or give it a slot at once; see `Scheduler.enqueue`.

        Raises:
            PoolClosed, PoolDraining, PoolSaturated, OtherLoop: it is not taken.
        """
        self.check_open()
        if asyncio._get_running_loop() is not self.home.loop:
            self.home.check()
        if self.draining:
            raise PoolDraining
        now = self.clock()
        limit = self.settings.phases.queue
        patience = limit if call.deadline is None else min(limit, call.deadline)
        ticket, displaced = self.scheduler.enqueue(
            lane,
            call,
            now=now,
            expires_at=now + patience,
            prompt_tokens=prompt_tokens,
            read=read,
            embeds=embeds,
            excluded=excluded,
            at_once=True,
        )
        if displaced is not None:
            self._turns.refuse(displaced, self.scheduler.saturated())
        self._turns.line_up(ticket)
        return ticket

    def move(self, ticket: Ticket, server: str) -> None:
        """A call in flight failed before its first byte and is queued again, for the other servers."""
        self.counts["moved"] += 1
        self.scheduler.move(ticket, exclude=server, now=self.clock())
        self._line_up_again(self._runs[ticket.number])

    def return_preempted(self, ticket: Ticket) -> None:
        """A pre-empted call is queued again."""
        self.scheduler.return_preempted(ticket, self.clock())
        self._line_up_again(self._runs[ticket.number])

    def _line_up_again(self, run: Running) -> None:
        self._find_lane(run)
        self._turns.line_up(run.ticket)

    def _names_changed(self) -> None:
        for run in self._runs.values():
            if run.ticket.state is CallState.QUEUED:
                self._find_lane(run)

    def _find_lane(self, run: Running) -> None:
        """A call that is queued waits in the lane that calls for its model have now."""
        lane = self._lane_now(run)
        if lane is not run.errand.lane:
            run.errand.lane = lane
            self.scheduler.change_lane(run.ticket, lane)

    def _lane_now(self, run: Running) -> Lane:
        """The one that a call in flight would wait in: names may have changed since it came."""
        lane = run.errand.lane
        return self.inventory.aliases.lane(Lane(canonical(run.errand.settings.model), lane.load, lane.shift))

    def asked_name(self, ticket: Ticket) -> str:
        """The model that a call names, which may be one of several names of its lane's."""
        return self._runs[ticket.number].errand.settings.model

    def check_open(self) -> None:
        """Raise PoolClosed if the pool is closed."""
        if self.closed:
            raise PoolClosed

    @property
    def busy(self) -> bool:
        """Whether there is any call."""
        return bool(self._runs)

    def tickets(self) -> list[Ticket]:
        """All calls, waiting or in flight."""
        return [run.ticket for run in self._runs.values()]

    def runs(self) -> Collection[Running]:
        """The same, oldest first, as they can be reached."""
        return self._runs.values()

    def position(self, ticket: Ticket) -> int | None:
        """How many calls go before a waiting one; 0 for one that need not wait."""
        if ticket.slot is not None:
            return 0
        return next((at for at, each in enumerate(self.scheduler.queue.in_order()) if each is ticket), None)

    def register(self, run: Running) -> None:
        """A call begins; it must be forgotten in the end."""
        self._runs[run.ticket.number] = run
        self._idle.clear()
        self.watchman.wake()
        self.on_call()

    def forget(self, run: Running) -> None:
        """A call is over and holds nothing."""
        self.abandon(run.ticket)
        self._runs.pop(run.ticket.number, None)
        if not self._runs:
            self._idle.set()
        self.changes.ring()

    async def turn(self, ticket: Ticket) -> Slot:
        """Wait for a slot.

        Cancelling gives up the place in the queue, or the slot if there is one already.

        Raises:
            OllamaError: there is none: the queue, the deadline, the servers or the model do not allow it.
        """
        try:
            self.fleet.refresh()
            if ticket.slot is None or self.scheduler.crowded:
                self.pump()
            return await self._turns.wait(ticket)
        except asyncio.CancelledError:
            self.abandon(ticket)
            raise

    def abandon(self, ticket: Ticket) -> None:
        """A call that has not used its slot, or has none, is given up; one that has is left alone."""
        if not self._turns.leave(ticket):
            return
        if ticket.state is CallState.QUEUED:
            self.scheduler.withdraw(ticket, CallState.CANCELLED)
        elif ticket.slot is not None:
            self.scheduler.free(self.scheduler.stop(ticket, CallState.CANCELLED))
            self._freed.set()
        if not self.closed:
            self.pump()

    def blame(self, server: str, lane: Lane, error: OllamaError, *, answering: bool) -> None:
        """An attempt failed there by the server's or the wire's fault, or the model is missing."""
        if isinstance(error, NotJson):  # nothing was sent
            return
        self.figures.failed(server, lane)
        if is_down(error, answering=answering):
            self.inventory.failed(server, error)
        elif isinstance(error, ModelNotFound):
            missing = canonical(error.model)
            self.scheduler.roster.lacks(server, missing)
            if missing != lane.model:  # one of several names, and the others may be there
                self.inventory.look_soon(server)
        elif trips(error) and self.scheduler.roster.failed(server, lane, self.clock()):
            self.counts["tripped"] += 1
            _log.warning("%s keeps failing on %s: no calls for a while (%s)", lane, self.servers[server].label, error)

    def lost(self, server: str, error: OllamaError) -> None:
        """A server does not answer any more: calls there that have had nothing yet go elsewhere, if they can.

        Nothing is wrong with it for them once it answers again. But each leaves it so only once: what is slow
        everywhere would go round for ever, and each time what a server had done for it was lost.
        """
        self.inventory.failed(server, error)
        self.take_back(server, lambda run: server not in run.left, exclude=False)
        self.pump()

    def take_back(self, server: str, wanted: Callable[[Running], bool], *, exclude: bool = True) -> None:
        """Of the calls there that have had nothing yet, those that are wanted go elsewhere, if they can.

        `exclude`: not to this server again.
        """
        for run in list(self._runs.values()):
            ticket = run.ticket
            waits = ticket.state in (CallState.CONNECTING, CallState.WAITING)
            there = waits and ticket.slot is not None and ticket.slot.server == server
            if there and self._has_elsewhere(run, server if exclude else None) and wanted(run):
                self.counts["moved"] += 1
                run.left |= {server}
                slot = self.scheduler.move(ticket, exclude=server if exclude else None, now=self.clock())
                self._line_up_again(run)
                run.interrupt(slot, None)

    def break_off(self, run: Running, error: OllamaError) -> None:
        """A call in flight ends with this error."""
        run.interrupt(self.scheduler.stop(run.ticket, CallState.FAILED), error)

    def twin(self, ticket: Ticket) -> Ticket | None:
        """A second slot for a call that is late, if one is free and not too many calls have had one."""
        if self.closed:
            return None
        twin = self.scheduler.twin(ticket, self.clock())
        if twin is not None and not self.hedges.spend():
            self.scheduler.free(self.scheduler.stop(twin, CallState.CANCELLED))
            return None
        if twin is not None:
            self.counts["hedged"] += 1
        return twin

    def _has_elsewhere(self, run: Running, excluded: str | None) -> bool:
        lane, without = self._lane_now(run), run.ticket.excluded
        return any(
            server.serving and name != excluded and name not in without and holds(server, lane)
            for name, server in self.scheduler.servers.items()
        )

    def pump(self) -> None:
        """Decide all that can be decided now. Called after every change."""
        self._freed.set()
        now, waiting, looks = self.clock(), self.scheduler.queue.calls, self.scheduler.residency.looks
        if waiting:
            self._expire(now)
        self._place(now)
        if waiting:
            for ticket, error in self.fleet.lost():
                self._turns.refuse(ticket, error)
        while looks:
            self.inventory.look_soon(looks.pop())
        if waiting:
            self._positions.announce()
            self._set_alarm(now)
        self.changes.ring()

    def _expire(self, now: float) -> None:
        for ticket in self.scheduler.expire(now):
            waited = now - ticket.enqueued_at
            late = ticket.call.deadline is not None and waited >= ticket.call.deadline
            error = DeadlinePassed(waited) if late else QueueTimeout(waited, self.fleet.drained_for(ticket))
            self._turns.refuse(ticket, error)

    def free(self, slot: Slot) -> None:
        """The slot's connection is closed; who is next?"""
        self.scheduler.free(slot)
        self._freed.set()
        if not self.closed:
            self.pump()

    async def slot_freed(self) -> None:
        """Wait until some slot may have been freed."""
        self._freed.clear()
        await self._freed.wait()

    # ------------------------------------------------------------------------------------------- end
    async def drain(self) -> None:
        """Take no new calls and wait until those in hand are over. What only drained servers could serve is refused."""
        self.draining = True
        self.scheduler.hurry()
        if not self.closed:
            self.pump()
        await self._idle.wait()

    async def aclose(self) -> None:
        """End every call with `PoolClosed`, free every slot, close every connection."""
        self.closed = True
        self.watchman.stop()
        self.overdue.stop()
        self.fleet.stop()
        self._positions.stop()
        if self._alarm is not None:
            self._alarm.cancel()
        for run in list(self._runs.values()):
            self._end(run)
        while any(server.in_flight for server in self.scheduler.servers.values()):
            await self.slot_freed()
        await self.background.aclose()
        await self.inventory.aclose()
        self.changes.close()

    def _end(self, run: Running) -> None:
        ticket = run.ticket
        if ticket.state is CallState.QUEUED:
            self.scheduler.withdraw(ticket, CallState.FAILED)
            self._turns.refuse(ticket, PoolClosed())
        elif ticket.slot is not None:
            slot = self.scheduler.stop(ticket, CallState.FAILED)
            if ticket in self._turns:
                self.scheduler.free(slot)
                self._turns.refuse(ticket, PoolClosed())
            else:
                run.interrupt(slot, PoolClosed())

    # ----------------------------------------------------------------------------------------- turns
    def _place(self, now: float) -> None:
        taken_back = True
        while taken_back:
            taken_back = False
            for ticket in self.scheduler.place(now):
                self._turns.wake(ticket)
            for ticket, slot in self.scheduler.preempt(now):
                self.counts["preempted"] += 1
                if ticket in self._turns:  # it has not even seen its slot: nothing is to be closed
                    self.scheduler.free(slot)
                    self.scheduler.return_preempted(ticket, now)
                    self._line_up_again(self._runs[ticket.number])
                    taken_back = True
                else:
                    self._runs[ticket.number].interrupt(slot, None)

    def _set_alarm(self, now: float) -> None:
        """Wake when the next waiting call's time is over, or when time alone may bring a decision."""
        expiry = self.scheduler.queue.next_expiry()
        when = min(math.inf if expiry is None else expiry, self.scheduler.wake_at)
        if when == math.inf or (self._alarm is not None and self._alarm_at <= when):
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = asyncio.get_running_loop().call_later(max(0.0, when - now), self._wake_up)

    def _wake_up(self) -> None:
        self._alarm = None
        self.pump()


def _ignore() -> None:
    pass
