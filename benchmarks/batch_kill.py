"""`corral batch` under `kill -9`: killed at random instants, finished by the same command. Is each job counted once?

Against the simulator's oracle, which answers half of the problems wrongly until it has seen a failing test. Counted
afterwards: records, records of one job twice, patches, runs in the runs table, and runs that were begun again.

    CORRAL_HUMANEVAL=problems.jsonl python -m benchmarks.batch_kill        (or: python -m benchmarks.batch_kill FILE)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.humaneval import Problem
from infrastructure.compiled import VARIABLE as CORE
from infrastructure.simulator import Simulator, SimulatorSettings

SEED = 7


@dataclass(frozen=True)
class Place:
    """Where everything lies."""

    root: Path

    @property
    def jobs(self) -> Path:
        return self.root / "jobs.jsonl"

    @property
    def tasks(self) -> Path:
        return self.root / "tasks.jsonl"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def data(self) -> Path:
        return self.root / "data"


@dataclass(frozen=True)
class Kill:
    """When to kill: so many seconds after the command started, or after it began its first run."""

    seconds: float
    after_first_run: bool

    def __str__(self) -> str:
        return f"{'work' if self.after_first_run else 'start'}+{self.seconds:.1f}"


@dataclass
class Found:
    """What is there at the end."""

    jobs: int
    kills: int = 0
    exit_code: int | None = None
    said: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)
    finished_runs: int = 0
    other_runs: int = 0
    resumed: int = 0
    after_kills: list[int] = field(default_factory=list)
    """Records there after each kill."""

    @property
    def faults(self) -> list[str]:
        """What should not be."""
        ids = Counter(record["job_id"] for record in self.records)
        identities = {record["identity"] for record in self.records}
        checks = {
            f"exit code {self.exit_code}: {self.said[-500:]}": self.exit_code == 0,
            f"{len(self.records)} records of {self.jobs} jobs": len(self.records) == self.jobs,
            f"twice: {[job for job, count in ids.items() if count > 1]}": len(ids) == len(self.records),
            f"{len(identities)} identities": len(identities) == len(self.records),
            f"not done: {[r['job_id'] for r in self.records if r['status'] != 'done']}": all(
                record["status"] == "done" for record in self.records
            ),
            f"{self.finished_runs} finished runs, {self.other_runs} others": (
                self.finished_runs == self.jobs and self.other_runs == 0
            ),
        }
        return [said for said, right in checks.items() if not right]


def random_kills(seed: int, number: int, longest: float) -> list[Kill]:
    """Instants, the same for the same seed; every third may hit a command that has not begun a run yet."""
    chance = random.Random(seed)
    return [Kill(chance.uniform(0.0, longest), after_first_run=bool(each % 3)) for each in range(1, number + 1)]


async def kill_and_finish(place: Place, jobs: int, url: str, kills: Sequence[Kill], at_once: int = 2) -> Found:
    """Start the command and kill it, again and again; let the last one finish, and look at what there is."""
    found = Found(jobs)
    for kill in kills:
        process = await _start(place, url, at_once)
        if kill.after_first_run:
            await _first_run(process)
        try:
            await asyncio.wait_for(process.communicate(), kill.seconds)
        except TimeoutError:
            process.kill()
            await process.communicate()
            found.kills += 1
            found.after_kills.append(_count(place.out / "records.jsonl"))
    process = await _start(place, url, at_once)
    _, err = await process.communicate()
    found.exit_code, found.said = process.returncode, err.decode(errors="replace")
    lines = (place.out / "records.jsonl").read_text().splitlines()
    found.records = [json.loads(line) for line in lines]
    for record in found.records:
        patch = (place.out / record["patch_file"]).read_text()
        if patch != record["patch"]:
            raise AssertionError(f"the patch of {record['job_id']} is not that of its record")
    with sqlite3.connect(place.data / "corral.db") as database:
        runs = database.execute("SELECT state, execution FROM runs").fetchall()
    states = Counter(state for state, _ in runs)
    found.resumed = sum(execution > 1 for _, execution in runs)
    found.finished_runs = states.pop("finished", 0)
    found.other_runs = states.total()
    return found


def write_jobs(place: Place, problems: Sequence[Problem]) -> None:
    """The problems as jobs, and as what the oracle knows."""
    fields = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
    place.jobs.write_text("".join(json.dumps({f: getattr(p, f) for f in fields}) + "\n" for p in problems))
    place.tasks.write_text("".join(json.dumps(_oracle_task(problem)) + "\n" for problem in problems))


async def main() -> int:
    """Run it; 0 when every job was counted once."""
    options = _options()
    problems = [Problem(**json.loads(line)) for line in options.file.read_text().splitlines() if line.strip()]
    problems = problems[: options.limit]
    place = Place(Path(tempfile.mkdtemp(prefix="corral-batch-kill-")))
    try:
        write_jobs(place, problems)
        kills = random_kills(options.seed, options.kills, options.longest)
        settings = SimulatorSettings(
            tasks=place.tasks, first_time_right=0.5, seed=SEED, num_parallel=2, load_seconds=0, time_scale=0.001
        )
        started = time.monotonic()
        async with Simulator(settings) as simulator:
            found = await kill_and_finish(place, len(problems), simulator.url, kills)
            asked = len(simulator.truth.requests)
        _print(found, kills, asked, time.monotonic() - started)
        return 1 if found.faults else 0
    finally:
        shutil.rmtree(place.root, ignore_errors=True)


def _oracle_task(problem: Problem) -> dict[str, object]:
    return {
        "id": problem.task_id,
        "match": [problem.task],
        "kind": "code",
        "language": "python",
        "files": {"solution.py": problem.solution},
        "plan": [f"Write the body of {problem.entry_point}."],
    }


def _print(found: Found, kills: Sequence[Kill], asked: int, seconds: float) -> None:
    calls = sum(record["model_calls"] for record in found.records)
    print(f"{found.kills} kills at {', '.join(map(str, kills))} s; {seconds:.0f} s in all")
    print(f"records: {len(found.records)} of {found.jobs}; runs: {found.finished_runs}, others: {found.other_runs}")
    print(f"records after each kill: {', '.join(map(str, found.after_kills))}; runs that went on: {found.resumed}")
    print(f"model calls: {calls} counted, {asked} asked (the rest was cut off by a kill)")
    for fault in found.faults:
        print(f"  wrong: {fault}")


def _count(records: Path) -> int:
    return records.read_bytes().count(b"\n") if records.exists() else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("CORRAL_HUMANEVAL")
    parser.add_argument("file", type=Path, nargs="?", default=Path(named) if named else None)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=5.0, help="seconds before a kill, at most")
    parser.add_argument("--seed", type=int, default=1, help="of the instants")
    parser.add_argument("--limit", type=int, default=None, help="the first N problems only")
    options = parser.parse_args()
    if options.file is None or not options.file.is_file():
        parser.error("name the problems' file, or set CORRAL_HUMANEVAL to it")
    return options


async def _first_run(process: asyncio.subprocess.Process) -> None:
    """Read until a run is going, or to the end."""
    assert process.stderr is not None
    async for line in process.stderr:
        if line.rstrip().endswith((b": begun", b": going on")):
            return


async def _start(place: Place, url: str, at_once: int) -> asyncio.subprocess.Process:
    arguments = ["batch", str(place.jobs), "--out", str(place.out), "--at-once", str(at_once), "--output", "json"]
    environment = {name: value for name, value in os.environ.items() if name == CORE or not name.startswith("CORRAL_")}
    environment |= {"CORRAL_SERVERS": url, "CORRAL_MODEL": "oracle", "CORRAL_PATHS__DATA": str(place.data)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend.cli",
        *arguments,
        env=environment,
        cwd=Path(__file__).parent.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
