"""Owns what all routes of one simulated server share: settings, models, scheduler, truth, clock, faults."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infrastructure.simulator.brains import Brains
from infrastructure.simulator.brains.tasks import Task
from infrastructure.simulator.golang import timestamp
from infrastructure.simulator.holding import Holds
from infrastructure.simulator.models import Model, ModelStore
from infrastructure.simulator.names import parse_name
from infrastructure.simulator.options import LoadOptions
from infrastructure.simulator.records import RequestRecord
from infrastructure.simulator.runner import Runner, Speed
from infrastructure.simulator.scheduler import Scheduler
from infrastructure.simulator.settings import SimulatorSettings
from infrastructure.simulator.toxics import Faults, Toxics
from infrastructure.simulator.truth import Truth
from infrastructure.simulator.version import VERSIONS, Version


class Clock:
    """The wall clock, moved on by the loop's clock so that both agree."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._offset = time.time() - loop.time()
        self._second = -1
        self._text = ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._offset + self._loop.time()

    def stamp(self) -> str:
        """Now, as Go prints it; made once a second but for its fraction."""
        now = self.now()
        whole = int(now)
        if whole != self._second:
            self._second, self._text = whole, timestamp(whole)[:-1]
        fraction = f".{int((now - whole) * 1e9):09d}".rstrip("0").rstrip(".")
        return f"{self._text}{fraction}Z"


@dataclass(slots=True)
class World:
    """One simulated server, but for its socket."""

    settings: SimulatorSettings
    version: Version
    models: ModelStore
    scheduler: Scheduler
    truth: Truth
    brains: Brains
    clock: Clock
    loop: asyncio.AbstractEventLoop
    holds: Holds
    faults: Faults
    toxics: Toxics

    def record(self, route: str, model: str, client_id: str | None) -> RequestRecord:
        """Log a request that begins now."""
        name = parse_name(model)
        shown = name.shortest if name else model
        number = len(self.truth.requests)
        record = RequestRecord(number, route, shown, self.loop.time(), client_id)
        self.truth.requests.append(record)
        self.truth.noted()
        return record

    def rng(self, number: int) -> random.Random:
        """The randomness of one request."""
        return random.Random(f"{self.settings.seed}/{number}")

    def kill_runner(self, model: str) -> None:
        """Let the process of a loaded model die.

        Raises:
            LookupError: no such model.
        """
        name = parse_name(model)
        found = self.models.find(name) if name else None
        if found is None:
            raise LookupError(model)
        self.scheduler.kill(found.weights)


def make_world(settings: SimulatorSettings, models: ModelStore, clock: Clock, tasks: Sequence[Task]) -> World:
    """A server with nothing loaded. Needs a running loop."""
    loop = asyncio.get_running_loop()
    version = VERSIONS[settings.version]
    truth = Truth()
    holds = Holds()
    scheduler = Scheduler(
        start=_starter(settings, version, truth, loop, holds),
        load_seconds=lambda model: (
            settings.time_scale
            * (settings.load_seconds if model.spec.load_seconds is None else model.spec.load_seconds)
        ),
        recovery_seconds=settings.time_scale * settings.recovery_seconds,
        version=version,
        truth=truth,
        max_loaded=settings.max_loaded_models,
        memory=settings.memory_bytes,
        max_queue=settings.max_queue,
        keep_alive=settings.keep_alive_seconds,
        clock=clock.now,
    )
    brains, seed = Brains(settings, tasks), settings.seed
    world = World(settings, version, models, scheduler, truth, brains, clock, loop, holds, Faults(seed), Toxics(seed))
    for model in models:
        world.faults.set(model.name.key, model.spec.fault)
    return world


def _starter(
    settings: SimulatorSettings, version: Version, truth: Truth, loop: asyncio.AbstractEventLoop, holds: Holds
) -> Callable[[Model, LoadOptions], Runner]:
    def start(model: Model, options: LoadOptions) -> Runner:
        spec = model.spec
        prefill = spec.prefill_tokens_per_second or settings.prefill_tokens_per_second
        decode = spec.decode_tokens_per_second or settings.decode_tokens_per_second
        slowdown = version.decode_slowdown if settings.decode_slowdown is None else settings.decode_slowdown
        restore = settings.restore_tokens_per_second or prefill * version.restore_speedup
        scale = settings.time_scale
        speed = Speed(scale / prefill, scale / decode, scale / restore, slowdown, scale * settings.put_away_seconds)
        parallel = 1 if spec.pooling else spec.num_parallel or settings.num_parallel
        kept = version.kept_prompts if settings.kept_prompts is None else settings.kept_prompts
        return Runner(model, options, speed, parallel, kept, truth, loop, holds, settings.loses_slots_every)

    return start
