"""Choosing among the oracle's candidates: HumanEval's solutions and their mutants, on tests of which many are wrong.

No server and no sandbox. Each mutant that the oracle can answer (`infrastructure/simulator/brains/mutants.py`) runs
once against the right form of each written test, its false form, the examiner's calls, and the problem's own test that
tells whether it is right. Then runs are drawn as the oracle draws them, and the rules see who passes what.

    python -m benchmarks.oracle_tasks humaneval-even.jsonl tasks.jsonl
    python -m benchmarks.selection_mutants humaneval-even.jsonl tasks.jsonl outcomes.json --trials 20

The solutions of the file run here with your rights, and so do their mutants: take a file that you trust.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from difflib import unified_diff
from itertools import accumulate
from pathlib import Path

from agents.answers.asserting import stated_test
from infrastructure.judge import prober
from infrastructure.judge.agreement import STATED, Agreement, Contender, agree
from infrastructure.judge.examples import documented_examples
from infrastructure.judge.likelihood import WORLDS, World
from infrastructure.simulator.brains.falsehoods import falsified
from infrastructure.simulator.brains.mutants import mutants
from infrastructure.simulator.brains.problems import SOLUTION, KnownProblem
from infrastructure.simulator.brains.tasks import Task

COUNTS = (2, 4, 8)
RIGHT, WRONG_TESTS = 0.4, 0.4
SECONDS = 60
"""For all that one program is tried on; what is not done by then counts as failed."""
_RUNNER = """
import contextlib, importlib.util, io, json, resource, signal, sys, types
given = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
spec = importlib.util.spec_from_file_location("prober", given["prober"])
prober = importlib.util.module_from_spec(spec)
spec.loader.exec_module(prober)
prober.SECONDS = 1.0
signal.signal(signal.SIGALRM, prober.too_long)
loaded = types.ModuleType("solution")
def passes(what):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        what()
        return True
    except BaseException:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
def by_test(source, suite="WrittenTest"):
    if not source:
        return []
    space = {"__name__": "tests"}
    exec(source, space)
    case = space[suite]
    names = sorted(name for name in dir(case) if name.startswith("test"))
    return [passes(case(name).debug) for name in names]
def hidden():
    space = dict(vars(loaded))
    exec(given["hidden"], space)
    space["check"](space[given["name"]])
with contextlib.redirect_stdout(io.StringIO()):
    sys.modules["solution"] = loaded
    passes(lambda: exec(given["program"], vars(loaded)))
    said = {"right": passes(hidden), "on_right": by_test(given["tests"]), "on_wrong": by_test(given["false_tests"])}
    said["on_stated"] = by_test(given["stated"], "Stated")
    keys = [prober.tried(loaded, call)[0] for call in given["calls"]]
said["outputs"] = ["raises" if key.startswith("raises ") else key for key in keys]
print(json.dumps(said))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one program does.

    Attributes:
        chance: Of wrong answers of the oracle, the share that is this one; 0 for the solution itself.
        right: Whether it passes the problem's own test.
        on_right: Whether it passes each written test, in its right form.
        on_wrong: The same in its false form.
        on_stated: Whether it passes each example that the problem's docstring states.
        outputs: What it gives for each call.
        lines: How many lines it changes.
    """

    chance: float
    right: bool
    on_right: tuple[bool, ...]
    on_wrong: tuple[bool, ...]
    on_stated: tuple[bool, ...]
    outputs: tuple[str, ...]
    lines: int


Problems = Mapping[str, Sequence[Outcome]]
"""What the programs of each problem do; the solution first."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run: its candidates, and which of its written tests are right."""

    candidates: Sequence[Outcome]
    valid: Sequence[bool]

    def passed(self, candidate: Outcome) -> frozenset[str]:
        """The tests that a candidate passes, by name."""
        chosen = (
            right if valid else wrong
            for right, wrong, valid in zip(candidate.on_right, candidate.on_wrong, self.valid, strict=True)
        )
        return frozenset(f"t{number}" for number, passes in enumerate(chosen) if passes)

    def passed_stated(self, candidate: Outcome) -> frozenset[str]:
        """The examples that a candidate passes, by name."""
        return frozenset(f"e{number}" for number, passes in enumerate(candidate.on_stated) if passes)

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of all written tests."""
        return tuple(f"t{number}" for number in range(len(self.valid)))

    @property
    def stated(self) -> tuple[str, ...]:
        """Names of all examples."""
        return tuple(f"e{number}" for number in range(len(self.candidates[0].on_stated)))


# ------------------------------------------------------------------------------------------ trying programs


def outcomes(problem: KnownProblem, task: Task) -> list[Outcome]:
    """What the solution and each of its mutants does."""
    solution = task.files[SOLUTION]
    programs = {solution: 0.0}
    for source, chance in mutants(solution):
        programs[source] = programs.get(source, 0.0) + chance
    return [_tried(problem, task, program, chance) for program, chance in programs.items()]


def _tried(problem: KnownProblem, task: Task, program: str, chance: float) -> Outcome:
    tests, stub = next(iter(task.tests.values())), problem.prompt.rstrip() + "\n    raise NotImplementedError\n"
    examples = documented_examples(stub, [problem.entry_point])
    stated = stated_test({"Stated": [(SOLUTION, each.function, each.call, each.value) for each in examples]})
    given = {
        "prober": prober.__file__,
        "program": program,
        "name": problem.entry_point,
        "hidden": problem.test,
        "tests": tests,
        "false_tests": falsified(tests, lambda _: True),
        "stated": stated,
        "calls": task.calls,
    }
    changed = unified_diff(stub.splitlines(), program.splitlines(), n=0)
    lines = sum(line[:1] in "+-" and line[:3] not in ("+++", "---") for line in changed)
    try:
        run = subprocess.run(
            [sys.executable, "-I", "-c", _RUNNER],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        none = (False,) * tests.count("    def test_")
        return Outcome(
            chance=chance,
            right=False,
            on_right=none,
            on_wrong=none,
            on_stated=(False,) * len(examples),
            outputs=("no end",) * len(task.calls),
            lines=lines,
        )
    return _outcome({**json.loads(run.stdout), "chance": chance, "lines": lines})


def _outcome(said: Mapping[str, object]) -> Outcome:
    return Outcome(**{name: tuple(value) if isinstance(value, list) else value for name, value in said.items()})  # type: ignore[arg-type]


def known(problems: Path, tasks: Path, cache: Path) -> Problems:
    """What every program does: from the file where it was written before, else tried now and written there."""
    if not cache.exists():
        lines = filter(str.strip, problems.read_text().splitlines())
        by_id = {each.task_id: each for each in map(KnownProblem.model_validate_json, lines)}
        given = [Task.model_validate_json(line) for line in tasks.read_text().splitlines()]
        with ThreadPoolExecutor(2) as pool:
            found = pool.map(outcomes, [by_id[task.id] for task in given], given)
            tried = {task.id: [asdict(each) for each in all_] for task, all_ in zip(given, found, strict=True)}
        cache.write_text(json.dumps(tried))
    return {name: [_outcome(each) for each in all_] for name, all_ in json.loads(cache.read_text()).items()}


# ----------------------------------------------------------------------------------------------- the rules

Rule = Callable[[Trial], int]


def draw(programs: Sequence[Outcome], count: int, chance: random.Random) -> Trial:
    """One run of a problem, drawn as the oracle draws: its answers, and which tests it writes falsely."""
    solution, *wrong = programs
    edges = list(accumulate(each.chance for each in wrong))
    candidates = [
        solution if chance.random() < RIGHT or not wrong else chance.choices(wrong, cum_weights=edges)[0]
        for _ in range(count)
    ]
    return Trial(candidates, [chance.random() >= WRONG_TESTS for _ in solution.on_right])


def corral(worlds: Sequence[World] = WORLDS, *, calls: str = "where undecided", stated: float | None = STATED) -> Rule:
    """The workflow's own rule: agreement on tests, then outputs too where that left a doubt (or `always`, `never`).

    `stated` is how much an example that the task states is believed; with None there are none.
    """

    def rule(trial: Trial) -> int:
        everybody = range(len(trial.candidates))
        found = _agreed(trial, everybody, worlds, tried=False, stated=stated)
        if calls == "never" or (calls != "always" and found.decided):
            return found.chosen - 1
        able = [number for number in everybody if _gives(trial.candidates[number])]
        return (_agreed(trial, able, worlds, tried=True, stated=stated) if able else found).chosen - 1

    return rule


def _gives(candidate: Outcome) -> bool:
    return any(output not in ("raises", "no end") for output in candidate.outputs)


def _agreed(
    trial: Trial, numbers: Sequence[int], worlds: Sequence[World], *, tried: bool, stated: float | None
) -> Agreement:
    known = {} if stated is None else dict.fromkeys(trial.stated, stated)
    contenders = [
        Contender(
            number=number + 1,
            passed=trial.passed(each) | trial.passed_stated(each),
            behaviour="\n".join(each.outputs) if tried else "",
            lines=each.lines,
        )
        for number, each in ((number, trial.candidates[number]) for number in numbers)
    ]
    found = agree(contenders, [*trial.tests, *known], known=known, worlds=worlds)
    assert found is not None
    return found


def codet(trial: Trial) -> int:
    """Candidates with the same tests passed, times the tests that they pass."""
    passed = [trial.passed(each) for each in trial.candidates]
    return max(range(len(passed)), key=lambda index: (passed.count(passed[index]) * len(passed[index]), -index))


def most_passed(trial: Trial) -> int:
    """The fewest red tests, then the lower number."""
    return max(range(len(trial.candidates)), key=lambda index: (len(trial.passed(trial.candidates[index])), -index))


def told_tests(trial: Trial) -> int:
    """Told which written tests are right, and no example: the most of them passed, then the most that do the same."""

    def good(candidate: Outcome) -> tuple[int, int]:
        passed = sum(passes for passes, valid in zip(candidate.on_right, trial.valid, strict=True) if valid)
        return passed, sum(other.outputs == candidate.outputs for other in trial.candidates)

    return max(range(len(trial.candidates)), key=lambda index: (*good(trial.candidates[index]), -index))


RULES: Mapping[str, Rule] = {
    "most passed": most_passed,
    "CodeT": codet,
    "without examples": corral(stated=None),
    "without calls": corral(calls="never"),
    "Corral": corral(),
    "calls always": corral(calls="always"),
    "told which tests are right": told_tests,
}


def regrets(programs: Sequence[Outcome], name: str, count: int, trials: int, seed: int) -> dict[str, float]:
    """Of one problem's runs, the share in which there is a right candidate and a rule takes another."""
    chance, missed = random.Random(f"{seed}/{name}/{count}"), dict.fromkeys(RULES, 0)
    for _ in range(trials):
        trial = draw(programs, count, chance)
        if any(each.right for each in trial.candidates):
            for rule, choose in RULES.items():
                missed[rule] += not trial.candidates[choose(trial)].right
    return {rule: count / trials for rule, count in missed.items()}


def table(problems: Problems, trials: int, seed: int) -> Iterator[str]:
    """Regret in %, and half the width of its 95 % interval, over runs of the same problems."""
    yield f"| n | {' | '.join(RULES)} |"
    yield f"|{'---|' * (len(RULES) + 1)}"
    for count in COUNTS:
        found = [regrets(programs, name, count, trials, seed) for name, programs in problems.items()]
        cells = [_cell([each[rule] for each in found], trials) for rule in RULES]
        yield f"| {count} | {' | '.join(cells)} |"


def _cell(shares: Sequence[float], trials: int) -> str:
    """The problems are fixed and the runs are drawn: each problem's share varies by itself."""
    error = math.sqrt(sum(share * (1 - share) / trials for share in shares)) / len(shares)
    return f"{100 * statistics.fmean(shares):.1f} ± {196 * error:.1f}"


def main() -> None:
    """Print a table for each half of the problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path)
    parser.add_argument("tasks", type=Path, help="as `benchmarks.oracle_tasks` wrote them")
    parser.add_argument("outcomes", type=Path, help="where what every program does is kept; written if it is not there")
    parser.add_argument("--trials", type=int, default=20, help="runs of each problem")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    found = list(known(asked.problems, asked.tasks, asked.outcomes).items())
    for name, half in (("tuned on", found[0::2]), ("held out", found[1::2])):
        print(f"{name}: {len(half)} problems\n", *table(dict(half), asked.trials, asked.seed), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
