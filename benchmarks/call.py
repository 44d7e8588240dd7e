"""What a small call costs the pool's own Python: queue, placement, account and states, over a wire in memory.

µs of CPU a call, 16 in flight, interpreted and compiled in turn, each round a process of its own. The least that any of
its repeats took is what a call costs undisturbed.

`python -m benchmarks.call [ROUNDS]`; `--round` is one round, in the form that the environment names.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import orjson

from benchmarks.contenders import text
from benchmarks.forms import environment, forms
from benchmarks.measuring import interleaved
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.transport import client
from infrastructure.transport.errors import Phase
from infrastructure.transport.wire import Ask

IN_FLIGHT, CALLS, REPEATS, ROUNDS = 16, 48, 250, 5
_FIGURES = {"total_duration": 9_000_000, "load_duration": 1_000_000, "prompt_eval_count": 6}
_ANSWER = {
    "response": " word",
    "done": True,
    "done_reason": "stop",
    "eval_count": 1,
    "eval_duration": 1_000,
    **_FIGURES,
}
_MODELS = {"models": [{"name": "s:latest", "model": "s:latest", "size": 1, "size_vram": 1, "digest": "s"}]}
ANSWERS = {
    "/api/generate": orjson.dumps(_ANSWER) + b"\n",
    "/api/tags": orjson.dumps(_MODELS),
    "/api/ps": orjson.dumps(_MODELS),
}


class _Reply:
    """An answer that is here whole."""

    status = 200
    ended = True

    def __init__(self, body: bytes) -> None:
        self._body = body

    def header(self, name: bytes) -> str:
        return ""

    async def receive(self, until: float) -> bytes:
        body, self._body = self._body, b""
        return body

    async def aclose(self) -> None:
        return


class _Wire:
    """Answers at once."""

    async def ask(self, ask: Ask, told: Callable[[Phase], None], *, fresh: bool) -> _Reply:
        told(Phase.FIRST_BYTE)
        return _Reply(ANSWERS[ask.path])

    async def aclose(self) -> None:
        return


@asynccontextmanager
async def a_pool() -> AsyncGenerator[OllamaConnectionPool]:
    """A pool over one server, that wire."""
    client.open_wire = lambda *_: _Wire()  # pyright: ignore[reportUnknownLambdaType]
    async with OllamaConnectionPool([ServerSettings(url="http://127.0.0.1:1", slots=IN_FLIGHT)]) as pool:
        yield pool


async def measure() -> list[float]:
    """Microseconds of CPU a call, for each repeat."""
    figures: list[float] = []
    async with a_pool() as pool:

        async def several(count: int) -> None:
            for _ in range(count):
                await pool.generate(model="s", prompt=text())

        await several(CALLS)
        gc.disable()
        for _ in range(REPEATS):
            before = time.process_time_ns()
            await asyncio.gather(*(several(CALLS // IN_FLIGHT) for _ in range(IN_FLIGHT)))
            figures.append((time.process_time_ns() - before) / 1000 / CALLS)
    return figures


def main(rounds: int = ROUNDS) -> str:
    """A table by form."""

    def run(form: str) -> list[float]:
        command = [sys.executable, "-m", "benchmarks.call", "--round"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(form))
        found: list[float] = json.loads(done.stdout)
        return found

    figures = interleaved({form: (lambda form=form: run(form)) for form in forms()}, rounds)
    lines = ["| form | undisturbed, each round | median |\n|---|---|---|"]
    for form, found in figures.items():
        least = ", ".join(f"{min(each):.0f}" for each in found)
        lines.append(f"| {form} | {least} | {statistics.median(min(each) for each in found):.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--round"]:
        print(json.dumps(asyncio.run(measure())))
    else:
        print(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
