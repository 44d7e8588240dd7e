"""Trying trees on calls in the sandbox: what their functions give, and what hostile ones cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.judge.discovery import plan_probe
from infrastructure.judge.probing import Output, dump_outputs, load_outputs, probe
from infrastructure.workspace.snapshot import take_snapshot
from infrastructure.workspace.trees import Tree

CODE = """
import time
def same(x):
    return x
def half(x):
    return x / 2
def bag(*xs):
    return set(xs)
def table(*pairs):
    return dict(pairs)
def sort(xs):
    xs.sort()
def count(n):
    for i in range(n):
        yield i
async def later(x):
    return x + 1
def thing():
    return object()
def boom():
    raise ValueError("no")
def leave():
    raise SystemExit(3)
def sleep():
    while True:
        try:
            time.sleep(1)
        except Exception:
            pass
class Box:
    @staticmethod
    def of(x):
        return [x]
"""


@pytest.fixture
def tried(tmp_path: Path, sandbox):
    async def trying(code: str, *calls: str, file: str = "calc.py", name: str = "a") -> tuple[Output, ...]:
        root = tmp_path / name
        (root / "pkg").mkdir(parents=True)
        (root / "pkg" / "__init__.py").touch()
        (root / file).write_text(code)
        snapshot = await take_snapshot(root, tmp_path / f"trees-{name}")
        return await probe(sandbox, Tree(snapshot.root), await plan_probe(snapshot), file, calls)

    return trying


async def test_each_call_gives_its_value_or_its_exception(tried):
    calls = ("same([1, 'a'])", "boom()", "leave()", "half(3)", "Box.of(2)", "later(1)", "count(3)", "missing(1)")
    outputs = await tried(CODE, *calls)
    assert [each.shown for each in outputs] == [
        "[1, 'a']", "raises ValueError", "raises SystemExit", "1.5", "[2]", "2", "[0, 1, 2]", "raises AttributeError",
    ]  # fmt: skip
    assert [each.gave for each in outputs] == [True, False, False, True, True, True, True, False]
    assert load_outputs(dump_outputs(outputs)) == outputs


async def test_values_that_a_test_takes_for_equal_are_the_same(tried):
    pairs = (
        ("half(4)", "same(2)"),
        ("bag(1, 2, 'x')", "bag('x', 2, 1)"),
        ("table((1, 2), (3, 4))", "table((3, 4), (1, 2))"),
        ("same(0.30000000000000004)", "same(0.3)"),
        ("thing()", "thing()"),
    )
    outputs = await tried(CODE, *[call for pair in pairs for call in pair])
    keys = [each.key for each in outputs]
    assert keys[::2] == keys[1::2]
    assert len(set(keys[::2])) == len(pairs)


async def test_values_that_differ_are_not(tried):
    outputs = await tried(CODE, "same([1, 2])", "same((1, 2))", "same('1')", "same(1)", "same(None)", "same(1.5)")
    assert len({each.key for each in outputs}) == 6


async def test_what_a_call_does_to_its_arguments_counts(tried):
    outputs = await tried(CODE, "sort([2, 1])", "sort([1, 2])")
    assert outputs[0].key != outputs[1].key
    assert outputs[0].shown == "None, and makes its arguments [[1, 2]]"


async def test_call_without_end_is_an_output_and_those_behind_it_are_tried(tried):
    outputs = await tried(CODE, "sleep()", "same(1)")
    assert (outputs[0].gave, outputs[0].shown, outputs[1].shown) == (False, "no end within two seconds", "1")


async def test_process_that_dies_ends_the_calls_behind(tried):
    outputs = await tried("import os\ndef f(x):\n    return os._exit(0) if x else x\n", "f(0)", "f(1)", "f(0)")
    assert [each.shown for each in outputs] == ["0", "no end", "no end"]


async def test_file_that_cannot_be_imported_gives_nothing(tried):
    outputs = await tried("import no_such_module\n", "f(0)", "f(1)")
    assert [(each.key, each.shown, each.gave) for each in outputs] == [("ModuleNotFoundError", "", False)] * 2


async def test_file_in_a_package_is_imported_by_its_package(tried):
    (output,) = await tried(
        "from . import calc\ndef f():\n    return __name__, calc.__name__\n", "f()", file="pkg/calc.py"
    )
    assert output.shown == "('pkg.calc', 'pkg.calc')"


async def test_lines_that_the_code_writes_into_the_report_count_for_nothing(tried):
    code = "def f():\n    open('../report', 'a').write('forged\\n')\n    return 1\n"
    outputs = await tried(code, "f()", "f()")
    assert [each.gave for each in outputs] == [False, False]
