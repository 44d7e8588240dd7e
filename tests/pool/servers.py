"""Simulated servers and the models the pool's tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from infrastructure.config.settings import PhaseLimits, PoolSettings, ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.simulator import Fault, FaultKind, ModelSpec, Simulator, SimulatorSettings

WORDS = ModelSpec(name="words", text="one two three four five")
OTHER = ModelSpec(name="other", text="something else")
ENDLESS = ModelSpec(name="endless", pieces=("again", " and"), loop_to=0)
EMBEDDER = ModelSpec(name="embedder", brain="embedder", pooling=True)
MODELS = (WORDS, OTHER, ENDLESS, EMBEDDER)

QUICK = PoolSettings(phases=PhaseLimits(connect=5, queue=30, first_byte=30, between_tokens=30, total=60))


def simulator(
    models: Sequence[ModelSpec] = MODELS, *, slots: int = 1, time_scale: float = 0, port: int = 0, **more: float
) -> Simulator:
    """A simulated server; instant unless it is given a pace."""
    return Simulator(
        SimulatorSettings(models=tuple(models), num_parallel=slots, time_scale=time_scale, port=port, **more)
    )


def paced(
    models: Sequence[ModelSpec] = MODELS, *, slots: int = 1, tokens_per_second: float = 200, **more: float
) -> Simulator:
    """A server whose tokens take their time, so that a stream can be met in its middle."""
    pace = {"time_scale": 1, "decode_tokens_per_second": tokens_per_second, "load_seconds": 0}
    return simulator(models, slots=slots, **pace, **more)


@asynccontextmanager
async def pool_over(
    *simulators: Simulator, slots: int = 1, settings: PoolSettings = QUICK, lanes=None
) -> AsyncIterator[OllamaConnectionPool]:
    """A pool over started simulators, all of which are stopped in the end."""
    async with AsyncExitStack() as stack:
        for each in simulators:
            await stack.enter_async_context(each)
        servers = [
            ServerSettings(url=each.url, name=f"gpu{number}", slots=slots) for number, each in enumerate(simulators)
        ]
        yield await stack.enter_async_context(OllamaConnectionPool(servers, settings=settings, lanes=lanes))


def faulty(kind: FaultKind, *, after_chunks: int = 0, times: int | None = None, name: str = "words") -> ModelSpec:
    """The model `words`, which misbehaves."""
    return WORDS.model_copy(update={"name": name, "fault": Fault(kind=kind, after_chunks=after_chunks, times=times)})


def ask(text: str = "hi") -> list[dict[str, str]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]
