"""Settings that change under load: `python -m benchmarks.reload [--reloads N] [--callers N]`.

Four simulated servers in processes of their own, an application that watches a settings file, and callers that keep so
many calls in flight. A file is written every moment: servers come, go, come back and change slots and tokens, lanes and
limits change, and every fourth file cannot be used. What became of each call, and how often the servers saw it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backend.bootstrap import open_application
from benchmarks.hosting import hosted
from infrastructure.config.load import load_settings
from infrastructure.config.manager import ConfigSource, ConfigurationManager, News, NotReloaded
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.transport.errors import OllamaError

SERVERS, SLOTS = 4, 32
RELOADS, CALLERS = 24, 200
INVALID_EVERY = 4
TEXT = " ".join(f"word{number}" for number in range(20))
PAUSE_SECONDS = 0.5
"""Between what became of one file and the next one."""


@dataclass
class Account:
    """What came of the calls."""

    done: int = 0
    failed: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    asked: list[int] = field(default_factory=list[int])
    hedged: int = 0
    """Calls that were late and asked a second server as well, by the pool's count."""
    moved: int = 0


@dataclass
class Told:
    """What became of each file, and how long after it was written."""

    seconds: list[float] = field(default_factory=list[float])
    reloaded: int = 0
    refused: int = 0
    changes: Counter[str] = field(default_factory=Counter[str])
    written_at: float = 0.0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, news: News) -> None:
        """Note one."""
        self.seconds.append(time.monotonic() - self.written_at)
        if isinstance(news, NotReloaded):
            self.refused += 1
        else:
            self.reloaded += 1
            self.changes.update(name.partition("[")[0].partition(".")[0] for name in news.changed)
        self.heard.set()


class Callers:
    """Ask one call after the other until told to stop. Each call has a seed of its own, which servers write down."""

    def __init__(self, pool: OllamaConnectionPool) -> None:
        self.account = Account()
        self._pool = pool
        self._numbers = itertools.count()
        self._over = False

    def stop(self) -> None:
        """Let the calls in hand be the last ones."""
        self._over = True

    async def ask_on(self) -> None:
        """One caller."""
        account = self.account
        while not self._over:
            number = next(self._numbers)
            account.asked.append(number)
            model = ("words", "coder")[number % 2]
            try:
                reply = await self._pool.chat(
                    model=model, messages=[{"role": "user", "content": f"{number} please"}], options={"seed": number}
                )
            except OllamaError as error:
                account.failed.append(repr(error))
            else:
                account.done += reply.text == TEXT
                if reply.text != TEXT:
                    account.wrong.append(reply.text)


def text_of(urls: Sequence[str], rng: random.Random, number: int) -> str:
    """A settings file: some of the servers, in some order, and other lanes and limits. `coder` is always a lane."""
    if number % INVALID_EVERY == INVALID_EVERY - 1:
        return rng.choice(("[pool\n", "[pool]\nqueue_length = 0\n", "servers = [5]\n", "[pool]\nnum_predct = 5\n"))
    named = rng.sample(list(urls), rng.randint(1, len(urls)))
    lines: list[str] = []
    for url in named:
        lines += ["[[servers]]", f'url = "{url}"', f"slots = {rng.randint(SLOTS // 2, SLOTS)}"]
        if rng.random() < 0.3:  # which is sent with other connections
            lines.append(f'token = "secret-{number}"')
    lines += ["[lanes.coder]", f'model = "{rng.choice(("words", "other"))}"', f'keep_alive = "{5 + number}m"']
    lines += ["[pool]", f"queue_length = {1000 + number}", f"num_predict = {2000 + number}"]
    return "\n".join(lines) + "\n"


async def measured(reloads: int, callers: int, seed: int) -> tuple[Account, Told, Counter[int]]:
    """One run: so many files, under so many calls."""
    models = tuple(ModelSpec(name=name, text=TEXT) for name in ("words", "other"))
    server = SimulatorSettings(models=models, num_parallel=SLOTS, decode_tokens_per_second=60, load_seconds=0.05)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [
            (await stack.enter_async_context(hosted("benchmarks.hosting", server.model_dump_json()))).said["url"]
            for _ in range(SERVERS)
        ]
        file, rng, told = folder / "corral.toml", random.Random(seed), Told()
        await asyncio.to_thread(file.write_text, text_of(urls, rng, 0))
        flags = {"paths.data": str(folder / "data")}
        source = ConfigSource(file, lambda: load_settings(file, {}, flags))
        config = await asyncio.to_thread(ConfigurationManager.begin, source)
        app = await stack.enter_async_context(open_application(config.current, config=config))
        config.subscribe(told)
        await stack.enter_async_context(config.watching())
        asking = Callers(app.pool)
        tasks = [asyncio.create_task(asking.ask_on()) for _ in range(callers)]
        for number in range(1, reloads + 1):
            await asyncio.sleep(PAUSE_SECONDS)
            told.heard.clear()
            told.written_at = time.monotonic()
            await asyncio.to_thread(_write, file, text_of(urls, rng, number), by_renaming=number % 2 == 0)
            await told.heard.wait()
        await asyncio.sleep(PAUSE_SECONDS)
        asking.stop()
        await asyncio.gather(*tasks)
        counts = app.pool.snapshot().calls
        asking.account.hedged, asking.account.moved = counts.hedged, counts.moved
        return asking.account, told, await _seen(urls)


def _write(file: Path, text: str, *, by_renaming: bool) -> None:
    if by_renaming:
        beside = file.with_name(".corral.toml.swp")
        beside.write_text(text)
        beside.replace(file)
    else:
        file.write_text(text)


async def _seen(urls: Sequence[str]) -> Counter[int]:
    """How often the servers saw each call, by its seed."""
    seen: Counter[int] = Counter()
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        for url in urls:
            truth = (await client.get(f"{url}/simulator/truth")).json()
            seen.update(each["seed"] for each in truth["requests"] if each["route"] == "/api/chat")
    return seen


def table(account: Account, told: Told, seen: Counter[int]) -> str:
    """The figures."""
    changes = ", ".join(f"{name} {count}" for name, count in sorted(told.changes.items()))
    rows = [
        ("reloads, of which refused", f"{told.reloaded + told.refused}, {told.refused}"),
        ("changed in how many of them", changes),
        (
            "from the file to the news, s: median, most",
            f"{statistics.median(told.seconds):.2f}, {max(told.seconds):.2f}",
        ),
        ("calls", f"{len(account.asked):,}"),
        ("answered", f"{account.done:,}"),
        ("failed", f"{len(account.failed)}"),
        ("wrong", f"{len(account.wrong)}"),
        ("seen by the servers once", f"{sum(seen[number] == 1 for number in account.asked):,}"),
        ("more than once", f"{sum(seen[number] > 1 for number in account.asked)}"),
        ("of which late ones that asked a second server; moved", f"{account.hedged}; {account.moved}"),
        ("never", f"{sum(seen[number] == 0 for number in account.asked)}"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main(arguments: Sequence[str]) -> str:
    """The figures as a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.reload")
    parser.add_argument("--reloads", type=int, default=RELOADS)
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    account, told, seen = asyncio.run(measured(asked.reloads, asked.callers, asked.seed))
    for said in (*account.failed[:10], *account.wrong[:10]):
        print(json.dumps(said), file=sys.stderr)
    return table(account, told, seen)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
