"""HumanEval problems through `corral run`, against the simulator's oracle: does the spine solve what it can solve?

Each problem becomes a small git repository with its own test. The oracle answers right at once for a share of them and
wrongly for the rest until it has seen a failing test. Counted: solved, repairs as predicted, and, so that nothing is
solved by luck, each patch is applied to a fresh copy with `git apply` and the test run once more outside Corral.

    CORRAL_HUMANEVAL=problems.jsonl make eval-humaneval        (or: python -m benchmarks.humaneval FILE)

The file has a JSON object a line: task_id, prompt, entry_point, canonical_solution, test (OpenAI's HumanEval).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from infrastructure.simulator import Simulator, SimulatorSettings, is_right_first_time

SEED = 7


@dataclass(frozen=True)
class Problem:
    """One line of the file."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    @property
    def slug(self) -> str:
        return self.task_id.replace("/", "-").lower()

    @property
    def task(self) -> str:
        return f"Implement {self.entry_point} in solution.py as its docstring says (problem {self.task_id})."

    @property
    def stub(self) -> str:
        return f"{self.prompt.rstrip()}\n    raise NotImplementedError\n"

    @property
    def solution(self) -> str:
        return f"{self.prompt.rstrip()}\n{self.canonical_solution.rstrip()}\n"

    @property
    def test_file(self) -> str:
        return (
            f"import unittest\n\nfrom solution import *\nfrom solution import {self.entry_point}\n\n"
            f"{self.test.strip()}\n\n\n"
            f"class SolutionTest(unittest.TestCase):\n    def test_solution(self):\n        check({self.entry_point})\n"
        )


@dataclass(frozen=True)
class Outcome:
    """How one problem went. `fault` is empty when everything is as it should be."""

    problem: Problem
    expected_attempts: int
    attempts: int
    seconds: float
    fault: str


async def main() -> int:
    """Run the evaluation; 0 when every problem went as predicted."""
    options = _options()
    problems = [Problem(**json.loads(line)) for line in options.file.read_text().splitlines() if line.strip()]
    problems = problems[: options.limit]
    place = Path(tempfile.mkdtemp(prefix="corral-humaneval-"))
    faults = 0
    try:
        for share in options.shares:
            faults += await _round(problems, share, place / f"share-{share}", options.jobs)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("CORRAL_HUMANEVAL")
    parser.add_argument("file", type=Path, nargs="?", default=Path(named) if named else None)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.5, 1.0], help="first-time-right answers")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--limit", type=int, default=None, help="the first N problems only")
    options = parser.parse_args()
    if options.file is None or not options.file.is_file():
        parser.error("name the problems' file, or set CORRAL_HUMANEVAL to it")
    return options


async def _round(problems: list[Problem], share: float, place: Path, jobs: int) -> int:
    place.mkdir(parents=True)
    tasks = place / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(_oracle_task(problem)) + "\n" for problem in problems))
    settings = SimulatorSettings(
        tasks=tasks, first_time_right=share, seed=SEED, num_parallel=jobs, load_seconds=0, time_scale=0.001
    )
    started = time.monotonic()
    async with Simulator(settings) as simulator:
        gate = asyncio.Semaphore(jobs)
        outcomes = await asyncio.gather(*(_solve(problem, share, place, simulator.url, gate) for problem in problems))
    faults = [outcome for outcome in outcomes if outcome.fault]
    repaired = sum(outcome.attempts > 1 for outcome in outcomes)
    expected = sum(outcome.expected_attempts > 1 for outcome in outcomes)
    print(
        f"first-time-right {share:4.0%}: solved {len(outcomes) - len(faults)} of {len(outcomes)}, "
        f"repaired {repaired} (expected {expected}), {time.monotonic() - started:.0f} s"
    )
    for outcome in faults:
        print(f"  {outcome.problem.task_id}: {outcome.fault}")
    return len(faults)


def _oracle_task(problem: Problem) -> dict[str, object]:
    return {
        "id": problem.task_id,
        "match": [problem.task],
        "kind": "code",
        "language": "python",
        "files": {"solution.py": problem.solution},
        "plan": [f"Write the body of {problem.entry_point}."],
    }


async def _solve(problem: Problem, share: float, place: Path, url: str, gate: asyncio.Semaphore) -> Outcome:
    async with gate:
        started = time.monotonic()
        repo = place / problem.slug
        await _make_repository(problem, repo)
        arguments = [sys.executable, "-m", "backend.cli", "run", problem.task, "--repo", str(repo)]
        environment = {
            **os.environ,
            "CORRAL_SERVERS": url,
            "CORRAL_MODEL": "oracle",
            "CORRAL_PATHS__DATA": str(place / f"{problem.slug}-data"),
        }
        process = await asyncio.create_subprocess_exec(
            *arguments,
            "--output",
            "json",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        expected = 1 if is_right_first_time(problem.task_id, SEED, share) else 2
        attempts, fault = await _judged(problem, repo, process.returncode, out, err, expected)
        return Outcome(problem, expected, attempts, time.monotonic() - started, fault)


async def _judged(
    problem: Problem, repo: Path, code: int | None, out: bytes, err: bytes, expected: int
) -> tuple[int, str]:
    try:
        result = json.loads(out)
    except ValueError:
        return 0, f"exit {code}, no document on stdout: {err.decode(errors='replace')[-300:]}"
    attempts = int(result["attempts"])
    if (result["status"], result["judge"], code) != ("done", "found", 0):
        return attempts, f"{result['status']} by {result['judge']}, exit {code}: {result.get('reason')}"
    if attempts != expected:
        return attempts, f"{attempts} attempts, {expected} expected"
    if not result["patch"] or result["tests"]["passed"] < 1 or result["tests"]["failed"] or result["tests"]["errors"]:
        return attempts, f"done without evidence: {result['tests']}"
    return attempts, await _tried_outside(repo, result["patch"])


async def _tried_outside(repo: Path, patch: str) -> str:
    """Red before, green after, on a fresh copy and without Corral."""
    copy = repo.with_name(f"{repo.name}-copy")
    await asyncio.to_thread(shutil.copytree, repo, copy)
    before, _ = await _run(copy, sys.executable, "-m", "unittest", "-q")
    if before == 0:
        return "the test was green before"
    applied, said = await _run(copy, "git", "apply", "-", stdin=patch.encode())
    if applied:
        return f"git apply refused the patch: {said}"
    after, said = await _run(copy, sys.executable, "-m", "unittest", "-q")
    return f"red outside Corral: {said[-300:]}" if after else ""


async def _make_repository(problem: Problem, repo: Path) -> None:
    repo.mkdir()
    (repo / "solution.py").write_text(problem.stub)
    (repo / "test_solution.py").write_text(problem.test_file)
    for arguments in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=eval", "-c", "user.email=eval@localhost", "commit", "-qm", "problem"),
    ):
        code, said = await _run(repo, "git", *arguments)
        if code:
            raise RuntimeError(f"git {arguments[0]}: {said}")


async def _run(place: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        cwd=place,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate(stdin)
    return process.returncode or 0, out.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
