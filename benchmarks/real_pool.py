"""The pool over real servers, beside plain ways to share them: `python -m benchmarks.real_pool [TABLE …] [OPTIONS]`.

Needs a real Ollama (docs/real-server.md, `benchmarks/real_servers.py`); skips where there is none. The options name
other models and sizes: what suits two cores says little of a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.real_routers import (
    CentralQueue,
    Corral,
    LeastConnections,
    Load,
    RoundRobin,
    Router,
    Told,
    corral,
)
from benchmarks.real_servers import RealServer, binary, real_server

CONTENDERS = ("round robin", "least connections", "central queue", "corral", "corral, told nothing")


@dataclass(frozen=True)
class Sizes:
    """What is asked, and of which models."""

    load: Load
    model: str
    """Of the tables with one model."""
    other: str
    """What it has to make room for."""
    mix: Mapping[str, int]
    """Shares of the calls by model; the first two are loaded at the start."""
    large_mix: Mapping[str, int]
    calls: int
    """Of a mix."""
    tokens: int
    """Of each answer of a mix and of a backlog."""
    backlog: int
    """Calls of a backlog."""
    seconds: float
    """In which the calls of a mix come."""
    rounds: int
    contenders: Sequence[str]
    """Of a mix."""


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def router(
    name: str, servers: Sequence[RealServer], mix: Sequence[str], load: Load, stack: AsyncExitStack
) -> Router:
    """A contender over these servers."""
    urls = [server.url for server in servers]
    if name == "round robin":
        return RoundRobin(urls, load)
    if name == "least connections":
        return LeastConnections(urls, load)
    if name == "central queue":
        return CentralQueue(urls, load, 2, mix)
    known = name == "corral"
    return await stack.enter_async_context(
        corral(urls, mix, load, slots=2 if known else None, loaded=1 if known else None)
    )


async def mixed(name: str, sizes: Sizes, mix: Mapping[str, int], tokens: int, seed: int) -> tuple[int, list[Told]]:
    """One contender's turn: loads, and what came of each call."""
    chance = random.Random(seed)
    plan = sorted(chance.uniform(0, sizes.seconds) for _ in range(sizes.calls))
    models = chance.choices(list(mix), list(mix.values()), k=sizes.calls)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
        held = list(mix)[:2]
        for server, model in zip(servers, held, strict=True):
            await server.warm(model, sizes.load.options)
        before = sum(server.loads for server in servers)
        ours = await router(name, servers, held if name == "central queue" else list(mix), sizes.load, stack)
        begun = asyncio.get_running_loop().time()

        async def one(at: float, model: str, number: int) -> Told:
            await asyncio.sleep(begun + at - asyncio.get_running_loop().time())
            return await ours.call(model, f"call {number}", tokens)

        told = await asyncio.gather(
            *(one(at, model, number) for number, (at, model) in enumerate(zip(plan, models, strict=True)))
        )
        return sum(server.loads for server in servers) - before, told


async def table_mixed(sizes: Sizes, mix: Mapping[str, int], tokens: int) -> None:
    """Two servers that hold one model each, and more models than that."""
    names = sizes.contenders
    figures: dict[str, list[tuple[int, float, float, float]]] = {name: [] for name in names}
    for number in range(sizes.rounds):
        for name in random.Random(number).sample(names, len(names)):
            loads, told = await mixed(name, sizes, mix, tokens, number)
            seconds = [each.seconds for each in told]
            figures[name].append((loads, statistics.mean(seconds), quantile(seconds, 0.95), max(seconds)))
    shares = ", ".join(f"{model} {share} %" for model, share in mix.items())
    print(f"\n{shares}; {sizes.calls} calls of {tokens} tokens in {sizes.seconds:.0f} s\n")
    print("| | loads | mean, s | p95, s | slowest, s |\n|---|---|---|---|---|")
    for name, rows in figures.items():
        loads, mean, p95, slowest = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {name} | {loads:.0f} | {mean:.1f} | {p95:.1f} | {slowest:.1f} |", flush=True)


async def table_starving(sizes: Sizes) -> None:
    """A call for another model while the first one has a backlog, one server."""
    model, other, tokens = sizes.model, sizes.other, sizes.tokens
    calls = f"{sizes.backlog} calls of {tokens} tokens"
    print(f"\nA call for `{other}` while {calls} wait for `{model}`, one server, two slots\n")
    print("| | its latency, s | all the others done after, s |\n|---|---|---|")
    for name in ("round robin", "corral"):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(real_server())
            await server.warm(model, sizes.load.options)
            ours = await router(name, [server], [model, other], sizes.load, stack)
            for each in (other, model):  # so that it is known what a load takes, by whoever wants to know
                await ours.call(each, "once", 5)
            begun = asyncio.get_running_loop().time()
            backlog = [asyncio.create_task(ours.call(model, f"b{n}", tokens)) for n in range(sizes.backlog)]
            await asyncio.sleep(0.5)
            told = await ours.call(other, "hello", 50)
            await asyncio.gather(*backlog)
            elapsed = asyncio.get_running_loop().time() - begun
            print(f"| {name} | {told.seconds:.2f} | {elapsed:.1f} |", flush=True)


async def table_slots(sizes: Sizes) -> None:
    """Slots that nobody told: after how many calls they are known, and how busy they are kept."""
    print("\nSlots that are learned: NUM_PARALLEL, limit after 20 calls, after 60; busy share of 60 calls' time\n")
    print("| NUM_PARALLEL | after 20 | after 60 | busy under backlog |\n|---|---|---|---|")
    for parallel in (1, 2, 4):
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(real_server(parallel=parallel))
            await server.warm(sizes.model, sizes.load.options)
            ours = await stack.enter_async_context(corral([server.url], [sizes.model], sizes.load, slots=None))
            early, late, busy = await learning(ours, server, sizes.model, parallel)
            print(f"| {parallel} | {early} | {late} | {100 * busy:.1f} % |", flush=True)


async def learning(ours: Corral, server: RealServer, model: str, parallel: int) -> tuple[int, int, float]:
    """The slots known after 20 calls and after 60, and the share of the later 40 calls' time they were busy."""
    berths = ours.pool._dispatcher.scheduler.servers[server.url].berths
    await asyncio.gather(*(ours.call(model, f"s{n}", 100) for n in range(20)))
    early = [berth.learner.proven for berth in berths.values()]
    begun = asyncio.get_running_loop().time()
    told = await asyncio.gather(*(ours.call(model, f"s{n}", 100) for n in range(40)))
    elapsed = asyncio.get_running_loop().time() - begun
    late = [berth.learner.proven for berth in berths.values()]
    busy = sum(each.times[-1] - each.times[0] + each.prompt_seconds for each in told) / (elapsed * parallel)
    return early[0], late[0], busy


async def table_cancel(sizes: Sizes) -> None:
    """The only slot's call is cancelled while it writes: how soon the next one has its first token."""
    print(
        f"\nFirst token after the only slot's call is cancelled, and of an idle server, `{sizes.model}`, 20 times (ms)"
        "\n"
    )
    print("| | p50 | slowest |\n|---|---|---|")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(real_server(parallel=1))
        await server.warm(sizes.model, sizes.load.options)
        ours = await stack.enter_async_context(corral([server.url], [sizes.model], sizes.load, slots=1))
        for name, cancels in (("idle", False), ("cancelled", True)):
            firsts = [await first_after(ours, sizes.model, number, cancels=cancels) for number in range(20)]
            print(f"| {name} | {1000 * statistics.median(firsts):.1f} | {1000 * max(firsts):.1f} |", flush=True)


async def first_after(ours: Corral, model: str, number: int, *, cancels: bool) -> float:
    """Seconds to a call's first token, counted from the cancel of a call under way, or with nothing under way."""
    if cancels:
        options = {"num_predict": 4000}
        async with ours.pool.stream_generate(model=model, prompt=f"endless {number}", options=options) as stream:
            await anext(stream)
            begun = time.perf_counter()
    else:
        begun = time.perf_counter()
    told = await ours.call(model, f"next {number}", 2)
    return told.times[0] - begun


async def table_prefix(sizes: Sizes) -> None:
    """Conversations that go on, over two servers: time of prompt evaluation."""
    model = sizes.model
    print(f"\n8 conversations of 6 turns over two servers, `{model}`: seconds of prompt evaluation, all calls\n")
    print("| | prompt evaluation, s |\n|---|---|")
    for name in ("round robin", "corral"):
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
            for server in servers:
                await server.warm(model, sizes.load.options)
            ours = await router(name, servers, [model], sizes.load, stack)

            async def talk(number: int, ours: Router = ours) -> float:
                text, spent = f"conversation {number} " + "of many words " * 40, 0.0
                for turn in range(6):
                    text += f" turn {turn} " + "and more words " * 15
                    spent += (await ours.call(model, text, 20, prefix=f"c{number}")).prompt_seconds
                return spent

            spent = await asyncio.gather(*(talk(number) for number in range(8)))
            print(f"| {name} | {sum(spent):.2f} |", flush=True)


async def table_gaps(sizes: Sizes) -> None:
    """A person's stream while batch calls with long prompts keep every slot busy, two servers."""
    print("\nGaps in a person's stream (ms) while long-prompt batch calls keep two servers busy\n")
    print("| | p50 | p99 | slowest |\n|---|---|---|---|")
    for name in ("alone", "round robin", "corral"):
        gaps = await gaps_beside(name, sizes)
        p50, p99 = quantile(gaps, 0.5), quantile(gaps, 0.99)
        print(f"| {name} | {p50:.1f} | {p99:.1f} | {max(gaps):.0f} |", flush=True)


async def gaps_beside(name: str, sizes: Sizes) -> list[float]:
    """Milliseconds between the pieces of three answers to a person."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(real_server()) for _ in range(2)]
        for server in servers:
            await server.warm(sizes.model, sizes.load.options)
        ours = await router("round robin" if name == "alone" else name, servers, [sizes.model], sizes.load, stack)
        ended = asyncio.Event()

        async def job(number: int) -> None:
            turn = 0
            while not ended.is_set():
                turn += 1
                prompt = f"job {number} {turn} " + "words of a long prompt " * 160
                await ours.call(sizes.model, prompt, 60, band="batch")

        jobs = [] if name == "alone" else [asyncio.create_task(job(number)) for number in range(6)]
        await asyncio.sleep(0 if name == "alone" else 4)
        gaps: list[float] = []
        for number in range(3):
            times = (await ours.call(sizes.model, f"person {number}", 300, band="interactive")).times
            gaps += [1000 * (after - before) for before, after in itertools.pairwise(times)]
        ended.set()
        await asyncio.gather(*jobs)
        return gaps


TABLES: Mapping[str, Callable[[Sizes], Awaitable[None]]] = {
    "mixed": lambda sizes: table_mixed(sizes, sizes.mix, sizes.tokens),
    "large": lambda sizes: table_mixed(sizes, sizes.large_mix, 60),
    "starving": table_starving,
    "slots": table_slots,
    "cancel": table_cancel,
    "prefix": table_prefix,
    "gaps": table_gaps,
}


def shares(text: str) -> dict[str, int]:
    """`MODEL=SHARE,…` of the command line; a model's name may have a colon."""
    return {model: int(share) for model, share in (part.split("=") for part in text.split(","))}


def wanted() -> tuple[Sequence[str], Sizes]:
    """The tables and sizes that the command line names."""
    line = argparse.ArgumentParser(description=__doc__)
    line.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all")
    line.add_argument("--model", default="noise-small", help="of the tables with one model")
    line.add_argument("--other", default="endless", help="what that one has to make room for")
    line.add_argument("--mix", type=shares, default=shares("noise-small=45,endless=35,words=20"))
    line.add_argument("--large-mix", type=shares, default=shares("noise-large=45,endless=35,noise-small=20"))
    line.add_argument("--calls", type=int, default=100, help="of a mix")
    line.add_argument("--tokens", type=int, default=600, help="of each answer of a mix and of a backlog")
    line.add_argument("--backlog", type=int, default=60, help="calls that wait before the one for the other model")
    line.add_argument("--seconds", type=float, default=25.0, help="in which the calls of a mix come")
    line.add_argument("--rounds", type=int, default=int(os.environ.get("CORRAL_ROUNDS", "3")))
    line.add_argument(
        "--contender", action="append", dest="contenders", choices=CONTENDERS, help="of a mix; again for another; all"
    )
    line.add_argument("--window", type=int, default=8192, help="num_ctx of every load")
    line.add_argument("--threads", type=int, default=1, help="num_thread of every load; 0: the server's own choice")
    given = vars(line.parse_args())
    given["contenders"] = given["contenders"] or CONTENDERS
    tables = given.pop("tables") or list(TABLES)
    if unknown := set(tables) - set(TABLES):
        line.error(f"no such table: {', '.join(sorted(unknown))}")
    load = Load(window=given.pop("window"), threads=given.pop("threads"))
    return tables, Sizes(load=load, **given)


async def main(names: Sequence[str], sizes: Sizes) -> None:
    for name in names:
        await TABLES[name](sizes)


if __name__ == "__main__":
    chosen = wanted()
    if binary() is not None:
        asyncio.run(main(*chosen))
