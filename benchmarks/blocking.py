"""Corral's pool against a blocking client: 16 users, each of whom asks one call after another, two simulated servers.

Contenders, each a fresh process a round over fresh servers, in an order of its own each round:

- in turn: `ollama.Client`, a thread a user, each call on the next server; who has two servers and no pool does that.
- by hand: the same, but each model has its one server, chosen in advance as well as can be; where there are several.
- Corral: `AsyncLocalLLM` over one pool, a task a user. It is told the slots, and how many models fit.

A user's calls are the same for all. A round counts the answers of a fixed time; those under way at its end are waited
for, and count for the latency only. Busy slots are read in the servers' logs. All durations of the servers are divided
by five; what is printed is as measured.
`python -m benchmarks.blocking [--rounds N] [--seconds S] [--only SETTING ...]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count, cycle

from benchmarks.claims import percentile
from benchmarks.measuring import cpu_seconds, interleaved, ratios, summary
from benchmarks.prompts import prompt_of
from benchmarks.simulated import simulated, truth_of
from benchmarks.virtual import Request, Spec
from benchmarks.workloads import Lengths

USERS = 16
SECONDS = 20.0
ROUNDS = 3
FASTER = 5.0
LENGTHS = Lengths(prompt=400, output=120, spread=0.5)


@dataclass(frozen=True)
class Setting:
    """What the users have, and what they want."""

    servers: tuple[Spec, ...]
    mix: Mapping[str, float]
    by_hand: Mapping[str, int] = field(default_factory=dict[str, int])
    """The server of each model, for who chooses himself."""


SETTINGS = {
    "one model on both": Setting((Spec(name="s1", loaded=("a",)), Spec(name="s2", loaded=("a",))), {"a": 1}),
    "two models, one fits": Setting(
        (Spec(name="s1", loaded=("a",)), Spec(name="s2", loaded=("b",))), {"a": 0.6, "b": 0.4}, {"a": 0, "b": 1}
    ),
    "three models, two fit": Setting(
        (Spec(name="s1", places=2, loaded=("a", "b")), Spec(name="s2", places=2, loaded=("a", "c"))),
        {"a": 0.45, "b": 0.35, "c": 0.2},
        {"a": 0, "b": 1, "c": 1},
    ),
}


@dataclass
class Round:
    """What a contender's process says. Moments are of the machine's monotonic clock."""

    began: float
    ended: float
    """When counting stopped."""
    cpu: float = 0.0
    done: int = 0
    latencies: list[float] = field(default_factory=list[float])
    loads: int = 0
    idle: float = 0.0
    """Share of all slot-seconds in which a slot had no call."""


def _calls(setting: Setting, user: int) -> Iterator[tuple[Request, str]]:
    """What a user asks, with the prompts, for ever."""
    rng = random.Random(user)
    models, weights = tuple(setting.mix), tuple(setting.mix.values())
    for number in count():
        prompt, output = LENGTHS.draw(rng)
        request = Request(0.0, rng.choices(models, weights)[0], prompt, output, client=f"user{user}")
        yield request, prompt_of(request, USERS * number + user)


def _blocking(setting: Setting, urls: Sequence[str], seconds: float, *, by_hand: bool) -> Round:
    """A thread a user."""
    import ollama  # noqa: PLC0415

    clients = [ollama.Client(host=url) for url in urls]
    turns, lock = cycle(clients), threading.Lock()
    found = Round(time.monotonic(), time.monotonic() + seconds)

    def user(number: int) -> None:
        for request, prompt in _calls(setting, number):
            asked = time.monotonic()
            if asked >= found.ended:
                return
            with lock:
                client = clients[setting.by_hand[request.model]] if by_hand else next(turns)
            client.generate(model=request.model, prompt=prompt, options={"num_predict": request.output})
            with lock:
                _note(found, asked)

    users = [threading.Thread(target=user, args=(number,)) for number in range(USERS)]
    for each in users:
        each.start()
    for each in users:
        each.join()
    return found


async def _pooled(setting: Setting, urls: Sequence[str], seconds: float) -> Round:
    """A task a user."""
    from infrastructure.config.settings import ServerSettings  # noqa: PLC0415
    from infrastructure.connection_pool import Call, OllamaConnectionPool  # noqa: PLC0415
    from infrastructure.local_llm import AsyncLocalLLM  # noqa: PLC0415

    servers = [
        ServerSettings(url=url, slots=spec.slots, max_loaded_models=spec.places)
        for url, spec in zip(urls, setting.servers, strict=True)
    ]
    async with OllamaConnectionPool(servers) as pool:
        found = Round(time.monotonic(), time.monotonic() + seconds)

        async def user(number: int) -> None:
            call = Call(client=f"user{number}")
            llms = {model: AsyncLocalLLM(model, pool=pool, call=call) for model in setting.mix}
            for request, prompt in _calls(setting, number):
                asked = time.monotonic()
                if asked >= found.ended:
                    return
                await llms[request.model].generate(prompt, num_predict=request.output)
                _note(found, asked)

        await asyncio.gather(*(user(number) for number in range(USERS)))
    return found


def _note(found: Round, asked: float) -> None:
    now = time.monotonic()
    found.latencies.append(now - asked)
    found.done += now <= found.ended


CONTENDERS: Mapping[str, Callable[[Setting, Sequence[str], float], Round]] = {
    "in turn": lambda *given: _blocking(*given, by_hand=False),
    "by hand": lambda *given: _blocking(*given, by_hand=True),
    "Corral": lambda *given: asyncio.run(_pooled(*given)),
}


def contend(name: str, setting: Setting, seconds: float, urls: Sequence[str]) -> Round:
    """One round, in this process."""
    before = cpu_seconds()
    found = CONTENDERS[name](setting, urls, seconds)
    found.cpu = cpu_seconds() - before
    return found


async def measure(name: str, key: str, seconds: float) -> Round:
    """One round, the contender in a process of its own over fresh servers."""
    setting = SETTINGS[key]
    async with simulated(setting.servers, setting.mix, FASTER) as urls:
        command = [sys.executable, "-m", "benchmarks.blocking", "--contender", name, key, str(seconds), *urls]
        child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        said, _ = await child.communicate()
        assert child.returncode == 0, f"{name} failed"
        found = Round(**json.loads(said))
        logs = [await truth_of(url) for url in urls]
    busy = 0.0
    for log, spec in zip(logs, setting.servers, strict=True):
        found.loads += len(log["loads"]) - len(spec.loaded)
        busy += sum(max(0.0, min(span["end"], found.ended) - max(span["start"], found.began)) for span in log["slots"])
    there = seconds * sum(spec.slots * spec.places for spec in setting.servers)
    found.idle = 1 - busy / there
    return found


def _table(key: str, seconds: float, rounds: int) -> Iterator[str]:
    names = [name for name in CONTENDERS if name != "by hand" or SETTINGS[key].by_hand]
    figures = interleaved(
        {name: (lambda name=name: asyncio.run(measure(name, key, seconds))) for name in names}, rounds
    )
    base = figures["in turn"]
    for name, found in figures.items():
        cells = [
            _against([each.done / seconds for each in found], [each.done / seconds for each in base]),
            _against(
                [statistics.fmean(each.latencies) for each in found],
                [statistics.fmean(each.latencies) for each in base],
            ),
            f"{statistics.median(percentile(each.latencies, 0.95) for each in found):.2f}",
            _against([100 * each.idle for each in found], [100 * each.idle for each in base]),
            summary([each.loads for each in found]),
            summary([1000 * each.cpu / len(each.latencies) for each in found]),
        ]
        yield f"| {key} | {name} | " + " | ".join(cells) + " |"


def _against(values: Sequence[float], base: Sequence[float]) -> str:
    """The median, and how it differs from that of the first contender's in the same round."""
    change = statistics.median(ratios(values, base)) - 1
    return f"{statistics.median(values):.3g}" + (f", {change:+.0%}" if values is not base and change else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--contender", nargs="+", help="one round of this contender, for the process itself")
    options = parser.parse_args()
    if options.contender:
        name, key, seconds, *urls = options.contender
        print(json.dumps(asdict(contend(name, SETTINGS[key], float(seconds), urls))))
        return
    print(
        "| | contender | answers a second | latency: mean, s | p95, s | slots idle, % | loads | ms CPU of the client "
        "a call |\n" + "|---" * 8 + "|"
    )
    for key in options.only:
        for line in _table(key, options.seconds, options.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
