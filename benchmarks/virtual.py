"""Servers in virtual time: slots, loads, prefix caches and queues as real Ollama servers have them, without a clock.

Owns the model of a server, which is the same for every policy (docs/simulator.md): a FIFO of calls for each
loaded model, unbounded; loads one at a time; a load waits until the model that has to go is idle, and calls for loaded
models pass in front meanwhile; prefill by uncached tokens, decode by tokens, both by the server's speed.
Left out: the network, and that streams slow each other down.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

PREFILL_RATE = 1000.0
"""Prompt tokens a second at speed 1."""
DECODE_RATE = 40.0


@dataclass(slots=True, eq=False)
class Request:
    """A call with what it will take, and what came of it."""

    at: float
    model: str
    prompt: int
    output: int
    client: str = "default"
    prefix: str | None = None
    shared: int = 0
    """Tokens of the prompt that a server need not evaluate if it has the prefix."""
    follow: Callable[[float], Request | None] | None = None
    """The next turn of the conversation, given when this one is answered."""
    server: str = ""
    sent: float = math.nan
    began: float = math.nan
    """When it got a slot inside the server."""
    first: float = math.nan
    done: float = math.nan
    load_seconds: float = 0.0
    hit: bool = False

    @property
    def ttft(self) -> float:
        """Seconds to the first token."""
        return self.first - self.at

    @property
    def work(self) -> float:
        """Seconds of a slot at speed 1 with nothing cached."""
        return self.prompt / PREFILL_RATE + self.output / DECODE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A server as it is."""

    name: str
    speed: float = 1.0
    slots: int = 4
    places: int = 1
    load_seconds: float = 8.0
    prefixes: int = 32
    """Prefixes that a loaded model's cache keeps."""
    loaded: tuple[str, ...] = ()


@dataclass(slots=True)
class _Runner:
    running: set[Request] = field(default_factory=set[Request])
    waiting: deque[Request] = field(default_factory=deque[Request])
    cache: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    used_at: float = 0.0


class Policy(Protocol):
    """Whoever decides where calls go. Told of everything, in order; sends by `world.send`."""

    def start(self, world: World) -> None: ...
    def arrived(self, request: Request) -> None: ...
    def answered(self, request: Request) -> None: ...
    def ended(self, request: Request) -> None: ...


class Server:
    """One server."""

    def __init__(self, spec: Spec, world: World) -> None:
        self.spec = spec
        self.loads = 0
        self.in_flight = 0
        self.by_model: dict[str, int] = {}
        """Calls sent and not done, by model."""
        self.loading: str | None = None
        self._unloaded: deque[Request] = deque()
        self._world = world
        self._runners: dict[str, _Runner] = {}
        for model in spec.loaded:
            self._open(model)

    @property
    def loaded(self) -> tuple[str, ...]:
        """As `/api/ps` would say: not the one that is on its way in."""
        return tuple(self._runners)

    def busy(self, model: str) -> int:
        """Slots in which a call of the model runs."""
        runner = self._runners.get(model)
        return 0 if runner is None else len(runner.running)

    def queued(self, model: str) -> int:
        """Calls that wait inside the server, for a slot or a load."""
        runner = self._runners.get(model)
        waiting = 0 if runner is None else len(runner.waiting)
        return waiting + sum(each.model == model for each in self._unloaded)

    def send(self, request: Request) -> None:
        self.in_flight += 1
        self.by_model[request.model] = self.by_model.get(request.model, 0) + 1
        runner = self._runners.get(request.model)
        if runner is None:
            self._unloaded.append(request)
            self._load_next()
        elif len(runner.running) < self.spec.slots:
            self._begin(runner, request)
        else:
            runner.waiting.append(request)

    def _load_next(self) -> None:
        if self.loading is not None or not self._unloaded:
            return
        if len(self._runners) >= self.spec.places:
            idle = [model for model, runner in self._runners.items() if not runner.running and not runner.waiting]
            if not idle:
                return
            del self._runners[min(idle, key=lambda model: self._runners[model].used_at)]
        self.loading = self._unloaded[0].model
        self.loads += 1
        self._world.after(self.spec.load_seconds, self._loaded)

    def _loaded(self) -> None:
        model, self.loading = self.loading, None
        assert model is not None
        runner = self._open(model)
        mine = [each for each in self._unloaded if each.model == model]
        self._unloaded = deque(each for each in self._unloaded if each.model != model)
        for request in mine:
            request.load_seconds = self._world.now - request.sent
            if len(runner.running) < self.spec.slots:
                self._begin(runner, request)
            else:
                runner.waiting.append(request)
        self._load_next()

    def _open(self, model: str) -> _Runner:
        runner = self._runners[model] = _Runner(used_at=self._world.now)
        if self._world.caches is not None:
            runner.cache = self._world.caches.setdefault(model, OrderedDict())
        return runner

    def _begin(self, runner: _Runner, request: Request) -> None:
        now = self._world.now
        request.began = runner.used_at = now
        runner.running.add(request)
        uncached = request.prompt
        if request.prefix is not None:
            request.hit = request.prefix in runner.cache
            uncached -= request.shared if request.hit else 0
            runner.cache[request.prefix] = None
            runner.cache.move_to_end(request.prefix)
            if len(runner.cache) > self.spec.prefixes:
                runner.cache.popitem(last=False)
        request.first = now + max(1, uncached) / PREFILL_RATE / self.spec.speed
        request.done = request.first + request.output / DECODE_RATE / self.spec.speed
        self._world.at(request.first, self._world.policy.answered, request)
        self._world.at(request.done, self._done, runner, request)

    def _done(self, runner: _Runner, request: Request) -> None:
        runner.running.remove(request)
        runner.used_at = self._world.now
        self.in_flight -= 1
        self.by_model[request.model] -= 1
        if runner.waiting:
            self._begin(runner, runner.waiting.popleft())
        elif not runner.running:
            self._load_next()
        self._world.over(request)


class World:
    """The clock, the events to come, the servers and the policy over them."""

    def __init__(
        self, specs: Sequence[Spec], policy: Policy, requests: Sequence[Request], *, one_cache: bool = False
    ) -> None:
        self.now = 0.0
        self.caches: dict[str, OrderedDict[str, None]] | None = {} if one_cache else None
        """By model, where all servers share them: no real servers do."""
        self.policy = policy
        self.servers = {spec.name: Server(spec, self) for spec in specs}
        self.requests: list[Request] = []
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        policy.start(self)
        for request in requests:
            self.at(request.at, self._arrive, request)

    def at(self, when: float, do: Callable[..., None], *args: object) -> None:
        """Do this then; things of one moment in the order they were asked for."""
        self._count += 1
        heappush(self._events, (when, self._count, do, args))

    def after(self, seconds: float, do: Callable[..., None], *args: object) -> None:
        self.at(self.now + seconds, do, *args)

    def send(self, request: Request, server: str) -> None:
        """The policy has chosen."""
        request.server, request.sent = server, self.now
        self.servers[server].send(request)

    def over(self, request: Request) -> None:
        self.policy.ended(request)
        if request.follow is not None:
            after = request.follow(request.done)
            if after is not None:
                self.at(after.at, self._arrive, after)

    def run(self, until: float = math.inf) -> World:
        """Everything that happens until then, and nothing later."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, do, args = heappop(events)
            do(*args)
        return self

    @property
    def loads(self) -> int:
        return sum(server.loads for server in self.servers.values())

    def _arrive(self, request: Request) -> None:
        self.requests.append(request)
        self.policy.arrived(request)
