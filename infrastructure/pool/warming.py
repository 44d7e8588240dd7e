"""Models that are loaded before the first call wants them.

Owns the load-only calls. Each takes its turn as a guess does: it gives way at once to any call that needs its server
for another model, and calls of its own lane wait for the load instead of beginning another. A model is loaded on one
server only, and only where nothing has to go for it, as far as is known. What goes wrong is told, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from infrastructure.pool.asks import EmbedAsk
from infrastructure.pool.calls import Call
from infrastructure.pool.errand import Errand
from infrastructure.pool.fitting import ServerMemory
from infrastructure.pool.lanes import canonical, lane_of
from infrastructure.pool.plan import plan_lanes
from infrastructure.pool.states import Band, CallState
from infrastructure.transport.errors import OllamaError, Partial
from infrastructure.transport.messages import EmbedRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infrastructure.config.settings import LaneSettings
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.expectations import Expectations
    from infrastructure.pool.ticket import Slot

CLIENT = "preload"
"""For whom the calls are, in the pool's figures."""
_log = logging.getLogger(__name__)


class Warming:
    """Loads ahead of time, over one pool's servers."""

    def __init__(self, dispatcher: Dispatcher, expectations: Expectations) -> None:
        self._pool = dispatcher
        self._expectations = expectations
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, names: Iterable[str]) -> asyncio.Task[None]:
        """Load these lanes; the task ends when all are there, or given up. It never fails; cancelling gives up."""
        task = self._pool.background.start(self._warm(tuple(names)), "load models ahead")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()

    async def _warm(self, names: tuple[str, ...]) -> None:
        await self._look(self._pool.servers)
        self._expectations.plan(names)
        wanted = {name: lane for name, lane in self._expectations.local(names).items() if not self._is_there(lane)}
        memories = {server: self._free(server) for server in self._pool.servers if self._is_up(server)}
        plan = plan_lanes(wanted, list(memories.values()))
        homes = {memory.label: server for server, memory in memories.items()}
        begun = {
            lane_of(wanted[name], {}): WarmUp(wanted[name], self._pool, homes[at]) for name, at in plan.homes.items()
        }
        for name in wanted.keys() - plan.homes.keys():
            there = any(canonical(wanted[name].model) in self._held(server) for server in memories)
            room = "no room beside what is in memory; its first call loads it"
            nowhere = f"no server that answers has it, so that calls for it fail (`ollama pull {wanted[name].model}`)"
            _log.warning("%s is not loaded ahead: %s", name, room if there else nowhere)
        async with asyncio.TaskGroup() as group:
            for each in begun.values():
                group.create_task(each.load(), name=f"load {each.lane} ahead")
        while looks := [server for server in self._pool.servers if self._pool.inventory.looking(server)]:
            await self._look(looks)  # one that was under way when the last load was over is followed by another
        self._expectations.plan(names)  # the loads have shown what fits

    async def _look(self, servers: Iterable[str]) -> None:
        looks = [self._pool.inventory.look(server) for server in servers]
        if looks:
            await asyncio.wait(looks)

    def _is_up(self, server: str) -> bool:
        return self._pool.scheduler.servers[server].serving

    def _held(self, server: str) -> set[str]:
        return {canonical(each.name) for each in self._pool.inventory.holdings(server).models or ()}

    def _is_there(self, settings: LaneSettings) -> bool:
        """Whether a server has it in memory; as somebody else loaded it, is taken for right until a call shows."""
        return bool(self._pool.scheduler.residency.hosts(lane_of(settings, {})))

    def _free(self, server: str) -> ServerMemory:
        """What the server could load without anything having to go, as far as is known.

        A model that is there with other options, or on its way in, would have to go for itself. Where nobody knows how
        many fit, an empty server takes what it is given; one that holds others' models nothing.
        """
        state = self._pool.scheduler.servers[server]
        there = {*state.resident(), *([state.move.lane.model] if state.move is not None else ())}
        held = [
            each for each in self._pool.inventory.holdings(server).models or () if canonical(each.name) not in there
        ]
        unknown = 0 if there else None
        places = unknown if state.places is None else max(0, state.places - len(there))
        return ServerMemory(label=self._pool.servers[server].label, models=held, places=places)


class WarmUp:
    """One load-only call, from its place in the queue to its end."""

    characters = 0
    partial = Partial()
    reading = True
    ends_at = math.inf
    left: frozenset[str] = frozenset()

    def __init__(self, settings: LaneSettings, dispatcher: Dispatcher, server: str) -> None:
        """A load of the lane on this server and no other; `load` carries it out."""
        self.lane = lane_of(settings, {})
        call = Call(client=CLIENT, band=Band.SPECULATIVE)
        nothing = EmbedAsk(EmbedRequest(model=settings.model, input=()))
        self.errand = Errand(ask=nothing, settings=settings, lane=self.lane, options={}, call=call)
        self._pool = dispatcher
        self._server = server
        self._interrupted = False
        self._task: asyncio.Task[object] | None = None

    async def load(self) -> None:
        """Wait for the turn, load, and give the slot back."""
        pool = self._pool
        if self._server not in pool.servers:  # removed before this began
            return
        label = pool.servers[self._server].label
        self._task = asyncio.current_task()
        try:
            others = frozenset(name for name in pool.servers if name != self._server)
            self.ticket = pool.admit(self.lane, self.errand.call, excluded=others)
        except OllamaError as error:
            _log.info("%s is not loaded ahead: %s", self.lane, error)
            return
        pool.register(self)
        try:
            await self._carry_out(await pool.turn(self.ticket))
        except OllamaError as error:
            if not pool.closed:
                _log.warning("%s is not loaded ahead on %s: %s; its first call loads it", self.lane, label, error)
        finally:
            pool.forget(self)

    def interrupt(self, slot: Slot, error: OllamaError | None) -> None:
        """A call needs the server, or the pool closes: the load is left, which ends it at the server too."""
        self._interrupted = True
        if self._task is not None:
            self._task.cancel()

    def tell_position(self, position: int) -> None:
        """Nobody watches."""

    async def _carry_out(self, slot: Slot) -> None:
        pool, ticket, scheduler = self._pool, self.ticket, self._pool.scheduler
        self._server = slot.server  # one that came since may have been free first
        began = pool.clock()
        scheduler.advance(ticket, CallState.CONNECTING)
        scheduler.advance(ticket, CallState.WAITING)
        try:
            await self._ask()
        except (asyncio.CancelledError, OllamaError) as end:
            self._left(slot, end)
            return
        now = pool.clock()
        scheduler.advance(ticket, CallState.STREAMING)
        scheduler.answered(ticket, slot.server, now)
        scheduler.residency.load_seen(ticket, now - began)
        scheduler.end(ticket)
        pool.pump()

    async def _ask(self) -> None:
        """The load-only call. A model that only embeds takes none but an empty question."""
        client, lane = self._pool.inventory.client(self._server), self.errand.settings
        if self._only_embeds():
            request = EmbedRequest(model=lane.model, input=(), options=self.lane.options, keep_alive=lane.keep_alive)
            await client.embed(request)
        else:
            await client.load(lane.model, self.lane.options, lane.keep_alive, shift=lane.shift)

    def _only_embeds(self) -> bool:
        held = self._pool.inventory.holdings(self._server).models or ()
        able = next((each.capabilities for each in held if canonical(each.name) == self.lane.model), None)
        return able is not None and "completion" not in able

    def _left(self, slot: Slot, end: asyncio.CancelledError | OllamaError) -> None:
        """The load is over before its time, and its connection closed: give the slot back, then pass the end on.

        Nobody is told of a load that gave way: its lane's first call loads the model.
        """
        pool, ticket, scheduler = self._pool, self.ticket, self._pool.scheduler
        taken = ticket.slot is not slot
        if not taken:
            if isinstance(end, OllamaError):
                pool.blame(slot.server, self.lane, end, answering=False)
            scheduler.stop(ticket, CallState.FAILED if isinstance(end, OllamaError) else CallState.CANCELLED)
        elif ticket.state is CallState.PREEMPTED:
            scheduler.give_up_preempted(ticket, CallState.CANCELLED)
        pool.free(slot)
        if not taken or self._is_cancelled():
            raise end

    def _is_cancelled(self) -> bool:
        """Whether somebody else wants this task to end, besides `interrupt`."""
        return self._task is not None and self._interrupted and self._task.uncancel() > 0
