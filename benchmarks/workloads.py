"""What is asked in the scheduling benchmark: servers and calls, by seed.

Owns the workloads A to D (four unequal servers), and the arrivals of the others. Arrivals are Poisson, lengths
log-normal; the load is the share of all slots' speed that the calls take when nothing is cached.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.virtual import DECODE_RATE, PREFILL_RATE, Request, Spec

CALLS = 8000
PREFIXES = 120
SHARED = 0.85
"""Of a prompt, what a cached prefix saves."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Log-normal numbers of tokens."""

    prompt: float = 800
    output: float = 200
    spread: float = 0.8

    def draw(self, rng: random.Random) -> tuple[int, int]:
        return self._one(rng, self.prompt), self._one(rng, self.output)

    def _one(self, rng: random.Random, median: float) -> int:
        return max(1, min(int(20 * median), int(median * rng.lognormvariate(0, self.spread))))

    def mean_work(self) -> float:
        """Seconds of a slot at speed 1."""
        rng = random.Random(0)
        pairs = [self.draw(rng) for _ in range(20_000)]
        return sum(prompt / PREFILL_RATE + output / DECODE_RATE for prompt, output in pairs) / len(pairs)


@dataclass(frozen=True, slots=True)
class Workload:
    """Servers, and the load on them."""

    title: str
    servers: tuple[Spec, ...]
    mix: Mapping[str, float]
    load: float
    calls: int = CALLS
    lengths: Lengths = Lengths()
    prefixes: int = PREFIXES

    def requests(self, seed: int) -> list[Request]:
        rng = random.Random(seed)
        speed = sum(spec.speed * spec.slots * spec.places for spec in self.servers)
        rate = self.load * speed / self.lengths.mean_work()
        models, weights = tuple(self.mix), tuple(self.mix.values())
        now, found = 0.0, list[Request]()
        for _ in range(self.calls):
            now += rng.expovariate(rate)
            prompt, output = self.lengths.draw(rng)
            model = rng.choices(models, weights)[0]
            prefix = f"{model}/{rng.randrange(self.prefixes)}" if self.prefixes else None
            found.append(Request(now, model, prompt, output, prefix=prefix, shared=int(SHARED * prompt)))
        return found

    def ideal(self) -> tuple[Spec, ...]:
        """The same servers with every model loaded on each."""
        loaded = tuple(self.mix)
        # As many slots altogether as the models that fit have.
        return tuple(
            replace(spec, places=len(loaded), loaded=loaded, slots=spec.slots * spec.places, prefixes=10**9)
            for spec in self.servers
        )


def _four(*loaded: tuple[str, ...]) -> tuple[Spec, ...]:
    kinds = zip((1.0, 1.0, 0.6, 0.35), (4, 4, 4, 2), loaded, strict=True)
    return tuple(
        Spec(name=f"s{number}", speed=speed, slots=slots, places=len(models), loaded=models)
        for number, (speed, slots, models) in enumerate(kinds, 1)
    )


FOUR = {
    "A": Workload("one model, load 0.85", _four(("a",), ("a",), ("a",), ("a",)), {"a": 1}, 0.85),
    "B": Workload("one model, load 0.95", _four(("a",), ("a",), ("a",), ("a",)), {"a": 1}, 0.95),
    "C": Workload(
        "3 models, 1 in memory, load 0.6",
        _four(("a",), ("b",), ("c",), ("a",)),
        {"a": 0.45, "b": 0.35, "c": 0.2},
        0.6,
    ),
    "D": Workload(
        "4 models, 2 in memory, load 0.75",
        _four(("a", "b"), ("a", "c"), ("b", "d"), ("a", "c")),
        {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1},
        0.75,
    ),
}


def two_servers(load_seconds: float) -> Workload:
    """Two servers that hold one model each, three models wanted."""
    pair = tuple(
        Spec(name=name, slots=2, places=1, load_seconds=load_seconds, loaded=(model,))
        for name, model in (("s1", "a"), ("s2", "b"))
    )
    lengths = Lengths(prompt=300, output=40, spread=0.5)
    mix = {"a": 0.45, "b": 0.35, "c": 0.2}
    return Workload(f"load {load_seconds} s", pair, mix, 0.85, calls=3000, lengths=lengths, prefixes=0)


def merged(*streams: Sequence[Request]) -> list[Request]:
    return sorted((request for stream in streams for request in stream), key=lambda request: request.at)


def poisson(rate: float, until: float, client: str, seed: int, lengths: Lengths) -> list[Request]:
    """One client's calls for one model."""
    rng = random.Random(f"{client}/{seed}")
    now, found = rng.expovariate(rate), list[Request]()
    while now < until:
        found.append(Request(now, "a", *lengths.draw(rng), client=client))
        now += rng.expovariate(rate)
    return found


def conversations(seed: int, count: int, rate: float, lengths: Lengths) -> list[Request]:
    """First turns; each turn asks for the next one when it is answered and a while has passed."""
    rng = random.Random(seed)
    now, found = 0.0, list[Request]()
    for number in range(count):
        now += rng.expovariate(rate)
        turns = 1 + min(19, int(rng.expovariate(1 / 6)))
        found.append(_turn(random.Random(f"{seed}/{number}"), now, f"talk{number}", 0, turns, lengths))
    return found


def _turn(rng: random.Random, at: float, name: str, said: int, left: int, lengths: Lengths) -> Request:
    words, output = lengths.draw(rng)
    prompt = said + words
    pause = rng.expovariate(1 / 10)
    follow: Callable[[float], Request | None] | None = None
    if left > 1:

        def follow(done: float) -> Request:
            return _turn(rng, done + pause, name, prompt + output, left - 1, lengths)

    return Request(at, "a", prompt, output, client=name, prefix=name, shared=said, follow=follow)
