"""HumanEval problems as tasks of the oracle, with as many written tests as a run asks for, and the examiner's calls.

A problem brings some seven asserts, which is fewer than sixteen. Further inputs are made of its own by small changes,
and the canonical solution says what is right for them; what raises, takes a second or is no literal is left out.

    python -m benchmarks.oracle_tasks humaneval-even.jsonl tasks.jsonl
    corral sim --tasks tasks.jsonl --independent --first-time-right 0.4 --wrong-tests 0.4

The solutions of the file run here with your rights: take a file that you trust.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from infrastructure.simulator.brains.problems import SOLUTION, KnownProblem

TESTS, CALLS, TRIES = 20, 12, 120
SECONDS = 60
"""For all inputs of one problem."""
_RUNNER = """
import ast, contextlib, io, json, signal, sys
given = json.load(sys.stdin)
space = {}
exec(given["solution"], space)
def late(*_):
    raise TimeoutError
signal.signal(signal.SIGALRM, late)
said = []
for arguments in given["inputs"]:
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with contextlib.redirect_stdout(io.StringIO()):
            value = repr(space[given["name"]](*ast.literal_eval(arguments)))
        said.append(value if ast.literal_eval(value) == ast.literal_eval(value) and len(value) < 300 else None)
    except Exception:
        said.append(None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
print(json.dumps(said))
"""


def inputs_of(problem: KnownProblem, chance: random.Random) -> list[str]:
    """Arguments as tuples in Python's spelling: those of the problem's own asserts, then changed ones."""
    own = [
        tuple(ast.literal_eval(argument) for argument in call.args)
        for call in ast.walk(ast.parse(problem.test))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "candidate"
        if call.args and not call.keywords and all(map(_is_literal, call.args))
    ]
    made = [_changed(chance.choice(own), chance) for _ in range(TRIES)] if own else []
    return list(dict.fromkeys(text for text in map(repr, [*own, *made]) if len(text) < 200))


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def _changed(value: tuple[object, ...], chance: random.Random) -> tuple[object, ...]:
    at = chance.randrange(len(value))
    return tuple(_other(each, chance) if number == at else each for number, each in enumerate(value))


def _other(value: object, chance: random.Random) -> object:
    """A value of the same kind, a small step away."""
    match value:
        case bool():
            return not value
        case int():
            return chance.choice([value + 1, value - 1, value * 2, 0, 1, -value, value // 2])
        case float():
            return chance.choice([value + 0.5, value * 2, 0.0, -value])
        case str():
            return _other_items(value, chance, chance.choice("abcABC 01(){}[],"))
        case list() | tuple():
            items = [*value]
            if items and chance.random() < 0.4:
                at = chance.randrange(len(items))
                items[at] = _other(items[at], chance)
                return type(value)(items)
            return _other_items(value, chance, type(value)([chance.choice(items)] if items else [1]))
        case _:
            return value


def _other_items(value: str | list[object] | tuple[object, ...], chance: random.Random, more: object) -> object:
    at = chance.randrange(len(value) + 1)
    ways = [value[:at], value[at:], value[::-1], value[:at] + more + value[at:], value + value[:at], value[:0]]  # type: ignore[operator]
    return chance.choice(ways)


def told(solution: str, name: str, inputs: Sequence[str]) -> list[str | None]:
    """What the solution returns for each, in Python's spelling; None where that is of no use."""
    given = json.dumps({"solution": solution, "name": name, "inputs": inputs})
    run = subprocess.run(
        [sys.executable, "-I", "-c", _RUNNER], input=given, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if run.returncode:
        return [None] * len(inputs)
    said: list[str | None] = json.loads(run.stdout)
    return said


def varied(cases: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The cases, those first whose answer came least often before: a hundred inputs that all give False test little."""
    seen: Counter[str] = Counter()
    ranks: list[tuple[int, int]] = []
    for number, (_, value) in enumerate(cases):
        ranks.append((seen[value], number))
        seen[value] += 1
    return [cases[number] for _, number in sorted(ranks)]


def test_file(name: str, cases: Sequence[tuple[str, str]]) -> str:
    """A unittest file, a function for each case."""
    lines = ["import unittest", "", f"from solution import {name}", "", "", "class WrittenTest(unittest.TestCase):"]
    for number, (arguments, value) in enumerate(cases, 1):
        check = "assertAlmostEqual" if isinstance(ast.literal_eval(value), float) else "assertEqual"
        lines += [f"    def test_{number}(self):", f"        self.{check}({name}(*{arguments}), {value})", ""]
    return "\n".join(lines)


def tasks(lines: Sequence[str], seed: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each problem's id and its task, as a line of the oracle's own form."""
    for line in filter(str.strip, lines):
        problem = KnownProblem.model_validate_json(line)
        task, name = problem.task(), problem.entry_point
        chance = random.Random(f"{seed}/{problem.task_id}")
        inputs = inputs_of(problem, chance)
        answers = told(task.files[SOLUTION], name, inputs)
        cases = varied([(text, value) for text, value in zip(inputs, answers, strict=True) if value is not None])
        made = task.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if len(cases) >= TESTS // 2:
            made["tests"] = {f"test_written_{name}.py": test_file(name, cases[:TESTS])}
            made["calls"] = [f"{name}({text[1:-1].rstrip(',')})" for text, _ in cases[TESTS : TESTS + CALLS]]
        yield problem.task_id, made


def main() -> None:
    """Write the tasks, and say how many problems have how many tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problems", type=Path)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    made = dict(tasks(given.problems.read_text().splitlines(), given.seed))
    given.tasks.write_text("".join(f"{json.dumps(task)}\n" for task in made.values()))
    rich = sum("calls" in task for task in made.values())
    print(f"{len(made)} problems, {rich} of them with further tests and calls")


if __name__ == "__main__":
    main()
