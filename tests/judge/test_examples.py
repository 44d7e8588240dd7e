"""Examples that texts state of functions: which spellings are read, and what is left out."""

from __future__ import annotations

import pytest

from infrastructure.judge.examples import (
    MAX_LINE,
    MAX_TEXT,
    MOST,
    defined_functions,
    documented_examples,
    stated_examples,
    unwritten_functions,
)


def stated(text: str, *functions: str) -> list[tuple[str, str]]:
    return [(each.call, each.value) for each in stated_examples(text, functions or ("f",))]


@pytest.mark.parametrize(
    ("text", "call", "value"),
    [
        (">>> f(2)\n4", "f(2)", "4"),
        ("    >>> f([1, 2])  # a remark\n    [2,\n     4]\n", "f([1, 2])", "[2, 4]"),
        (">>> f(2) == 4", "f(2)", "4"),
        (">>> f(2) == 4\nTrue", "f(2)", "4"),
        (">>> f([])\n\n>>> g(1)\n2", "f([])", "None"),
        ("area: f(1) returns 3.14", "f(1)", "about 3.14"),
        ("f(1) -> -0.5", "f(1)", "about -0.5"),
        ("f(1) => 0.5", "f(1)", "about 0.5"),
        ("f(1) == 0.5 and f(1) gives 0.5", "f(1)", "0.5"),
        (">>> round(f(2), 2)\n0.67", "round(f(2), 2)", "0.67"),
        (">>> f(-1)\nTraceback (most recent call last):\n  ...\nValueError: no", "f(-1)", "raises ValueError"),
        ("f(2) == 4", "f(2)", "4"),
        ("For example f(2)=> 4.", "f(2)", "4"),
        ("f('a)b') ==> 'b(a'  # turned", "f('a)b')", "'b(a'"),
        ("f(2, 3) ➞ False ", "f(2, 3)", "False"),
        ("f(2) -> true", "f(2)", "True"),
        ("`f(2)` is said; f(3) returns 9", "f(3)", "9"),
        ("f(3) should return [9, 3];", "f(3)", "[9, 3]"),
        ("f(3) gives '#'", "f(3)", "'#'"),
        ("for f(7, 34) == 34", "f(7, 34)", "34"),
    ],
)
def test_example_is_read(text: str, call: str, value: str):
    assert stated(text) == [(call, value)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f(2) is a number",
        "f(2) = 1 + (2 / 2) = 2",
        "f(2) returns 4 times as much",
        "f(2) returns 4, 5, and 6",
        "f(x) == 4",
        "g(2) == 4",
        "of(2) == 4",
        "s.f(2) == 4",
        ">>> f(2)  # doctest: +SKIP\n4",
        ">>> f(2)\n\n4",
        ">>> f(2)",
        "Print a number.\n>>> f(2)\n2",
        "f(2)",
        "f(2",
        ">>> print(f(2))\n4",
        ">>> f(2) == 4\nFalse",
        ">>> f(range(9))\n[0, ..., 8]",
        ">>> f([1]) [1]",
        ">>> f(open('x'))\n4",
        ">>> f(**{'a': 1})\n4",
        ">>> x = f(2)\n>>> x\n4",
        ">>>f(2)\n4",
        "f(2) == ''a'",
        "f(2) == [1, ...]",
        "f(2) == " + "1" * 500,
    ],
)
def test_what_is_no_example_or_not_literal_is_left_out(text: str):
    assert stated(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "f(2, 2) returns 5. It should return 4.",
        "f(2, 2) returns 5\nbut it should return 4",
        "f(2) returns 5, instead of 4",
        "f(2) is 5; wrong.",
        "f(2) == 5  # that is wrong",
        "It is a bug that f(2) returns 5.",
        "It is a bug that\nf(2) returns 5.",
        "Currently f(1) gives 2, and f(2) gives 5.",
        "if f(2) == 0: raise",
        "while f(2) == 0:",
        "It isn't so that f(2) == 5",
        "Unless f(2) is 0, go on.",
    ],
)
def test_what_may_be_said_of_how_things_are_is_left_out(text: str):
    assert stated(text) == []


def test_words_of_doubt_in_another_sentence_leave_an_example_as_it_is():
    assert stated("Return 0 if x is wrong. f(2) == 4. f should not raise.") == [("f(2)", "4")]
    assert stated("This is a bug:\n>>> f(2)\n4\n\nIt should be kept.") == [("f(2)", "4")]


def test_several_in_one_line_are_read():
    text = "It holds that f(1) == 2, f(2) gives [2, 3] and `f(3)` should give '; 4'; f(4) is 5: so it is."
    assert stated(text) == [("f(1)", "2"), ("f(2)", "[2, 3]"), ("f(4)", "5")], "a backtick ends the third's call"


def test_call_that_is_said_to_give_two_things_says_nothing():
    assert stated("f(1) == 2\nf(2) == 3\nf(1) == 4\nf(2) == 3") == [("f(2)", "3")]


def test_no_more_than_so_many():
    assert len(stated("\n".join(f"f({number}) == 1" for number in range(50)))) == MOST


def test_text_or_line_that_is_data_is_not_read():
    assert stated("f(1) == 2\n" + "x\n" * (MAX_TEXT // 2)) == []
    assert stated("f(1) == 2" + " " * MAX_LINE + "\nf(2) == 3") == [("f(2)", "3")]


def test_value_that_is_nested_too_deep_to_be_spelled_is_left_out():
    hostile = "-" * 350 + "1"
    assert stated(f">>> f(2) == {hostile}\n>>> f(3)\n4") == [("f(3)", "4")]
    assert stated(f"f({hostile}) == 1\nf(3) == 4") == [("f(3)", "4")]


def test_hostile_lines_come_to_an_end():
    """Where a regular expression takes a way back for every blank, these take minutes."""
    blanks = " " * (MAX_LINE - 40)
    assert stated(f"f(2) == 4{blanks}x\n" * 20) == []
    assert stated("f(1) == " + "x. " * 600 + "\nf(" + ")" * 1900) == []
    assert stated(("f(1)" * 490 + "\n") * 25) == []
    assert documented(f"for a = 1, k = 2{blanks}x\n" * 20) == []
    assert documented("for a=2 " * 240 + "\n" + f"for a = 1 result is{blanks}") == []
    assert stated(f"f(1) == 2{blanks}, and `f(2)` == 3") == [("f(1)", "2")]


def documented(docstring: str, parameters: str = "a, k") -> list[tuple[str, str]]:
    source = f'def f({parameters}):\n    """{docstring}"""\n    raise NotImplementedError\n'
    return [(each.call, each.value) for each in documented_examples(source, ["f"])]


@pytest.mark.parametrize(
    ("docstring", "parameters", "call", "value"),
    [
        ("Input: a = [1, 2], k = 2\n    Output: [2] # the larger", "a, k", "f(a=[1, 2], k=2)", "[2]"),
        ("Input: [4, 2]\n\n    Output: []", "a", "f([4, 2])", "[]"),
        ("For a = 'x', k = 1 the output should be ('x', True)", "a, k", "f(a='x', k=1)", "('x', True)"),
        ("for a = [], the result should be 0.", "a", "f(a=[])", "0"),
        ("k must be 1.\n    >>> f(2, k=1)\n    3\n    ", "a, *, k", "f(2, k=1)", "3"),
    ],
)
def test_example_by_the_names_of_parameters_is_read(docstring: str, parameters: str, call: str, value: str):
    assert documented(docstring, parameters) == [(call, value)]


@pytest.mark.parametrize(
    "docstring",
    ["Input: a = 1\n    Output: 2", "Input: b = 1, k = 2\n    Output: 2", "Input: a = 1, k = x\n    Output: 2"],
)
def test_example_that_does_not_fit_the_parameters_is_left_out(docstring: str):
    assert documented(docstring) == []


def test_docstrings_of_other_functions_and_of_the_file_count_where_they_call_it():
    source = '"""f(1) == 1"""\ndef f(x):\n    pass\nclass C:\n    def f(self):\n        """f(3) == 3"""\n'
    source += 'async def g(x):\n    """f(2) == 2; g(2) == 5"""\n'
    assert [each.call for each in documented_examples(source, ["f"])] == ["f(1)", "f(2)"]
    assert defined_functions(source) == ("f", "g")


def test_function_that_only_says_that_it_is_not_there_is_unwritten():
    bodies = [
        '"""a"""',
        "pass",
        "...",
        '"""a"""\n    raise NotImplementedError("later")',
        "raise ValueError",
        "return 1",
    ]
    source = "".join(f"def f{number}():\n    {body}\n" for number, body in enumerate(bodies))
    assert unwritten_functions(source) == ("f0", "f1", "f2", "f3")


def test_file_that_is_no_python_has_none():
    assert documented_examples("def f(:", ["f"]) == ()
    assert defined_functions("def f(:") == ()
