"""Whether a changed file can be read."""

from __future__ import annotations

import ast

import pytest

from infrastructure.workflow.syntax import CHECKED_BYTES, syntax_error

FINE = "def add(a, b):\n    return a + b\n"
BROKEN = "x = 1\ndef add(a, b:\n    return a + b\n"


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        ("a.py", None, FINE, ""),
        ("a.py", FINE, BROKEN, "syntax error in line 2"),
        ("a.py", None, BROKEN, "syntax error in line 2"),
        ("a.pyi", None, BROKEN, "syntax error"),
        ("a.py", BROKEN, BROKEN + "y = 2\n", ""),
        ("a.py", BROKEN, FINE, ""),
        ("a.js", None, BROKEN, ""),
        ("a.py", None, "x = '\\d'\n", ""),
        ("a.py", None, "x = 1\x00", "null bytes"),
        ("a.py", None, "(" * 5000, ""),
        ("a.py", None, "", ""),
        ("a.py", None, BROKEN + "#" * CHECKED_BYTES, ""),
    ],
)
def test_file_is_read_by_its_language_and_left_alone_where_nobody_can_tell(path, before, after, said):
    found = syntax_error(path, before, after)
    assert said in found
    if not said and after != "(" * 5000:
        assert found == ""


def test_fault_of_the_reader_itself_is_not_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(*_: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch (before=120, after=172)")

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", disturbed)
        found = syntax_error("a.py", None, BROKEN)
    assert found == ""
