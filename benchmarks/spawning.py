"""Starting a program from the server's process: how long its event loop stands still, and what it costs.

Contenders, in one process that has imported all the server has, on each event loop, a block of starts in turn:

- Corral: `run_process`, by vfork.
- the loop's: `loop.subprocess_exec`, as `asyncio.create_subprocess_exec` does it; on uvloop a fork that runs Python.
- floor: `subprocess.Popen` in the loop, with the same pipes, waited for.

Standing still is how long the call that starts it keeps the loop; for Corral and the floor that is until the program
has begun. CPU is this process's own, start to end, a program that does nothing.
`python -m benchmarks.spawning [--rounds N] [--starts N]`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence

import backend.bootstrap
import backend.server  # noqa: F401 - the size of a process is what a fork costs
from backend.looping import loop_name, run_in_loop
from infrastructure.processes import child, run_process

PROGRAM = ("/bin/true",)
ROUNDS, STARTS = 5, 50
Start = Callable[[list[float]], Awaitable[None]]


async def corral(stood: list[float]) -> None:
    """`run_process`; what keeps the loop is the start of its `Child`."""
    begin = child.Child.__init__

    def timed(*arguments: object, **named: object) -> None:
        before = time.perf_counter()
        begin(*arguments, **named)  # type: ignore[arg-type]
        stood.append(time.perf_counter() - before)

    child.Child.__init__ = timed  # type: ignore[method-assign]
    try:
        await run_process(PROGRAM, cwd=None, env={}, timeout=60)
    finally:
        child.Child.__init__ = begin  # type: ignore[method-assign]


async def loops(stood: list[float]) -> None:
    """`asyncio.create_subprocess_exec`, which comes to the loop's own way without giving way before."""
    before = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
        start_new_session=True,
    )  # fmt: skip
    stood.append(time.perf_counter() - before)
    await process.communicate()


async def floor(stood: list[float]) -> None:
    """`subprocess.Popen`, then wait; blocks to the end."""
    before = time.perf_counter()
    with subprocess.Popen(  # noqa: ASYNC220 - that is what it is the floor of
        PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
        start_new_session=True,
    ) as process:  # fmt: skip
        stood.append(time.perf_counter() - before)
        process.communicate()


CONTENDERS: dict[str, Start] = {"Corral": corral, "the loop's": loops, "floor": floor}


async def measure(rounds: int, starts: int) -> dict[str, tuple[list[float], list[float]]]:
    """By contender: seconds of each start, and CPU seconds a program of each round."""
    found = {name: (list[float](), list[float]()) for name in CONTENDERS}
    for number in range(rounds + 1):
        for name in random.Random(number).sample(tuple(CONTENDERS), len(CONTENDERS)):
            stood, cpu = list[float](), time.process_time()
            for _ in range(starts):
                await CONTENDERS[name](stood)
            if number:  # the first is to warm up
                found[name][0].extend(stood)
                found[name][1].append((time.process_time() - cpu) / starts)
    return found


def told(found: dict[str, tuple[list[float], list[float]]]) -> None:
    """Print a table."""
    base = statistics.median(found["floor"][1])
    print("| | stands still, ms: median | p99 | CPU a program, ms | to the floor |\n|---|---|---|---|---|")
    for name, (stood, cpu) in found.items():
        typical = statistics.median(cpu)
        p99 = sorted(stood)[int(len(stood) * 0.99)]
        figures = (statistics.median(stood) * 1e3, p99 * 1e3, typical * 1e3)
        print(f"| {name} | {' | '.join(f'{each:.2f}' for each in figures)} | {typical / base:.1f} |")


async def main(rounds: int, starts: int) -> None:
    """On the loop that runs."""
    print(f"\n{loop_name()}:")
    told(await measure(rounds, starts))


def parsed(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--starts", type=int, default=STARTS)
    return parser.parse_args(words)


if __name__ == "__main__":
    asked = parsed()
    for fast in (True, False):
        run_in_loop(lambda: main(asked.rounds, asked.starts), fast=fast)
