"""Simulated servers in processes of their own that have the speeds, slots and memory of a workload's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import orjson

from benchmarks.hosting import hosted
from benchmarks.virtual import DECODE_RATE, PREFILL_RATE, Spec
from infrastructure.simulator import ModelSpec, SimulatorSettings

WINDOW = 32768
DAY_SECONDS = 86400.0


def _settings(spec: Spec, models: Iterable[str], faster: float) -> SimulatorSettings:
    return SimulatorSettings(
        models=tuple(ModelSpec(name=name, pieces=("alpha", " bravo"), loop_to=0) for name in models),
        num_parallel=spec.slots,
        max_loaded_models=spec.places,
        num_ctx=WINDOW,
        keep_alive_seconds=DAY_SECONDS,
        load_seconds=spec.load_seconds,
        prefill_tokens_per_second=spec.speed * PREFILL_RATE,
        decode_tokens_per_second=spec.speed * DECODE_RATE,
        decode_slowdown=0,
        kept_prompts=spec.prefixes,
        time_scale=1 / faster,
    )


@asynccontextmanager
async def simulated(specs: Sequence[Spec], models: Iterable[str], faster: float) -> AsyncGenerator[list[str]]:
    """Their addresses; each has its first models in memory, and all its durations are divided by `faster`."""
    models = tuple(models)
    async with AsyncExitStack() as stack, httpx.AsyncClient(timeout=60) as http:
        urls: list[str] = []
        for spec in specs:
            settings = _settings(spec, models, faster).model_dump_json()
            url = (await stack.enter_async_context(hosted("benchmarks.hosting", settings))).said["url"]
            for model in spec.loaded:
                (await http.post(f"{url}/api/generate", json={"model": model})).raise_for_status()
            urls.append(url)
        yield urls


async def truth_of(url: str) -> dict[str, Any]:
    """A server's own log."""
    async with httpx.AsyncClient(timeout=60) as http:
        return orjson.loads((await http.get(f"{url}/simulator/truth")).raise_for_status().content)
