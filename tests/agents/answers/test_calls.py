"""Call expressions: which are let through, and what a person's answer to one becomes."""

from __future__ import annotations

import pytest

from agents.answers.asserting import answered_test, typed_answer
from agents.answers.calls import called_name, literal_call


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("f()", "f()"),
        (" `f( 1,[2 ] )`; ", "f(1, [2])"),
        ("f(-1, x={'a': (1, None)}, y=set())", "f(-1, x={'a': (1, None)}, y=set())"),
        ("Box.of({1, 2})", "Box.of({1, 2})"),
        ("f('naïve\\n')", "f('naïve\\n')"),
    ],
)
def test_call_with_literals_is_read_in_its_plain_spelling(text: str, call: str):
    assert literal_call(text) == call


@pytest.mark.parametrize(
    "text",
    [
        "", "f", "1", "f(x)", "f(1 + x)", "f(g(1))", "f(*[1])", "f(**{'a': 1})", "f(1)(2)", "f(1).g()", "assert f(1)",
        "f(1) == 2", "x = f(1)", "f(1)\nf(2)", "lambda: f(1)", "f(lambda: 1)", "f([x for x in 'ab'])", "f(10**9)",
        "__import__('os')", "f.__class__()", "f(f'{x}')", "f(" + "1, " * 200 + ")",
        "f(1", "f(\0)",
    ],
)  # fmt: skip
def test_what_could_act_or_is_no_call_is_refused(text: str):
    assert literal_call(text) is None


def test_name_that_is_called():
    assert [called_name(call) for call in ("f(1)", "Box.of('(')")] == ["f", "Box.of"]


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("[1,2]", "[1, 2]"), (" None ", "None"), ('"a"', "'a'"), ("-1", "-1"), ("raises  KeyError", "raises KeyError"),
        ("raises Trouble", None), ("raises", None), ("two", None), ("f(1)", None), ("", None), ("1 +", None),
    ],
)  # fmt: skip
def test_typed_answer_is_a_literal_or_an_exception(typed: str, answer: str | None):
    assert typed_answer(typed) == answer


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("2.5", "self.assertEqual(median([1, 4]), 2.5)"),
        ("raises ValueError", "with self.assertRaises(ValueError):"),
        ("'a\\'b'", 'self.assertEqual(median([1, 4]), "a\'b")'),
    ],
)
def test_answer_becomes_a_test_that_runs(answer: str, line: str):
    text = answered_test("src/app/calc.py", "median([1, 4])", answer)
    assert text is not None
    assert line in text
    assert "from app.calc import median\n" in text
    compile(text, "test.py", "exec")


@pytest.mark.parametrize(
    ("file", "answer"), [("calc.py", "<object at 0x…>"), ("calc.py", "raises app.Error"), ("my-calc.py", "1")]
)
def test_answer_that_no_test_can_say_becomes_none(file: str, answer: str):
    assert answered_test(file, "f(1)", answer) is None
