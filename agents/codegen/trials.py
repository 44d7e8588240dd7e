"""Small edits that every model should manage, to find out in which form it writes them well.

Owns the tasks and how an answer to one is judged: read and applied as in a run, then compared with the wanted file as
syntax trees, so that blanks and comments do not matter. Each task says word for word what is to stand there: it is the
form that is measured, not how well a model thinks.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.answers.edits import Rejected, apply_edits
from agents.codegen.coder import CODER, CoderQuestion
from agents.codegen.material import SourceFile
from agents.codegen.planner import Plan
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from agents.codegen.material import EditFormat
    from agents.model import Completion


@dataclass(frozen=True, slots=True)
class EditTrial:
    """One edit: the file before it, what is asked, and the file after it."""

    name: str
    path: str
    before: str
    asked: str
    after: str

    def question(self, edit_format: EditFormat) -> CoderQuestion:
        """What the coder is asked."""
        return CoderQuestion(
            task=self.asked,
            plan=Plan(summary=self.asked, files=[self.path], steps=["Make this one change, and no other."]),
            files=(SourceFile(self.path, self.before),),
            edit_format=edit_format,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far an answer got: each step needs the one before it. `why` says where it stopped."""

    readable: bool = False
    applied: bool = False
    right: bool = False
    why: str = ""


def judge_trial(trial: EditTrial, edit_format: EditFormat, completion: Completion) -> Verdict:
    """Judge an answer by what a run would make of it. Pure."""
    try:
        changes = CODER.answer(completion, trial.question(edit_format))
    except UnusableAnswer as problem:
        return Verdict(why=problem.reason)
    applied = apply_edits({trial.path: trial.before}, changes)
    if isinstance(applied, Rejected):
        return Verdict(readable=True, why=applied.reason)
    if set(applied.contents) - {trial.path}:
        return Verdict(readable=True, applied=True, why="it changes other files")
    same = _tree(applied.contents.get(trial.path, trial.before)) == _tree(trial.after)
    return Verdict(readable=True, applied=True, right=same, why="" if same else "the file is not as it was asked for")


def _tree(text: str | None) -> str | None:
    try:
        return None if text is None else ast.dump(ast.parse(text))
    except (SyntaxError, ValueError):
        return None


def _trial(name: str, path: str, before: str, asked: str, *edits: tuple[str, str]) -> EditTrial:
    after = before
    for old, new in edits:
        after = after.replace(old, new)
    return EditTrial(name, path, before, asked, after)


_SHAPES = """import math


def area(radius):
    return math.pi * radius**2


def ring(outer, inner):
    return area(outer) - area(inner)
"""
_LIMITS = """NAMES = ["a", "b"]


def allowed(count, limit=10):
    return count <= limit
"""
_STACK = '''class Stack:
    """Last in, first out."""

    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def size(self):
        return len(self.items)
'''
_WORDS = """def first_word(text):
    return text.split()[0]
"""
_PRICES = """def total(prices):
    result = 0
    for price in prices:
        result = result - price
    return result


def average(prices):
    return total(prices) / len(prices)
"""
_SETTINGS = """def load(values):
    name = values["name"]
    size = values["size"]
    return name, size


def unused(values):
    return list(values)


def save(name, size):
    return {"name": name, "size": size}
"""
_UNITS = "\n\n".join(
    f"def to_{name}(value):\n    factor = {factor}\n    result = value * factor\n    return round(result, 3)\n"
    for name, factor in (
        ("metres", 1), ("feet", 3.281), ("inches", 39.37), ("yards", 1.094), ("miles", 0.000621), ("cubits", 2.187),
        ("fathoms", 0.547), ("rods", 0.199), ("chains", 0.0497), ("furlongs", 0.00497), ("leagues", 0.000207),
    )
)  # fmt: skip

EDIT_TRIALS: tuple[EditTrial, ...] = (
    _trial(
        "two places", "shapes.py", _SHAPES,
        "In shapes.py rename the parameter radius of area to r, and make ring return abs(area(outer) - area(inner)).",
        ("area(radius)", "area(r)"), ("pi * radius**2", "pi * r**2"),
        ("return area(outer) - area(inner)", "return abs(area(outer) - area(inner))"),
    ),
    _trial(
        "default", "limits.py", _LIMITS,
        'In limits.py, in the function allowed, set the default of limit to 25, and return "count < limit".',
        ("limit=10", "limit=25"), ("count <= limit", "count < limit"),
    ),
    _trial(
        "method", "stack.py", _STACK,
        'In stack.py make the method size of Stack return "sum(1 for _ in self.items)".',
        ("return len(self.items)", "return sum(1 for _ in self.items)"),
    ),
    _trial(
        "addition", "words.py", _WORDS,
        'In words.py add a function last_word(text) after first_word; its whole body is "return text.split()[-1]".',
        ("[0]\n", "[0]\n\n\ndef last_word(text):\n    return text.split()[-1]\n"),
    ),
    _trial(
        "line", "prices.py", _PRICES,
        'In prices.py, in the function total, change the line "result = result - price" to "result = result + price".',
        ("result - price", "result + price"),
    ),
    _trial(
        "arguments", "config.py", _SETTINGS,
        'In config.py, in the function load, replace values["size"] by values.get("size", 0).',
        ('values["size"]', 'values.get("size", 0)'),
    ),
    _trial(
        "long file", "units.py", _UNITS,
        'In units.py make the function to_cubits return "round(result, 5)" instead of "round(result, 3)".',
        ("factor = 2.187\n    result = value * factor\n    return round(result, 3)",
         "factor = 2.187\n    result = value * factor\n    return round(result, 5)"),
    ),
)  # fmt: skip
"""In the order they are asked: what is cut off by a limit is the longest."""
