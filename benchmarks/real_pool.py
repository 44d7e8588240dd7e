"""The pool over real servers, beside plain ways to share them: `python -m benchmarks.real_pool [TABLE …]`.

Needs a real Ollama (docs/real-server.md, `benchmarks/real_servers.py`); skips where there is none.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.real_routers import (
    LOAD_OPTIONS,
    CentralQueue,
    LeastConnections,
    RoundRobin,
    Router,
    Told,
    corral,
)
from benchmarks.real_servers import RealServer, binary, real_server

ROUNDS = int(os.environ.get("CORRAL_ROUNDS", "3"))
MIX = {"noise-small": 45, "endless": 35, "words": 20}
LARGE_MIX = {"noise-large": 45, "endless": 35, "noise-small": 20}
CALLS, TOKENS, SECONDS = 100, 600, 25.0
CONTENDERS = ("round robin", "least connections", "central queue", "corral", "corral, told nothing")


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def router(name: str, servers: Sequence[RealServer], mix: Sequence[str], stack: AsyncExitStack) -> Router:
    """A contender over these servers."""
    urls = [server.url for server in servers]
    if name == "round robin":
        return RoundRobin(urls)
    if name == "least connections":
        return LeastConnections(urls)
    if name == "central queue":
        return CentralQueue(urls, 2, mix)
    known = name == "corral"
    return await stack.enter_async_context(corral(urls, mix, slots=2 if known else None, loaded=1 if known else None))


async def mixed(name: str, mix: dict[str, int], tokens: int, seed: int) -> tuple[int, list[Told]]:
    """One contender's turn: loads, and what came of each call."""
    chance = random.Random(seed)
    plan = sorted(chance.uniform(0, SECONDS) for _ in range(CALLS))
    models = chance.choices(list(mix), list(mix.values()), k=CALLS)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
        held = list(mix)[:2]
        for server, model in zip(servers, held, strict=True):
            await server.warm(model, LOAD_OPTIONS)
        before = sum(server.loads for server in servers)
        ours = await router(name, servers, held if name == "central queue" else list(mix), stack)
        begun = asyncio.get_running_loop().time()

        async def one(at: float, model: str, number: int) -> Told:
            await asyncio.sleep(begun + at - asyncio.get_running_loop().time())
            return await ours.call(model, f"call {number}", tokens)

        told = await asyncio.gather(
            *(one(at, model, number) for number, (at, model) in enumerate(zip(plan, models, strict=True)))
        )
        return sum(server.loads for server in servers) - before, told


async def table_mixed(mix: dict[str, int], tokens: int) -> None:
    """Two servers that hold one model each, three models."""
    figures: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in CONTENDERS}
    for number in range(ROUNDS):
        for name in random.Random(number).sample(CONTENDERS, len(CONTENDERS)):
            loads, told = await mixed(name, mix, tokens, number)
            seconds = [each.seconds for each in told]
            figures[name].append((loads, statistics.mean(seconds), quantile(seconds, 0.95), max(seconds)))
    print(f"\n{', '.join(f'{model} {share} %' for model, share in mix.items())}; {CALLS} calls in {SECONDS:.0f} s\n")
    print("| | loads | mean, s | p95, s | slowest, s |\n|---|---|---|---|---|")
    for name, rows in figures.items():
        loads, mean, p95, slowest = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {loads:.0f} | {mean:.1f} | {p95:.1f} | {slowest:.1f} |")


async def table_starving() -> None:
    """A call for another model while the first one has a backlog, one server."""
    print("\nA call for `endless` while 20 calls of 600 tokens wait for `noise-small`, one server, two slots\n")
    print("| | its latency, s | all the others done after, s |\n|---|---|---|")
    for name in ("round robin", "corral"):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(real_server())
            await server.warm("noise-small", LOAD_OPTIONS)
            ours = await router(name, [server], ["noise-small", "endless"], stack)
            begun = asyncio.get_running_loop().time()
            backlog = [asyncio.create_task(ours.call("noise-small", f"b{n}", TOKENS)) for n in range(20)]
            await asyncio.sleep(0.5)
            other = await ours.call("endless", "hello", 50)
            await asyncio.gather(*backlog)
            print(f"| {name} | {other.seconds:.2f} | {asyncio.get_running_loop().time() - begun:.1f} |")


async def table_slots() -> None:
    """Slots that nobody told: after how many calls they are known, and how busy they are kept."""
    print("\nSlots that are learned: NUM_PARALLEL, limit after 20 calls, after 60; busy share of 60 calls' time\n")
    print("| NUM_PARALLEL | after 20 | after 60 | busy under backlog |\n|---|---|---|---|")
    for parallel in (1, 2, 4):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(real_server(parallel=parallel))
            await server.warm("noise-small", LOAD_OPTIONS)
            ours = await stack.enter_async_context(corral([server.url], ["noise-small"], slots=None))
            berths = ours.pool._dispatcher.scheduler.servers[server.url].berths
            await asyncio.gather(*(ours.call("noise-small", f"s{n}", 100) for n in range(20)))
            early = [berth.learner.proven for berth in berths.values()]
            begun = asyncio.get_running_loop().time()
            told = await asyncio.gather(*(ours.call("noise-small", f"s{n}", 100) for n in range(40)))
            elapsed = asyncio.get_running_loop().time() - begun
            late = [berth.learner.proven for berth in berths.values()]
            busy = sum(each.times[-1] - each.times[0] + each.prompt_seconds for each in told) / (elapsed * parallel)
            print(f"| {parallel} | {early[0]} | {late[0]} | {100 * busy:.1f} % |")


async def table_prefix() -> None:
    """Conversations that go on, over two servers: time of prompt evaluation."""
    print("\n8 conversations of 6 turns over two servers, `noise-small`: seconds of prompt evaluation, all calls\n")
    print("| | prompt evaluation, s |\n|---|---|")
    for name in ("round robin", "corral"):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
            for server in servers:
                await server.warm("noise-small", LOAD_OPTIONS)
            ours = await router(name, servers, ["noise-small"], stack)

            async def talk(number: int, ours: Router = ours) -> float:
                text, spent = f"conversation {number} " + "of many words " * 40, 0.0
                for turn in range(6):
                    text += f" turn {turn} " + "and more words " * 15
                    spent += (await ours.call("noise-small", text, 20, prefix=f"c{number}")).prompt_seconds
                return spent

            spent = await asyncio.gather(*(talk(number) for number in range(8)))
            print(f"| {name} | {sum(spent):.2f} |")


async def table_gaps() -> None:
    """A person's stream while batch calls with long prompts keep every slot busy, two servers."""
    print("\nGaps in a person's stream (ms) while long-prompt batch calls keep two servers busy\n")
    print("| | p50 | p99 | slowest |\n|---|---|---|---|")
    for name in ("alone", "round robin", "corral"):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
            for server in servers:
                await server.warm("noise-small", LOAD_OPTIONS)
            ours = await router("round robin" if name == "alone" else name, servers, ["noise-small"], stack)
            ended = asyncio.Event()

            async def job(number: int, ours: Router = ours, ended: asyncio.Event = ended) -> None:
                turn = 0
                while not ended.is_set():
                    turn += 1
                    prompt = f"job {number} {turn} " + "words of a long prompt " * 160
                    await ours.call("noise-small", prompt, 60, band="batch")

            jobs = [] if name == "alone" else [asyncio.create_task(job(number)) for number in range(6)]
            await asyncio.sleep(0 if name == "alone" else 4)
            gaps: list[float] = []
            for number in range(3):
                times = (await ours.call("noise-small", f"person {number}", 300, band="interactive")).times
                gaps += [1000 * (after - before) for before, after in itertools.pairwise(times)]
            ended.set()
            await asyncio.gather(*jobs)
            print(f"| {name} | {quantile(gaps, 0.5):.1f} | {quantile(gaps, 0.99):.1f} | {max(gaps):.0f} |")


TABLES = {
    "mixed": lambda: table_mixed(MIX, TOKENS),
    "large": lambda: table_mixed(LARGE_MIX, 60),
    "starving": table_starving,
    "slots": table_slots,
    "prefix": table_prefix,
    "gaps": table_gaps,
}


async def main(names: Sequence[str]) -> None:
    for name in names or TABLES:
        await TABLES[name]()


if __name__ == "__main__":
    if binary() is not None:
        asyncio.run(main(sys.argv[1:]))
