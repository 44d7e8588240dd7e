"""Who decides where calls go: Corral's scheduler, and the rules that others use, each as it is described.

Owns one class a policy. All but Corral know the true speeds and slots where they use them.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence

from benchmarks.virtual import Request, Server, World
from infrastructure.pool.calls import Call
from infrastructure.pool.lanes import Lane
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import CallState
from infrastructure.pool.ticket import Ticket
from infrastructure.transport.messages import Metrics

LOOK_SECONDS = 0.005
"""What `/api/ps` takes to answer."""


class Bound:
    """A rule that sends each call on when it arrives; it waits inside the server."""

    def start(self, world: World) -> None:
        self.world = world
        self.servers: Sequence[Server] = tuple(world.servers.values())
        self.random = random.Random(1)

    def arrived(self, request: Request) -> None:
        self.world.send(request, self.choose(request).spec.name)

    def choose(self, request: Request) -> Server:
        raise NotImplementedError

    def answered(self, request: Request) -> None: ...
    def ended(self, request: Request) -> None: ...


class RoundRobin(Bound):
    """One after the other."""

    turn = -1

    def choose(self, request: Request) -> Server:
        self.turn += 1
        return self.servers[self.turn % len(self.servers)]


class LeastConnections(Bound):
    """Where the fewest calls are."""

    def choose(self, request: Request) -> Server:
        return min(self.servers, key=lambda server: server.in_flight)


class TwoChoices(Bound):
    """The better of two at random."""

    def choose(self, request: Request) -> Server:
        pair = self.random.sample(self.servers, min(2, len(self.servers)))
        return min(pair, key=lambda server: server.in_flight)


class LeastPerSlot(Bound):
    """Where the fewest calls are for each slot."""

    def choose(self, request: Request) -> Server:
        return min(self.servers, key=lambda server: server.in_flight / server.spec.slots)


class CentralQueue:
    """Thirty lines: calls wait here; a free slot takes the oldest of the loaded model, an idle server the oldest."""

    def start(self, world: World) -> None:
        self.world = world
        self.servers: Sequence[Server] = tuple(world.servers.values())
        self.loaded = {server.spec.name: next(iter(server.loaded), "") for server in self.servers}
        self.waiting: list[Request] = []

    def arrived(self, request: Request) -> None:
        self.waiting.append(request)
        self.place()

    def answered(self, request: Request) -> None: ...

    def ended(self, request: Request) -> None:
        self.place()

    def place(self) -> None:
        for server in self.servers:
            name = server.spec.name
            while server.in_flight < server.spec.slots:
                fits = [each for each in self.waiting if each.model == self.loaded[name]]
                if not fits and not server.in_flight:
                    fits = self.waiting
                if not fits:
                    break
                request = fits[0]
                self.waiting.remove(request)
                self.loaded[name] = request.model
                self.world.send(request, name)


class Nomyo(Bound):
    """NOMYO router: loaded with a free slot; else any with a free slot; else the least used; the least used of each."""

    def choose(self, request: Request) -> Server:
        model = request.model
        free = [server for server in self.servers if server.by_model.get(model, 0) < server.spec.slots]
        warm = [server for server in free if model in server.loaded]
        return min(warm or free or self.servers, key=lambda server: server.by_model.get(model, 0))


class EarliestFinish(Bound):
    """Where it would be done first by what is known at arrival: work before it, load, speed."""

    def start(self, world: World) -> None:
        super().start(world)
        self.work: dict[tuple[str, str], float] = {}
        self.mean = 8.0

    def choose(self, request: Request) -> Server:
        best = min(self.servers, key=lambda server: self._finish(server, request))
        key = best.spec.name, request.model
        self.work[key] = self.work.get(key, 0.0) + request.work
        return best

    def _finish(self, server: Server, request: Request) -> float:
        spec, model = server.spec, request.model
        coming = model == server.loading or server.by_model.get(model, 0) > 0
        wait = self.work.get((spec.name, model), 0.0) / spec.slots / spec.speed
        if server.by_model.get(model, 0) < spec.slots:
            wait = 0.0
        if model not in server.loaded and not coming:
            others = max((self.work.get((spec.name, each), 0.0) / spec.slots for each in server.by_model), default=0.0)
            wait += spec.load_seconds + (0 if len(server.loaded) < spec.places else others / spec.speed)
        return wait + request.work / spec.speed

    def ended(self, request: Request) -> None:
        self.work[request.server, request.model] -= request.work


class LeastWork(EarliestFinish):
    """Where the least work is left; knows every length, and no cache."""

    def _finish(self, server: Server, request: Request) -> float:
        return self.work.get((server.spec.name, request.model), 0.0) / server.spec.slots / server.spec.speed


class Sticky(Bound):
    """The router with the most hits there can be: a conversation stays where it began, whatever the load."""

    def start(self, world: World) -> None:
        super().start(world)
        self.owners: dict[str, Server] = {}

    def choose(self, request: Request) -> Server:
        prefix = request.prefix or ""
        if prefix not in self.owners:
            self.owners[prefix] = min(self.servers, key=lambda server: server.in_flight / server.spec.slots)
        return self.owners[prefix]


class CentralFifo(Bound):
    """One queue; the oldest call takes the first free slot: where its model is loaded, else anywhere."""

    def start(self, world: World) -> None:
        super().start(world)
        self.queue: deque[Request] = deque()

    def arrived(self, request: Request) -> None:
        self.queue.append(request)
        self._place()

    def ended(self, request: Request) -> None:
        self._place()

    def _place(self) -> None:
        while self.queue:
            request = self.queue[0]
            model = request.model
            free = [server for server in self.servers if self._free(server, model)]
            if not free:
                return
            best = max(free, key=lambda server: (model in server.loaded, server.spec.speed, -server.in_flight))
            self.world.send(self.queue.popleft(), best.spec.name)

    def _free(self, server: Server, model: str) -> bool:
        spec = server.spec
        return server.by_model.get(model, 0) < spec.slots and server.in_flight < spec.slots * spec.places


class Oracle(CentralFifo):
    """What no rule can reach: every model is loaded everywhere, and one cache serves all. The world is made so."""


class Corral:
    """The real scheduler, driven as the dispatcher drives it."""

    def __init__(self, *, slots_known: bool = True, places_known: bool = True) -> None:
        self.slots_known, self.places_known = slots_known, places_known
        self._tickets: dict[Request, Ticket] = {}
        self._requests: dict[int, Request] = {}
        self._alarm_at = math.inf

    def start(self, world: World) -> None:
        self.world = world
        specs = [server.spec for server in world.servers.values()]
        self.scheduler = Scheduler(
            {spec.name: spec.slots if self.slots_known else None for spec in specs},
            queue_length=10**9,
            places={spec.name: spec.places if self.places_known else None for spec in specs},
        )
        for spec in specs:
            self._look(spec.name)

    def arrived(self, request: Request) -> None:
        ticket, _ = self.scheduler.enqueue(
            Lane(request.model),
            Call(client=request.client, prefix=request.prefix),
            now=self.world.now,
            expires_at=self.world.now + 10**9,
            prompt_tokens=request.prompt,
        )
        self._tickets[request] = ticket
        self._requests[ticket.number] = request
        self.pump()

    def answered(self, request: Request) -> None:
        ticket = self._tickets[request]
        self.scheduler.answered(ticket, request.server, self.world.now)
        self.scheduler.advance(ticket, CallState.STREAMING)
        self.pump()

    def ended(self, request: Request) -> None:
        ticket = self._tickets.pop(request)
        del self._requests[ticket.number]
        now = self.world.now
        metrics = Metrics(
            total_ns=round((now - request.sent) * 1e9),
            load_ns=round(request.load_seconds * 1e9),
            prompt_ns=round((request.first - request.began) * 1e9),
            decode_ns=round((request.done - request.first) * 1e9),
            prompt_tokens=request.prompt,
            completion_tokens=request.output,
        )
        self.scheduler.served(ticket, metrics, now - request.sent, now)
        self.scheduler.end(ticket)
        self.pump()

    @property
    def waiting(self) -> int:
        return len(self.scheduler.queue)

    def pump(self) -> None:
        """As the dispatcher's: place, ask servers that are to be asked, set the alarm."""
        now = self.world.now
        for ticket in self.scheduler.place(now):
            self.scheduler.advance(ticket, CallState.CONNECTING)
            self.scheduler.advance(ticket, CallState.WAITING)
            request = self._requests[ticket.number]
            assert ticket.slot is not None
            self.world.send(request, ticket.slot.server)
        assert not self.scheduler.preempt(now)
        looks = self.scheduler.residency.looks
        while looks:
            self.world.after(LOOK_SECONDS, self._look_and_pump, looks.pop())
        when = self.scheduler.wake_at
        if len(self.scheduler.queue) and when < self._alarm_at:
            self._alarm_at = when
            self.world.at(max(now, when), self._alarm, when)

    def _alarm(self, when: float) -> None:
        if when == self._alarm_at:
            self._alarm_at = math.inf
            self.pump()

    def _look(self, name: str) -> None:
        loaded = self.world.servers[name].loaded
        self.scheduler.roster.up(name, models=None, loaded=loaded, now=self.world.now)

    def _look_and_pump(self, name: str) -> None:
        self._look(name)
        self.pump()
