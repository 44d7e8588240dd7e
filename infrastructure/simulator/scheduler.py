"""Owns which models are loaded: the bounded queue before a load, serial loads, eviction, reloads, keep_alive.

A request for a loaded model with fitting options passes all of it. Everything else stands in one queue.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from infrastructure.simulator.golang import FOREVER, expiry
from infrastructure.simulator.models import Model
from infrastructure.simulator.options import LoadOptions
from infrastructure.simulator.records import Load, LoadOutcome, Unload, UnloadReason
from infrastructure.simulator.runner import Runner
from infrastructure.simulator.truth import Truth
from infrastructure.simulator.version import Version


class QueueFullError(Exception):
    """The queue before loading has no room: the server answers 503."""


class Loaded:
    """A runner with what the scheduler knows of it."""

    def __init__(self, runner: Runner, keep_alive: float) -> None:
        self.runner = runner
        self.keep_alive = keep_alive
        self.users = 0
        self.expires_at: float | None = None
        """Seconds since the epoch; set when it goes idle, and not moved while it is busy."""
        self.gone = asyncio.Event()
        self.reason = UnloadReason.EXPIRED
        self.timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Pending:
    model: Model
    options: LoadOptions
    keep_alive: float | None
    granted: asyncio.Future[Loaded]


class Scheduler:
    """Loads and unloads models, one at a time."""

    def __init__(
        self,
        *,
        start: Callable[[Model, LoadOptions], Runner],
        load_seconds: Callable[[Model], float],
        recovery_seconds: float,
        version: Version,
        truth: Truth,
        max_loaded: int,
        memory: int | None,
        max_queue: int,
        keep_alive: float,
        clock: Callable[[], float],
    ) -> None:
        self.loaded: dict[str, Loaded] = {}
        self._start = start
        self._load_seconds = load_seconds
        self._recovery_seconds = recovery_seconds
        self._version = version
        self._truth = truth
        self._max_loaded = max_loaded
        self._memory = memory
        self._max_queue = max_queue
        self._keep_alive = keep_alive
        self._clock = clock
        self._queue: deque[_Pending] = deque()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Serve the queue for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                await self._serve(self._queue.popleft())

    async def acquire(self, model: Model, options: LoadOptions, keep_alive: float | None) -> Loaded:
        """A runner for this model, loaded if need be. Give it back with `release`.

        Raises:
            QueueFullError: it is not loaded and too many wait for a load.
        """
        loaded = self.loaded.get(model.weights)
        if loaded is not None and not self._must_reload(loaded, options):
            return self._use(loaded, keep_alive)
        if len(self._queue) >= self._max_queue:
            raise QueueFullError
        future: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(model, options, keep_alive, future))
        self._arrived.set()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release(future.result())
            raise

    def release(self, loaded: Loaded) -> None:
        """One user less; the last one starts the keep_alive timer."""
        loaded.users -= 1
        if loaded.users or loaded.gone.is_set():
            return
        if loaded.keep_alive <= 0:
            self._unload(loaded)
            return
        loaded.expires_at = expiry(self._clock(), loaded.keep_alive)
        if loaded.keep_alive != FOREVER:
            loop = asyncio.get_running_loop()
            loaded.timer = loop.call_later(loaded.keep_alive, self._unload, loaded)

    def expire(self, model: Model) -> None:
        """Unload a model as soon as nobody uses it."""
        loaded = self.loaded.get(model.weights)
        if loaded is not None:
            self._expire(loaded, UnloadReason.ASKED)

    def kill(self, weights: str) -> None:
        """The model's process dies."""
        loaded = self.loaded.get(weights)
        if loaded is not None:
            loaded.reason = UnloadReason.KILLED
            self._unload(loaded)
            loaded.runner.kill()

    def close(self) -> None:
        """Drop every runner and whatever waits."""
        self._queue.clear()
        for weights in list(self.loaded):
            self.kill(weights)

    def expires_at(self, loaded: Loaded) -> float:
        """When `/api/ps` says that it goes, in seconds since the epoch."""
        return loaded.expires_at or expiry(self._clock(), loaded.keep_alive)

    # --------------------------------------------------------------------------- the queue

    async def _serve(self, pending: _Pending) -> None:
        while not pending.granted.done():
            loaded = self.loaded.get(pending.model.weights)
            if loaded is not None and not self._must_reload(loaded, pending.options):
                pending.granted.set_result(self._use(loaded, pending.keep_alive))
                return
            if loaded is not None:
                victim, reason = loaded, UnloadReason.RELOAD
            elif self._no_room_for(pending.model):
                victim, reason = self._victim(), UnloadReason.EVICTED
            else:
                await self._load(pending)
                return
            self._expire(victim, reason)
            await victim.gone.wait()
            if self._recovery_seconds:  # whoever waits for this load, and for the next ones, waits for that, too
                await asyncio.sleep(self._recovery_seconds)

    async def _load(self, pending: _Pending) -> None:
        """Load for one request; if it is cancelled meanwhile the load is lost."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        seconds = self._load_seconds(pending.model)
        aborted = True
        try:
            await asyncio.wait({pending.granted}, timeout=seconds)
            aborted = pending.granted.cancelled()
        finally:
            outcome = LoadOutcome.ABORTED if aborted else LoadOutcome.READY
            name = pending.model.name.shortest
            self._truth.loads.append(Load(name, pending.options.num_ctx, start, loop.time(), outcome))
        if not aborted:
            loaded = Loaded(self._start(pending.model, pending.options), self._keep_alive)
            self.loaded[pending.model.weights] = loaded
            pending.granted.set_result(self._use(loaded, pending.keep_alive))
        self._truth.noted()

    def _no_room_for(self, model: Model) -> bool:
        if len(self.loaded) >= self._max_loaded:
            return True
        taken = sum(loaded.runner.model.spec.size for loaded in self.loaded.values())
        return self._memory is not None and bool(self.loaded) and taken + model.spec.size > self._memory

    def _victim(self) -> Loaded:
        """Idle first, then the smallest keep_alive, then by the weights' digest."""
        return min(
            self.loaded.values(),
            key=lambda loaded: (loaded.users > 0, loaded.keep_alive, loaded.runner.model.weights),
        )

    def _must_reload(self, loaded: Loaded, options: LoadOptions) -> bool:
        return loaded.runner.options.forces_reload(options, self._version)

    # ------------------------------------------------------------------------ one runner

    def _use(self, loaded: Loaded, keep_alive: float | None) -> Loaded:
        loaded.users += 1
        if loaded.timer is not None:
            loaded.timer.cancel()
            loaded.timer = None
        if keep_alive is not None:
            loaded.keep_alive = keep_alive
        return loaded

    def _expire(self, loaded: Loaded, reason: UnloadReason) -> None:
        loaded.keep_alive, loaded.reason = 0.0, reason
        if not loaded.users:
            self._unload(loaded)

    def _unload(self, loaded: Loaded) -> None:
        if loaded.gone.is_set():
            return
        if loaded.timer is not None:
            loaded.timer.cancel()
        weights = loaded.runner.model.weights
        if self.loaded.get(weights) is loaded:
            del self.loaded[weights]
        loaded.gone.set()
        now = asyncio.get_running_loop().time()
        self._truth.unloads.append(Unload(loaded.runner.model.name.shortest, now, loaded.reason))
        self._truth.noted()
