"""The scheduler's claims one by one, in virtual time: fairness, swaps, prefixes, learned slots, starvation.

Owns the workloads E to J: each returns its table, with the goal beside each figure.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from benchmarks.policies import Bound, CentralQueue, Corral, LeastConnections, LeastWork, RoundRobin, Sticky
from benchmarks.virtual import Request, Server, Spec, World
from benchmarks.workloads import CALLS, FOUR, Lengths, conversations, merged, poisson, two_servers

WINDOW_SECONDS = 30.0
LIGHT = ("light1", "light2", "light3", "light4")


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _verdict(held: bool) -> str:
    return "held" if held else "**missed**"


# ---------------------------------------------------------------------------------------- E: fairness
def fairness(seeds: int) -> str:
    """A client that floods beside four light ones."""
    servers = [Spec(name=f"s{number}", slots=8, loaded=("a",)) for number in range(4)]
    lengths = Lengths(prompt=400, output=100, spread=0.6)
    rate = 32 / lengths.mean_work()  # what all slots can do
    jains, alone, beside = list[float](), list[float](), list[float]()
    for seed in range(seeds):
        until = 900.0
        wanting = [poisson(0.4 * rate, until, name, seed, lengths) for name in LIGHT]
        world = World(servers, Corral(), merged(poisson(4 * rate, until, "flood", seed, lengths), *wanting))
        jains += _jain(world.run(until).requests, until)
        few = [poisson(0.1 * rate, until, name, seed, lengths) for name in LIGHT]
        alone += _light_waits(World(servers, Corral(), merged(*few)).run().requests)
        few = [poisson(0.1 * rate, until, name, seed, lengths) for name in LIGHT]
        flood = poisson(1.0 * rate, until, "flood", seed, lengths)
        beside += _light_waits(World(servers, Corral(), merged(flood, *few)).run(until).requests)
    before, after = percentile(alone, 0.99), percentile(beside, 0.99)
    bound = 1.5 * before + lengths.mean_work()
    return (
        "### E: fairness, 4 servers of 8 slots, one client with ten times the calls of each of four others\n\n"
        "| | goal | measured | |\n|---|---|---|---|\n"
        f"| Jain's index in 30 s windows, all with a backlog: mean | 0.98 | {_mean(jains):.4f} "
        f"| {_verdict(_mean(jains) >= 0.98)} |\n"
        f"| the worst window | 0.98 | {min(jains):.4f} | {_verdict(min(jains) >= 0.98)} |\n"
        f"| light clients' p99 first token, s (alone: {before:.2f}) | ≤ {bound:.2f} | {after:.2f} "
        f"| {_verdict(after <= bound)} |"
    )


def _light_waits(requests: Iterable[Request]) -> list[float]:
    return [each.ttft for each in requests if each.client in LIGHT and each.at > 60 and each.first == each.first]


def _jain(requests: Sequence[Request], until: float) -> list[float]:
    """Of the weighted tokens that clients with a backlog had in each window; the first two minutes fill the queue."""
    windows = [120 + WINDOW_SECONDS * number for number in range(int((until - 120) / WINDOW_SECONDS))]
    had: dict[float, dict[str, float]] = {start: defaultdict(float) for start in windows}
    for each in requests:
        if each.began != each.began:
            continue
        for start in windows:
            end = start + WINDOW_SECONDS
            if start <= each.began < end:
                had[start][each.client] += each.prompt
            streamed = min(end, each.done) - max(start, each.first)
            if streamed > 0:
                had[start][each.client] += 2 * each.output * streamed / (each.done - each.first)
    return [sum(x.values()) ** 2 / (5 * sum(value**2 for value in x.values())) for x in had.values()]


# ------------------------------------------------------------------------------------------- F: swaps
def swaps(seeds: int) -> str:
    """Three models on two servers that hold one each."""
    rows = [
        "### F: two servers of two slots that hold one model, three models (45, 35, 20 %), load 0.85\n",
        "| load takes | policy | loads | latency: mean, s | p95, s | last answer, s |\n|---|---|---|---|---|---|",
    ]
    verdicts = list[str]()
    for seconds in (0.4, 4.0):
        workload = two_servers(seconds)
        figures: dict[str, tuple[float, float]] = {}
        for name, policy in (
            ("round robin", RoundRobin),
            ("least connections", LeastConnections),
            ("central queue", CentralQueue),
            ("Corral", Corral),
        ):
            worlds = [World(workload.servers, policy(), workload.requests(seed)).run() for seed in range(seeds)]
            waits = [[each.done - each.at for each in world.requests] for world in worlds]
            loads = _mean(world.loads for world in worlds)
            p95 = _mean(percentile(each, 0.95) for each in waits)
            figures[name] = loads, p95
            rows.append(
                f"| {seconds} s | {name} | {loads:,.0f} | {_mean(_mean(each) for each in waits):,.1f} | {p95:,.1f} "
                f"| {_mean(world.now for world in worlds):,.0f} |"
            )
        loads, p95 = figures.pop("Corral")
        figures.pop("central queue")
        fewest, best = (min(column) for column in zip(*figures.values(), strict=True))
        verdicts.append(
            f"Loads of {seconds} s: {loads / fewest:.2f} of the others' loads (goal: 0.5, "
            f"{_verdict(loads <= 0.5 * fewest)}), {p95 / best:.2f} of the better one's p95 (goal: 0.7, "
            f"{_verdict(p95 <= 0.7 * best)})."
        )
    return "\n".join([*rows, "", *verdicts])


# ---------------------------------------------------------------------------------------- G: prefixes
def prefixes(seeds: int) -> str:
    """Conversations of several turns on four equal servers."""
    servers = [Spec(name=f"s{number}", slots=4, loaded=("a",), prefixes=64) for number in range(4)]
    lengths = Lengths(prompt=400, output=120, spread=0.7)
    figures: dict[str, tuple[float, float, float]] = {}
    for name, policy in (("sticky", Sticky), ("least work", LeastWork), ("Corral", Corral)):
        hits, queues, waits = list[float](), list[float](), list[float]()
        for seed in range(seeds):
            world = World(servers, policy(), conversations(seed, 900, 0.5, lengths)).run()
            could = sum(each.shared for each in world.requests)
            hits.append(sum(each.shared for each in world.requests if each.hit) / could)
            queues.append(percentile([each.began - each.at for each in world.requests], 0.99))
            waits.append(_mean(each.ttft for each in world.requests))
        figures[name] = _mean(hits), _mean(queues), _mean(waits)
    rows = [f"| {name} | {hit:.1%} | {queue:.2f} | {wait:.2f} |" for name, (hit, queue, wait) in figures.items()]
    share = figures["Corral"][0] / figures["sticky"][0]
    ratio = figures["Corral"][1] / figures["least work"][1]
    return (
        "### G: conversations of 1 to 20 turns, 4 servers of 4 slots\n\n"
        "| policy | reusable tokens found in a cache | p99 queue, s | first token: mean, s |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nHits of the sticky router: {share:.1%} (goal: 85 %, {_verdict(share >= 0.85)}). "
        f"p99 queue of least work: {ratio:.2f} (goal: 1.2, {_verdict(ratio <= 1.2)})."
    )


# ------------------------------------------------------------------------------------------- H: slots
class _Watched(Corral):
    """Corral, and what its servers do meanwhile."""

    def start(self, world: World) -> None:
        super().start(world)
        self.spans: list[tuple[float, float, tuple[int, ...], tuple[int, ...]]] = []
        self._since = 0.0

    def pump(self) -> None:
        super().pump()
        servers = self.world.servers.values()
        if self.waiting:
            busy = tuple(server.busy("a") for server in servers)
            self.spans.append((self.world.now, 0.0, busy, tuple(server.queued("a") for server in servers)))
        else:
            self.spans.append((self.world.now, 0.0, (), ()))


def slots(seeds: int) -> str:
    """How many slots are used while calls wait, known and unknown."""
    servers = [Spec(name=f"s{number}", slots=4, loaded=("a",)) for number in range(2)]
    lengths = Lengths(prompt=800, output=200)
    rows = list[str]()
    for title, known, goal in (("known", True, 0.97), ("unknown", False, 0.90)):
        shares, first, inside = list[float](), list[float](), list[int]()
        learned = ""
        for seed in range(seeds):
            policy = _Watched(slots_known=known)
            World(servers, policy, poisson(1.5, 1200, "one", seed, lengths)).run()
            shares.append(_busy(policy, 60.0))
            first.append(_busy(policy, 0.0, 60.0))
            inside += _inside(policy)
            berths = [berth for each in policy.scheduler.servers.values() for berth in each.berths.values()]
            learned += f"{[berth.capacity for berth in berths]}"
        most, median = max(inside), percentile(inside, 0.5)
        rows.append(
            f"| {title} | {_mean(first):.1%} | {goal:.0%} | {_mean(shares):.1%} | {_verdict(_mean(shares) >= goal)} "
            f"| {median}, {most} | {_verdict(median == 0 and most <= 1)} "
            f"| {learned} |"
        )
    return (
        "### H: two servers of 4 slots, backlog throughout\n\n"
        "| slots | busy in the first minute | goal | busy after it | | waiting in a server: median, most (goal 0, 1) "
        "| | slots at the end |\n|---|---|---|---|---|---|---|---|\n" + "\n".join(rows)
    )


def _busy(policy: _Watched, begin: float, end: float = 1e9) -> float:
    """Share of slot-seconds in use while calls wait in the pool."""
    used = had = 0.0
    for (start, _, busy, _), (stop, *_) in zip(policy.spans, policy.spans[1:], strict=False):
        seconds = min(stop, end) - max(start, begin)
        if busy and seconds > 0:
            used += seconds * sum(busy)
            had += seconds * 4 * len(busy)
    return used / had if had else 0.0


def _inside(policy: _Watched) -> list[int]:
    """Calls that wait inside a server, each second."""
    found, at = list[int](), 0.0
    for (start, _, _, queued), (stop, *_) in zip(policy.spans, policy.spans[1:], strict=False):
        at = max(at, start)
        while at < stop:
            found += queued
            at += 0.1
    return found or [0]


# -------------------------------------------------------------------------------------- I: starvation
class _AtOnce(Bound):
    """A plain client: every call is sent to the one server at once."""

    def choose(self, request: Request) -> Server:
        return self.servers[0]


def starvation(seeds: int) -> str:
    """A call for another model, on a server that holds one and has calls without end for the first."""
    load, lengths = 4.0, Lengths(prompt=400, output=100, spread=0.6)
    server = Spec(name="one", slots=2, load_seconds=load, loaded=("a",))
    rows = list[str]()
    for name, policy in (("plain client", _AtOnce), ("Corral", Corral)):
        waits, longest = list[float](), 0.0
        for seed in range(seeds):
            backlog = poisson(2 * 2 / lengths.mean_work(), 600, "many", seed, lengths)
            other = Request(60.0, "b", 400, 100, client="few")
            world = World([server], policy(), merged(backlog, [other])).run()
            waits.append(other.first - other.at)
            longest = max(longest, *(each.done - each.began for each in world.requests))
        bound = 6 * load + longest + load + 0.5
        rows.append(f"| {name} | {bound:.0f} | {max(waits):.1f} | {_verdict(max(waits) <= bound)} |")
    return (
        "### I: one call for another model under twice the load there is room for, for ten minutes\n\n"
        "| policy | bound, s: 6 loads + the longest call + its own load and prompt | first token after, s | |\n"
        "|---|---|---|---|\n" + "\n".join(rows)
    )


# ------------------------------------------------------------------------- J: nothing known, nothing loaded
def unknown(seeds: int) -> str:
    """The workloads with several models, where the pool must find out slots and places, and loads everything first."""
    rows = [
        "### J: C and D with half as many calls, with less known and nothing loaded\n",
        "| workload | slots | models that fit | loaded at first | first token: mean, s | p99, s | loads |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, slots_known, places_known, warm in itertools.product("CD", (True, False), (True, False), (True, False)):
        workload = replace(FOUR[key], calls=CALLS // 2)
        if not warm:
            workload = replace(workload, servers=tuple(replace(spec, loaded=()) for spec in workload.servers))
        worlds = [
            World(
                workload.servers,
                Corral(slots_known=slots_known, places_known=places_known),
                workload.requests(seed),
            ).run()
            for seed in range(seeds)
        ]
        waits = [[each.ttft for each in world.requests] for world in worlds]
        said = " | ".join("known" if known else "learned" for known in (slots_known, places_known))
        rows.append(
            f"| {key} | {said} | {'spread' if warm else 'nothing'} | {_mean(_mean(each) for each in waits):.1f} "
            f"| {_mean(percentile(each, 0.99) for each in waits):.1f} | {_mean(world.loads for world in worlds):.0f} |"
        )
    return "\n".join(rows)


CLAIMS: dict[str, Callable[[int], str]] = {
    "E": fairness,
    "F": swaps,
    "G": prefixes,
    "H": slots,
    "I": starvation,
    "J": unknown,
}
