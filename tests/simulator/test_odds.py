"""How often the oracle is right: by task or by answer, in repairs, in its tests; and HumanEval problems."""

import ast
import json
import re
import unittest
from pathlib import Path

import pytest
from pydantic import ValidationError

from agents.answers.files import read_files
from infrastructure.simulator import default_models, read_task, split_tests
from infrastructure.simulator.brains.falsehoods import falsified
from infrastructure.simulator.brains.mutants import mutant, mutants
from tests.simulator.talk import Sim, ask, settings

COUNT = """def count(words, least):
    \"\"\"Words of at least a length.\"\"\"
    total = 0
    for word in words:
        if len(word) >= least:
            total += 1
    return total
"""
PROBLEM = {
    "task_id": "Own/1",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return x * 2\n",
    "test": (
        "METADATA = {'author': 'us'}\n\ndef near(a, b):\n    return abs(a - b) < 1e-6\n\n"
        "def check(candidate):\n    assert True, 'nothing'\n    assert candidate(2) == 4\n    big = 10\n"
        "    assert candidate(big) == 20, 'ten'\n    for x in range(3):\n        assert near(candidate(x), x + x)\n"
    ),
}
TASKS = [
    {"id": f"count-{number}", "prompt": f"Write count number {number}.", "files": {"count.py": COUNT}}
    for number in range(20)
]


async def answers(folder: Path, questions: list[str], *, role: str = "coder", **more: object) -> list[str]:
    path = folder / "tasks.jsonl"
    tasks = more.pop("tasks", TASKS)
    path.write_text("\n".join(json.dumps(task) for task in tasks), encoding="utf-8")  # type: ignore[attr-defined]
    options = more.pop("options", {})
    async with Sim(settings(*default_models(), tasks=path, time_scale=0, **more)) as sim:
        said: list[str] = []
        for question in questions:
            messages = [
                {"role": "system", "content": f"You are Corral's {role}."},
                {"role": "user", "content": question},
            ]
            _, answer = await ask(sim, "/api/chat", model="oracle", messages=messages, stream=False, options=options)
            said.append(answer["message"]["content"])
        return said


def content_of(answer: str) -> str:
    (found,) = read_files(answer)
    return found.content


def variants(number: int) -> list[str]:
    return [f"Write count number {number}.\nApproach {hint}." for hint in range(10)]


async def test_by_default_all_answers_to_a_task_are_right_or_wrong_together(tmp_path: Path):
    for number in range(5):
        said = await answers(tmp_path, variants(number), first_time_right=0.4)
        assert len({content_of(each) == COUNT for each in said}) == 1


async def test_independent_answers_to_one_task_differ_in_whether_they_are_right(tmp_path: Path):
    questions = [question for number in range(20) for question in variants(number)]
    said = await answers(tmp_path, questions, first_time_right=0.4, independent=True)
    right = [content_of(each) == COUNT for each in said]

    assert 55 <= sum(right) <= 105  # of 200 at 0.4: four standard deviations
    mixed = [set(right[at : at + 10]) for at in range(0, 200, 10)]
    assert mixed.count({True, False}) >= 18


async def test_the_same_question_is_answered_in_the_same_way_and_another_seed_or_temperature_is_another_question(
    tmp_path: Path,
):
    questions = [question for number in range(4) for question in variants(number)]
    odds = {"first_time_right": 0.5, "independent": True}
    first = await answers(tmp_path, questions, **odds)

    assert await answers(tmp_path, questions, **odds) == first
    assert await answers(tmp_path, questions, options={"seed": 5}, **odds) != first
    assert await answers(tmp_path, questions, options={"temperature": 0.1}, **odds) != first


async def test_wrong_answers_to_one_task_are_wrong_in_different_ways(tmp_path: Path):
    said = await answers(tmp_path, variants(1), first_time_right=0.0, independent=True)

    assert COUNT not in [content_of(each) for each in said]
    assert len({content_of(each) for each in said}) >= 4


async def test_right_answers_are_spelled_as_wrong_ones_so_that_their_look_tells_nothing(tmp_path: Path):
    commented = COUNT.replace("total = 0", "total = 0  # none yet")
    tasks = [{**TASKS[0], "files": {"count.py": commented}}]
    said = await answers(tmp_path, variants(0), tasks=tasks, independent=True, first_time_right=0.5)
    found = {content_of(answer) for answer in said}
    right = f"{ast.unparse(ast.parse(commented))}\n"
    assert right in found
    assert len(found) > 1
    assert all("#" not in each for each in found)


async def test_a_task_that_says_how_it_is_wrong_is_wrong_in_that_way(tmp_path: Path):
    told = [{**TASKS[0], "broken": {"count.py": "count = None\n"}}]
    (said,) = await answers(tmp_path, ["Write count number 0."], tasks=told, first_time_right=0.0, independent=True)

    assert content_of(said) == "count = None\n"


async def test_a_share_of_the_repairs_is_right(tmp_path: Path):
    repairs = [f"Write count number 0.\nTry {number}.\n\n## Failing tests\n\n1 failed" for number in range(40)]
    odds = {"first_time_right": 0.0, "independent": True}
    some = [content_of(each) == COUNT for each in await answers(tmp_path, repairs, repair_right=0.5, **odds)]
    none = [content_of(each) == COUNT for each in await answers(tmp_path, repairs, repair_right=0.0, **odds)]

    assert 8 <= sum(some) <= 32
    assert not any(none)


# ------------------------------------------------------------------------------------------ wrong tests


def outcome_of(tests: str, solution: str) -> tuple[int, int]:
    """Tests of a unittest file that were run, and that failed."""
    names: dict[str, object] = {}
    exec(compile(solution, "solution.py", "exec"), names)
    source = re.sub(r"^from solution import (\w+) as (\w+)$", r"\2 = \1", tests, flags=re.MULTILINE)
    exec(compile(source.replace("from solution import *", ""), "tests.py", "exec"), names)
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(names["WrittenTest"])  # type: ignore[arg-type]
    result = unittest.TestResult()
    suite.run(result)
    return result.testsRun, len(result.failures)


SOLUTION = "def double(x):\n    return x * 2\n"


async def test_the_tester_expects_something_false_in_a_share_of_its_tests(tmp_path: Path):
    async def failed(share: float) -> int:
        questions = [f"Write double (problem Own/1). Plan {number}." for number in range(20)]
        said = await answers(tmp_path, questions, role="tester", tasks=[PROBLEM], wrong_tests=share)
        outcomes = [outcome_of(content_of(each), SOLUTION) for each in said]
        assert {run for run, _ in outcomes} == {3}
        return sum(failures for _, failures in outcomes)

    assert await failed(0.0) == 0
    assert 10 <= await failed(0.4) <= 38  # of 60
    assert await failed(1.0) == 60


@pytest.mark.parametrize(
    "expectation",
    [
        "assert f(1) == 2",
        "assert f(1) == 2, 'said'",
        "assert f(1) < 3",
        "assert [f(1)] == [2]",
        "assert (f(1), 1) == (2, 1)",
        "assert str(f(1)) == '2'",
        "assert (f(1) == 2) == True",
        "assert {'a': f(1)} == {'a': 2}",
        "self.assertEqual(f(1), 2)",
        "self.assertEqual(f(1), 1 + 1)",
        "self.assertTrue(f(1) == 2)",
        "self.assertIsNone(None)",
        "self.assertAlmostEqual(f(1), 2.0)",
        "with self.assertRaises(ZeroDivisionError):\n            f(1) / 0",
        "f(1)",
    ],
)
def test_a_false_test_fails_the_right_solution(expectation: str):
    source = (
        f"import unittest\n\nclass WrittenTest(unittest.TestCase):\n    def test_it(self):\n        {expectation}\n"
    )
    right = "def f(x):\n    return x + 1\n"

    assert outcome_of(source, right) == (1, 0)
    assert outcome_of(falsified(source, lambda _: True), right) == (1, 1)


def test_tests_that_are_not_chosen_and_files_that_cannot_be_read_stay_as_they_are():
    source = "def test_a():\n    assert 1 == 1  # a note\n"

    assert falsified(source, lambda _: False) == source
    assert falsified("def test_a(:\n", lambda _: True) == "def test_a(:\n"


def test_a_test_is_chosen_by_its_name_in_the_file():
    source = "class A:\n    def test_x(self):\n        assert 1 == 1\n\ndef test_y():\n    assert 1 == 1\n"
    asked: list[str] = []

    falsified(source, lambda name: bool(asked.append(name)))

    assert asked == ["A.test_x", "test_y"]


# ------------------------------------------------------------------------------------- wrong solutions


def test_mutants_are_python_that_differs_and_leave_what_ends_a_loop_alone():
    loop = "    while n > 0:\n        n -= 1\n"
    source = f'def f(n):\n    """A docstring."""\n{loop}    if n == 3:\n        return 5\n    return n\n'
    found = {mutant(source, number) for number in range(60)}

    assert len(found) >= 6
    for each in found:
        assert each is not None
        assert ast.get_docstring(ast.parse(each).body[0]) == "A docstring."  # type: ignore[arg-type]
        assert loop in each
        assert each != ast.unparse(ast.parse(source)) + "\n"


def test_all_mutants_are_those_that_are_drawn_each_with_its_chance():
    told = list(mutants(COUNT))
    drawn = {mutant(COUNT, number) for number in range(300)}
    assert {text for text, _ in told} == drawn
    assert sum(chance for _, chance in told) == pytest.approx(1.0)


def test_what_is_no_python_or_holds_no_code_has_no_mutant():
    assert mutant("def f(:\n") is None
    assert mutant("NAME = 'x'\n") is None


# --------------------------------------------------------------------------------------- HumanEval


def test_a_humaneval_problem_is_a_task_with_its_solution_and_a_test_for_each_assert():
    task = read_task(json.dumps(PROBLEM))

    assert task.id == "Own/1"
    assert task.matched("Implement double in solution.py as its docstring says (problem Own/1).")
    assert not task.matched("Implement double in solution.py as its docstring says (problem Own/11).")
    assert task.files == {"solution.py": 'def double(x):\n    """Twice x."""\n    return x * 2\n'}
    ((path, tests),) = task.tests.items()
    assert path == "test_written_double.py"
    assert outcome_of(tests, task.files["solution.py"]) == (3, 0)
    assert outcome_of(tests, "def double(x):\n    return 4\n") == (3, 2)


def test_a_test_without_asserts_of_its_own_is_one_test():
    through = "def inner(f):\n    assert f(1) == 2\n\ndef check(candidate):\n    inner(candidate)\n"

    assert outcome_of(split_tests(through, "double"), SOLUTION) == (1, 0)
    assert outcome_of(split_tests(through, "double"), "def double(x):\n    return 0\n") == (1, 1)


def test_a_problem_whose_test_is_no_python_is_refused():
    with pytest.raises(ValidationError, match="it is no Python"):
        read_task(json.dumps({**PROBLEM, "test": "def check(:"}))
