"""Applying changes to texts: all of them or none."""

from collections.abc import Mapping

import pytest

from agents.answers import Applied, Change, EditAnswer, FileAnswer, Rejected, apply_edits
from agents.answers.lines import Lines, occurrences
from agents.answers.nearest import nearest_lines

CODE = "def f(x):\n    if x:\n        return 1\n    return 2\n"


def applied(files: Mapping[str, str], *changes: Change) -> Mapping[str, str]:
    result = apply_edits(files, changes)
    assert isinstance(result, Applied), result
    return result.contents


def rejected(files: Mapping[str, str], *changes: Change) -> Rejected:
    result = apply_edits(files, changes)
    assert isinstance(result, Rejected), result
    return result


def edit(search: str, replace: str, path: str = "a.py") -> EditAnswer:
    return EditAnswer(path, search, replace)


def test_a_whole_file_replaces_or_makes_one():
    assert applied({"a.py": "1\n"}, FileAnswer("a.py", "2\n"), FileAnswer("b/c.py", "3\n")) == {
        "a.py": "2\n",
        "b/c.py": "3\n",
    }


def test_what_does_not_change_is_not_returned():
    assert applied({"a.py": "1\n", "b.py": "x\n"}, FileAnswer("a.py", "1\n"), edit("x\n", "x\n", "b.py")) == {}


@pytest.mark.parametrize(
    ("search", "replace", "expected"),
    [
        ("        return 1\n", "        return 3\n", CODE.replace("return 1", "return 3")),
        ("    return 2\n", "", CODE.replace("    return 2\n", "")),
        ("def f(x):  \n    if x:\t\n", "def g(x):\n    if x:\n", CODE.replace("f(x)", "g(x)")),
        ("if x:\n    return 1\n", "if not x:\n    return 1\n", CODE.replace("if x", "if not x")),
        ("return 2\n", "y = 2\n\nreturn y\n", CODE.replace("    return 2\n", "    y = 2\n\n    return y\n")),
        (
            "        if x:\n            return 1\n",
            "        if y:\n            return 1\n",
            CODE.replace("if x", "if y"),
        ),
        ("\n    return 2\n\n", "\n    return 3\n\n", CODE.replace("return 2", "return 3")),
    ],
    ids=["exact", "remove", "blanks at ends", "outdented", "blank line inside", "indented", "blank edges"],
)
def test_an_edit_finds_its_place(search: str, replace: str, expected: str):
    assert applied({"a.py": CODE}, edit(search, replace)) == {"a.py": expected}


def test_an_exact_place_wins_over_tolerant_ones():
    assert applied({"a.py": "  x\nx\n"}, edit("x\n", "y\n")) == {"a.py": "  x\ny\n"}


def test_later_changes_see_earlier_ones():
    changes = (FileAnswer("a.py", "1\n2\n"), edit("1\n", "one\n"), edit("one\n2\n", "done\n"))
    assert applied({}, *changes) == {"a.py": "done\n"}


def test_part_of_a_line_is_not_a_place():
    assert rejected({"a.py": "xy\n"}, edit("x\n", "z\n")).reason == "the searched lines are not in the file"


def test_two_places_are_ambiguous_and_named():
    result = rejected({"a.py": "x\ny\nx\n"}, edit("x\n", "z\n"))
    assert "2 places (lines 1, 3)" in result.reason


def test_two_indented_places_are_ambiguous_too():
    assert "2 places" in rejected({"a.py": "  x\n    x\n"}, edit("x\n", "z\n")).reason


def test_uneven_indentation_is_no_place():
    result = rejected({"a.py": "a\n  b\n"}, edit("  a\n  b\n", "c\n"))
    assert result.reason == "the searched lines are not in the file"


def test_tabs_and_blanks_are_not_mixed_up():
    assert applied({"a.py": "\ta\n"}, edit("    a\n", "    b\n        c\n")) == {"a.py": "\tb\n\t\tc\n"}
    assert isinstance(apply_edits({"a.py": "\ta\n"}, [edit("    a\n", "    b\n      c\n")]), Rejected)


def test_new_lines_that_cannot_lose_the_indentation_are_no_fit():
    assert isinstance(apply_edits({"a.py": "a\n"}, [edit("    a\n", "b\n")]), Rejected)


def test_a_failed_search_shows_the_nearest_lines():
    result = rejected({"a.py": CODE}, edit("    if x:\n        return 7\n", ""))
    assert result.hint.endswith("    if x:\n        return 1")
    typo = rejected({"a.py": CODE}, edit("    retrun 2\n", ""))
    assert "    return 2" in typo.hint
    assert "Copy the lines" in rejected({"a.py": CODE}, edit("zzzzzz\n", "")).hint


def test_one_change_that_does_not_fit_leaves_everything_as_it_was():
    files = {"a.py": "1\n", "b.py": "2\n"}
    result = apply_edits(files, [FileAnswer("a.py", "9\n"), edit("nope\n", "", "b.py")])
    assert isinstance(result, Rejected)
    assert result.path == "b.py"
    assert files == {"a.py": "1\n", "b.py": "2\n"}


def test_an_empty_search_makes_a_file_only_where_there_is_none():
    assert applied({}, edit("", "x\n")) == {"a.py": "x\n"}
    assert applied({"a.py": ""}, edit("", "x\n")) == {"a.py": "x\n"}
    assert "exists" in rejected({"a.py": "1\n"}, edit("", "x\n")).reason


def test_a_search_in_a_file_that_is_not_there_names_its_namesake():
    result = rejected({"src/a.py": "1\n"}, edit("1\n", "2\n"))
    assert result.hint == "Did you mean src/a.py?"
    assert rejected({}, edit("1\n", "2\n")).hint == "Give a new file whole."


def test_a_search_of_blank_lines_fits_anywhere_and_nowhere():
    assert "blank lines" in rejected({"a.py": "a\n\nb\n"}, edit("\n", "x\n")).reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n"),
        ("a\r\nb\r\nc", "a\r\nB\r\nc"),
        ("a\nb\r\nc\r\nd\r\n", "a\nB\r\nc\r\nd\r\n"),
        ("a\r\nb\nc\n", "a\r\nB\nc\n"),
        ("\ufeffa\nb\nc\n", "\ufeffa\nB\nc\n"),
        ("a\nb", "a\nB"),
        ("a\vb\x0cc\u2028d\nb\n", "a\vb\x0cc\u2028d\nB\n"),
    ],
)
def test_line_ends_and_marks_of_the_file_stay(before: str, after: str):
    assert applied({"a.py": before}, edit("b\n", "B\n")) == {"a.py": after}


def test_a_whole_file_takes_over_line_ends_and_mark():
    assert applied({"a.py": "\ufeffa\r\nb\r\n"}, FileAnswer("a.py", "x\ny\n")) == {"a.py": "\ufeffx\r\ny\r\n"}


@pytest.mark.parametrize(
    "line",
    [
        "# ... existing code ...",
        "    // ... rest of the code remains unchanged",
        "/* ... other methods ... */",
        "# … остальной код без изменений …",
        "# ... 其余代码保持不变 ...",
    ],
)
def test_a_whole_file_that_left_lines_out_is_rejected(line: str):
    assert "is not whole" in rejected({"a.py": CODE}, FileAnswer("a.py", f"x = 1\n{line}\n")).reason
    assert applied({"a.py": f"{line}\n"}, FileAnswer("a.py", f"x = 1\n{line}\n"))


def test_another_case_of_a_known_file_is_rejected_and_another_composition_is_that_file():
    assert rejected({"A.py": "1\n"}, FileAnswer("a.py", "2\n")).hint == "Did you mean A.py?"
    assert rejected({}, FileAnswer("A.py", "1\n"), FileAnswer("a.py", "2\n")).path == "a.py"
    assert applied({"cafe\u0301.py": "1\n"}, FileAnswer("caf\u00e9.py", "2\n")) == {"cafe\u0301.py": "2\n"}
    assert applied({"A.py": "1\n", "a.py": "1\n"}, FileAnswer("A.py", "2\n")) == {"A.py": "2\n"}


def test_a_file_cannot_stand_where_a_folder_is_or_below_a_file():
    assert "a.py is one" in rejected({"a.py": "1\n"}, FileAnswer("a.py/b.py", "2\n")).reason
    assert "src/a.py is one" in rejected({"src/a.py": "1\n"}, FileAnswer("src", "2\n")).reason
    assert isinstance(apply_edits({}, [FileAnswer("x", "1\n"), FileAnswer("x/y", "2\n")]), Rejected)


def test_lines_come_back_as_they_were_for_any_mixture():
    for text in ("", "\n", "a", "a\r\n\n\r\nb", "\r", "\ufeff", "\ufeffa\rb\n"):
        assert str(Lines.of(text)) == text


def test_lines_added_behind_an_unended_last_line_start_on_a_line_of_their_own():
    assert str(Lines.of("a").replaced(1, 1, ["b"])) == "a\nb\n"


def test_occurrences_may_overlap():
    assert list(occurrences(["a", "a"], ["a", "a", "a", "b"])) == [0, 1]
    assert list(occurrences(["A"], ["x", "a"], str.lower)) == [1]


def test_nothing_is_near_in_an_empty_file():
    assert nearest_lines(["abc"], []) == ()


def test_block_in_a_sentence_that_may_be_a_planned_file_is_refused_with_what_to_write():
    files = {"a.py": "def f():\n    return 1\n", "main.py": "import a\n\n\ndef main():\n    a.f()\n"}
    changes = [FileAnswer("a.py", "def f():\n    return 2\n"), FileAnswer("main.py", "print(a.f())\n", aside=True)]
    result = apply_edits(files, changes, planned=("a.py", "main.py"))
    assert isinstance(result, Rejected)
    assert (result.path, "write a line File:" in result.hint, "leave it out" in result.hint) == ("main.py", True, True)
    shown = apply_edits(files, changes, planned=("a.py",))
    assert isinstance(shown, Applied)
    assert (list(shown.contents), shown.passed_over) == (["a.py"], ("main.py",))


@pytest.mark.parametrize(
    ("before", "content"),
    [("x = 1\n", "y = 2\n"), ("x = 1\ny = 2\n", "x = 1\n"), ("from a import f\n", "__all__ = []\n")],
)
def test_file_that_was_not_shown_is_not_replaced(before: str, content: str):
    result = apply_edits({"p/__init__.py": before}, [FileAnswer("p/__init__.py", content)], shown=("a.py",))
    assert isinstance(result, Rejected)
    assert result.unseen == ("p/__init__.py",)
    assert "another name" in result.hint


def test_file_that_was_not_shown_may_be_changed_where_nothing_is_lost():
    files = {"a.py": "x = 1\n", "p/__init__.py": "from a import x\n", "empty.py": ""}
    changes = [
        FileAnswer("a.py", "x = 1\ny = 2\n"), FileAnswer("p/__init__.py", ""), FileAnswer("empty.py", "z = 1\n"),
        FileAnswer("new.py", "n = 1\n"), FileAnswer("new.py", "n = 2\n"),
    ]  # fmt: skip
    result = apply_edits(files, changes, shown=())
    assert result == Applied({"a.py": "x = 1\ny = 2\n", "empty.py": "z = 1\n", "new.py": "n = 2\n"})


def test_every_file_that_was_not_shown_is_told():
    files = {"a.py": "x = 1\n", "b.py": "y = 1\n"}
    changes = [FileAnswer("a.py", "z = 1\n"), FileAnswer("b.py", "z = 2\n")]
    assert rejected(files, FileAnswer("a.py", "")).unseen == ()
    result = apply_edits(files, changes, shown=())
    assert isinstance(result, Rejected)
    assert result.unseen == ("a.py", "b.py")
