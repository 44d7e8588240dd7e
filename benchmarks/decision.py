"""What a decision costs: enqueue, pick and release of one call, by the queue's length. CPU time of the thread.

Each round is a process of its own, interpreted and compiled in turn, and decides the same. What a decision costs
undisturbed is the least that any round took for it: the rest is of whoever else used the core and its caches.

`python -m benchmarks.decision [ROUNDS]`; `--round QUEUED` is one round, in the form that the environment names.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time

from benchmarks.forms import environment, forms
from benchmarks.measuring import interleaved
from infrastructure.pool.calls import Call
from infrastructure.pool.lanes import Lane
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.ticket import Ticket
from infrastructure.transport.messages import Metrics

SERVERS, LANES, SLOTS, CLIENTS = 16, 8, 2, 10
QUEUED = (10, 100, 1000)
ROUNDS, CALLS, WARMING = 9, 4000, 300
METRICS = Metrics(
    total_ns=3_000_000_000,
    load_ns=1_000_000,
    prompt_ns=100_000_000,
    decode_ns=2_899_000_000,
    prompt_tokens=900,
    completion_tokens=150,
)


class Bench:
    """A full pool with a backlog, in which one call ends and one comes, again and again."""

    def __init__(self, queued: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.lanes = [Lane(f"model{number}:latest") for number in range(LANES)]
        names = [f"http://gpu{number}:11434" for number in range(SERVERS)]
        self.scheduler = Scheduler(dict.fromkeys(names, SLOTS), queue_length=queued + 10_000)
        models = [lane.model for lane in self.lanes]
        for name in names:
            self.scheduler.roster.up(name, models=models, loaded=models, now=0.0)
        self.now = 0.0
        self.decided: list[tuple[int, str]] = []
        """Which call went where."""
        self.running: list[Ticket] = []
        for number in range(SERVERS * LANES * SLOTS + queued):
            self.enqueue(self.lanes[number % LANES])
        self.start()
        assert len(self.scheduler.queue) == queued, len(self.scheduler.queue)

    def enqueue(self, lane: Lane) -> None:
        band = self.random.choices(tuple(Band), (5, 4, 1))[0]
        call = Call(client=f"c{self.random.randrange(CLIENTS)}", band=band, prefix=f"p{self.random.randrange(500)}")
        self.scheduler.enqueue(
            lane, call, now=self.now, expires_at=self.now + 3600, prompt_tokens=900, read=band is Band.INTERACTIVE
        )

    def start(self) -> None:
        while placed := self.scheduler.place(self.now):  # guesses start after the first tokens of persons
            for ticket in placed:
                for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
                    self.scheduler.advance(ticket, state)
                assert ticket.slot is not None
                self.scheduler.answered(ticket, ticket.slot.server, self.now)
                self.running.append(ticket)

    def step(self) -> float:
        """One call comes, one ends, one starts: microseconds of CPU."""
        self.now += 0.01
        ended = self.running.pop(self.random.randrange(len(self.running)))
        lane = ended.lane
        band = self.random.choices(tuple(Band), (5, 4, 1))[0]
        call = Call(client=f"c{self.random.randrange(CLIENTS)}", band=band, prefix=f"p{self.random.randrange(500)}")
        scheduler, now = self.scheduler, self.now
        begin = time.thread_time_ns()
        scheduler.enqueue(lane, call, now=now, expires_at=now + 3600, prompt_tokens=900, read=True)
        placed = scheduler.place(now)
        scheduler.served(ended, METRICS, 3.0, now)
        scheduler.end(ended)
        placed += scheduler.place(now)
        spent = time.thread_time_ns() - begin
        assert len(placed) == 1, placed
        for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
            scheduler.advance(placed[0], state)
        assert placed[0].slot is not None
        self.decided.append((placed[0].number, placed[0].slot.server))
        scheduler.answered(placed[0], placed[0].slot.server, now)
        self.running += placed
        return spent / 1000


Round = tuple[list[float], list[list[object]]]
"""What each decision took, and what was decided."""


def measure(queued: int) -> Round:
    """One round."""
    bench = Bench(queued, seed=1)
    taken = [bench.step() for _ in range(CALLS)][WARMING:]
    return taken, [list(each) for each in bench.decided]


def main(rounds: int = ROUNDS) -> str:
    """A table: microseconds of CPU by form and length of the queue."""

    def run(form: str, queued: int) -> Round:
        command = [sys.executable, "-m", "benchmarks.decision", "--round", str(queued)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment(form))
        found: Round = json.loads(done.stdout)
        return found

    cases = {
        (form, queued): (lambda form=form, queued=queued: run(form, queued)) for queued in QUEUED for form in forms()
    }
    found = interleaved(cases, rounds)
    for queued in QUEUED:
        assert len({json.dumps(decided) for case in cases if case[1] == queued for _, decided in found[case]}) == 1
    lines = [
        f"{SERVERS} servers x {LANES} lanes x {SLOTS} slots, {CLIENTS} clients: enqueue, pick and release, µs of CPU\n",
        "| form | queued | p50 | p99 | p50 undisturbed | p99 undisturbed |\n|---|---|---|---|---|---|",
    ]
    for (form, queued), each_round in found.items():
        taken = [times for times, _ in each_round]
        p50, p99 = (statistics.median(_quantile(each, share) for each in taken) for share in (0.5, 0.99))
        least = [min(times) for times in zip(*taken, strict=True)]
        undisturbed = f"{_quantile(least, 0.5):.1f} | {_quantile(least, 0.99):.1f}"
        lines.append(f"| {form} | {queued:,} | {p50:.1f} | {p99:.1f} | {undisturbed} |")
    return "\n".join(lines)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--round"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        print(main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS))
