"""What counts as reaching for the judge, and what does not."""

import pytest

from infrastructure.judge.meddling import newly_named


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import unittest", ("unittest",)),
        ("import unittest.mock as mock", ("unittest.mock",)),
        ("from unittest import TestCase", ("unittest.TestCase",)),
        ("from _pytest.runner import CallInfo", ("_pytest.runner.CallInfo",)),
        ("import pytest as p\np.main = None", ("pytest", "pytest.main (changed)")),
        ("import __main__", ("__main__",)),
        ("import sys\nsys.modules['__main__'].RANK.clear()", ("__main__",)),
        ("u = __import__('unittest')", ("unittest",)),
        ("import importlib\nimportlib.import_module('_pytest.runner')", ("_pytest.runner",)),
        ("from unittest import TestCase\nsetattr(TestCase, 'assertEqual', print)",
         ("unittest.TestCase", "unittest.TestCase (changed)")),
        ("from unittest import TestCase as T\nU = T\ndel U.assertEqual",
         ("unittest.TestCase", "unittest.TestCase.assertEqual (changed)")),
        ("import gc\ngc.get_objects()", ("gc.get_objects",)),
        ("from gc import get_referrers as g\ng(1)", ("gc.get_referrers",)),
        ("import gc\ngetattr(gc, 'get_objects')()", ("get_objects",)),
        ("import sys\nsys._getframe(1).f_back.f_locals", ("f_back", "sys._getframe")),
        ("try:\n    1/0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_back", ("f_back",)),
        ("import inspect\ninspect.stack()", ("inspect.stack",)),
        ("def broken(:\n    import unittest", ("unittest",)),  # left to the tests, by a grammar ahead of ours
    ],
)  # fmt: skip
def test_new_file_names_the_framework_or_the_means_to_find_it(text: str, names: tuple[str, ...]) -> None:
    assert newly_named("app.py", None, text) == names


@pytest.mark.parametrize(
    "text",
    [
        'if __name__ == "__main__":\n    main()',
        'if "__main__" == __name__:\n    main()',
        '"""Run with pytest, or as unittest does."""\n# import unittest',
        "from .unittest import x\nfrom . import pytest\nfrom pkg.__main__ import main",
        "import gc\ngc.collect()",
        "import sys\nsys.path.append('x')\nsys.modules.get('json')",
        "import inspect\ninspect.signature(print)",
        "config.pytest.x = 1\nself.unittest = 2",
        "NAME = 'pytest.ini'\nREQUIRES = ['pytest>=8']",
        "frame.f_locals",
    ],
)
def test_file_that_reaches_for_nothing(text: str) -> None:
    assert newly_named("app.py", None, text) == ()


@pytest.mark.parametrize("path", ["README.md", "setup.cfg", "app.rb", "notes.txt", "Makefile"])
def test_what_is_no_python_names_nothing(path: str) -> None:
    assert newly_named(path, None, "import unittest, __main__\n") == ()


OLD = "import unittest\n\n\nclass Case(unittest.TestCase):\n    pass\n"


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (OLD, ()),
        (OLD + "\n\ndef add(a, b):\n    return a + b\n", ()),
        (OLD + "\n\nclass Other(unittest.TestCase):\n    pass\n", ()),
        (OLD + "\n\nunittest.TestCase.assertEqual = print\n", ("unittest.TestCase.assertEqual (changed)",)),
        (OLD + "\n\nsetattr(unittest.TestCase, 'fail', print)\n", ("unittest.TestCase (changed)",)),
        (OLD + "\n\nimport pytest\n", ("pytest",)),
        ("def add(a, b):\n    return a + b\n", ()),
    ],
)
def test_only_what_the_file_did_not_name_before_counts(after: str, names: tuple[str, ...]) -> None:
    assert newly_named("helpers.py", OLD, after) == names


@pytest.mark.parametrize("text", ["x = " + "(" * 3000 + ")" * 3000, "# " + "x" * (300 << 10) + "\n"])
def test_file_that_is_too_much_for_the_grammar_is_searched_as_text(text: str) -> None:
    assert newly_named("app.py", None, text) == ()
    assert newly_named("app.py", None, text + "\nimport unittest\n") == ("unittest",)


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("calc.js", "process.exit(0)", "process.exit"),
        ("calc.js", "process['ex' + 'it'](0)", "process["),
        ("calc.mjs", "import assert from 'node:assert'", "'node:assert'"),
        ("calc.cjs", "require('assert').strictEqual = () => {}", "'assert'"),
        ("calc.js", "require('as' + 'sert')", None),
        ("calc.js", "require(name)", "require(n"),
        ("calc.ts", "globalThis['expect']", "globalThis["),
        ("calc.go", 'package calc\nimport "os"\nfunc init() { os.Exit(0) }', "os.Exit"),
        ("calc.go", 'import "testing"', '"testing"'),
        ("src/lib.rs", "std::process::exit(0)", "process::exit"),
        ("src/lib.rs", "macro_rules! assert_eq { () => {} }", "macro_rules! assert_eq"),
        ("calc.js", "exports.add = (a, b) => a + b", None),
        ("calc.go", 'import "os"\nvar x = os.Getenv("X")', None),
        ("src/lib.rs", "pub fn add(a: i32, b: i32) -> i32 { a + b }", None),
    ],
)
def test_other_languages_are_searched_as_text(path: str, text: str, name: str | None) -> None:
    assert newly_named(path, None, text) == ((name,) if name else ())
    assert newly_named(path, text, text + "\n") == ()
