"""Corral's scheduler against other rules, in virtual time: `python -m benchmarks.scheduling [--seeds N] [--only C,D]`.

Owns the comparison over four unequal servers (A to D) and the command; E to J are in `claims`, the picture in `plot`.
The scheduler is the real object; only its clock and the servers are not. No figure depends on the machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import claims
from benchmarks.policies import (
    CentralFifo,
    Corral,
    EarliestFinish,
    LeastConnections,
    LeastPerSlot,
    Nomyo,
    Oracle,
    RoundRobin,
    TwoChoices,
)
from benchmarks.scheduling_plot import Bar, draw
from benchmarks.virtual import Policy, World
from benchmarks.workloads import FOUR, Workload

POLICIES: dict[str, Callable[[], Policy]] = {
    "round robin": RoundRobin,
    "least connections": LeastConnections,
    "two choices": TwoChoices,
    "least per slot": LeastPerSlot,
    "NOMYO's rule": Nomyo,
    "earliest finish": EarliestFinish,
    "central FIFO": CentralFifo,
    "**Corral**": Corral,
    "*all loaded, one cache*": Oracle,
}
GRACE_SECONDS = 60.0
"""A call counts as served if it is answered so long after the last one came."""
PICTURE = Path(__file__).parents[1] / "docs" / "scheduling.svg"


def four_servers(key: str, workload: Workload, seeds: int) -> list[Bar]:
    """The table of one workload."""
    print(f"### {key}: {workload.title}\n")
    print("| policy | first token: mean, s | p99, s | loads | hits | served |\n|---|---|---|---|---|---|")
    bars: list[Bar] = []
    for name, policy in POLICIES.items():
        worlds = [_run(workload, policy(), seed) for seed in range(seeds)]
        waits = [[request.ttft for request in world.requests] for world in worlds]
        mean = statistics.fmean(statistics.fmean(each) for each in waits)
        p99 = statistics.fmean(claims.percentile(each, 0.99) for each in waits)
        loads = statistics.fmean(world.loads for world in worlds)
        hits = statistics.fmean(statistics.fmean(request.hit for request in world.requests) for world in worlds)
        served = statistics.fmean(_served(world) for world in worlds)
        print(f"| {name} | {mean:,.1f} | {p99:,.1f} | {loads:,.0f} | {hits:.0%} | {served:.1%} |")
        bars.append(Bar(key, name.strip("*"), mean, served))
    print()
    return bars


def _run(workload: Workload, policy: Policy, seed: int) -> World:
    ideal = isinstance(policy, Oracle)
    specs = workload.ideal() if ideal else workload.servers
    return World(specs, policy, workload.requests(seed), one_cache=ideal).run()


def _served(world: World) -> float:
    last = max(request.at for request in world.requests) + GRACE_SECONDS
    return statistics.fmean(request.done <= last for request in world.requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="A,B,C,D,E,F,G,H,I,J", help="letters of workloads, with commas between")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    options = parser.parse_args()
    wanted = options.only.upper().split(",")
    bars = [
        bar for key, workload in FOUR.items() if key in wanted for bar in four_servers(key, workload, options.seeds)
    ]
    if {bar.workload for bar in bars} == set(FOUR):
        options.picture.write_text(draw(bars), encoding="utf-8")
    for key, claim in claims.CLAIMS.items():
        if key in wanted:
            print(claim(options.seeds) + "\n")


if __name__ == "__main__":
    sys.exit(main())
