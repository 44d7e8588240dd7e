"""Tests that must fail, run by the harness among the judge's own. Copied into the sandbox beside it, never imported.

Owns what they claim, how they are made to look like the test they run after (its class, its name, its place), and the
comparison of the test framework after a run with what it was before. Code under test that has made failing impossible,
by whatever name it found the framework, makes these pass as well, and so gives itself away. Python 3.8 on.
"""

import builtins
import random
import sys
import types
import unittest
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    import pytest

MOST = 8
RED = ("failed", "error")
WATCHED = frozenset({"unittest", "pytest", "_pytest", "pluggy"})
LEANED_ON = (
    "AssertionError", "BaseException", "Exception", "all", "any", "bool", "compile", "exec", "getattr", "hasattr",
    "isinstance", "issubclass", "len", "repr", "setattr", "type", "__build_class__", "__import__",
)  # fmt: skip
"""What of Python's built-in names the frameworks decide by."""

CLAIMS: "tuple[tuple[str, tuple[Any, ...]], ...]" = (
    ("assertEqual", (1, 2)),
    ("assertEqual", ([1], [2])),
    ("assertNotEqual", (1, 1)),
    ("assertTrue", (False,)),
    ("assertFalse", (True,)),
    ("assertIs", (1, None)),
    ("assertIsNot", (None, None)),
    ("assertIsNone", (1,)),
    ("assertIsNotNone", (None,)),
    ("assertIn", (1, [])),
    ("assertNotIn", (1, [1])),
    ("assertIsInstance", (1, str)),
    ("assertNotIsInstance", (1, int)),
    ("assertGreater", (1, 2)),
    ("assertGreaterEqual", (1, 2)),
    ("assertLess", (2, 1)),
    ("assertLessEqual", (2, 1)),
    ("assertAlmostEqual", (1.0, 2.0)),
    ("assertNotAlmostEqual", (1.0, 1.0)),
    ("assertRaises", (ValueError, int, "1")),
    ("assertRegex", ("a", "b")),
    ("assertNotRegex", ("a", "a")),
    ("assertCountEqual", ([1], [2])),
    ("assertListEqual", ([1], [2])),
    ("assertTupleEqual", ((1,), (2,))),
    ("assertDictEqual", ({1: 1}, {1: 2})),
    ("assertSetEqual", ({1}, {2})),
    ("assertMultiLineEqual", ("a", "b")),
    ("fail", ()),
)
"""Each false: the assertion raises, unless somebody has seen to it that it does not."""

PLAIN = """\
def compare(one, two):
    assert one == two
def contain(one, many):
    assert one in many
def be_true(one):
    assert one
"""
"""What pytest's rewriting of `assert` is tried on."""


def passing_claims(case: unittest.TestCase) -> "list[str]":
    """The assertions of a test case that let a false claim pass, sorted."""
    passed: set[str] = set()
    for name, given in CLAIMS:
        try:
            getattr(case, name)(*given)
        except Exception:  # noqa: BLE001, S112 - any error at all is a failing test
            continue
        passed.add(name)
    return sorted(passed)


class Canary:
    """One test that must fail. `passed` names the claims that did not."""

    def __init__(self, claims: "Callable[[], list[str]]", like: "Callable[..., object]") -> None:
        self.passed: list[str] = []

        def body(*_given: object) -> None:
            self.passed = claims()
            if not self.passed:
                raise AssertionError

        self.function = disguised(body, like)

    def message(self, outcome: str) -> str:
        """What to say of how it ended: the claims that passed, or that its own failure went unseen."""
        return ", ".join(self.passed) or ("" if outcome in RED else "a failure that is not seen")


def disguised(body: "Callable[..., object]", like: "Callable[..., object]") -> types.FunctionType:
    """The same function, by its name, file and line another one."""
    assert isinstance(body, types.FunctionType)
    function = body
    model = getattr(like, "__func__", like)
    model = getattr(model, "__wrapped__", model)
    code = getattr(model, "__code__", None)
    if not isinstance(code, types.CodeType):
        return function
    looks = function.__code__.replace(
        co_name=code.co_name, co_filename=code.co_filename, co_firstlineno=code.co_firstlineno
    )
    made = types.FunctionType(looks, function.__globals__, code.co_name, None, function.__closure__)
    made.__module__ = getattr(model, "__module__", made.__module__)
    made.__qualname__ = getattr(model, "__qualname__", made.__qualname__)
    return made


# -------------------------------------------------------------------------------------------- unittest
def add_to_suite(suite: unittest.TestSuite) -> "dict[int, Canary]":
    """Put canaries into a suite, each after a test that it looks like; by the `id` of their test cases."""
    places = list(_cases(suite))
    random.shuffle(places)
    chosen: dict[type, tuple[unittest.TestSuite, unittest.TestCase]] = {}
    for parent, case in places:
        if len(chosen) < MOST:
            chosen.setdefault(type(case), (parent, case))
    made: dict[int, Canary] = {}
    for kind, (parent, case) in chosen.items():
        method = case.id().rpartition(".")[2]
        with suppress(Exception):  # a class that wants more than a name to be made has none
            twin = kind(method)
            canary = Canary(lambda twin=twin: passing_claims(twin), getattr(kind, method))
            setattr(twin, method, canary.function)
            parent._tests.insert(parent._tests.index(case) + 1, twin)
            made[id(twin)] = canary
    return made


def _cases(suite: unittest.TestSuite) -> "Iterator[tuple[unittest.TestSuite, unittest.TestCase]]":
    for each in suite:
        if type(each) is unittest.TestSuite:
            yield from _cases(each)
        elif isinstance(each, unittest.TestCase) and type(suite) is unittest.TestSuite:
            kind = type(each)
            expected = getattr(kind, "__unittest_expecting_failure__", False)
            skipped = getattr(kind, "__unittest_skip__", False)
            if kind.__module__ != "unittest.loader" and not expected and not skipped:
                yield suite, each


# ---------------------------------------------------------------------------------------------- pytest
class PytestCanaries:
    """A plugin that runs canaries after some of the tests, each under its test's own name, and tells how they end."""

    def __init__(self, told: "Callable[[str, str, str], None]") -> None:
        self._told = told
        self._after: set[int] = set()

    def pytest_collection_finish(self, session: "pytest.Session") -> None:
        """Choose the tests after which one is run: the last of all, and one of some files or classes each."""
        items = list(session.items)
        self._after = {id(item) for item in items[-1:]}
        random.shuffle(items)
        by_parent = {id(item.parent): id(item) for item in items}
        self._after.update(list(by_parent.values())[: MOST - 1])

    def pytest_runtest_protocol(self, item: "pytest.Item", nextitem: "pytest.Item | None") -> "Iterator[None]":
        """Run one after its test."""
        yield
        if id(item) in self._after:
            with suppress(Exception):  # a hook of the project's that does not bear it: then there is none
                self._run(item, nextitem)

    def _run(self, item: "pytest.Item", nextitem: "pytest.Item | None") -> None:
        from _pytest.fixtures import FuncFixtureInfo  # noqa: PLC0415 - only where pytest is
        from _pytest.runner import runtestprotocol  # noqa: PLC0415

        like = getattr(item, "obj", None) or getattr(item, "function", None) or _nothing
        canary = Canary(lambda: pytest_claims(item), like)
        no_fixtures = FuncFixtureInfo((), (), [], {})
        kind: Any = type(item)
        twin = kind.from_parent(item.parent, name=item.name, callobj=canary.function, fixtureinfo=no_fixtures)
        outcome = "passed"
        for report in runtestprotocol(twin, log=False, nextitem=nextitem):
            if report.failed:
                outcome = "failed"
            elif report.skipped and outcome == "passed":
                outcome = "skipped"
        self._told(item.nodeid, outcome, canary.message(outcome))


def _nothing() -> None:
    """What a canary looks like where its test is no function."""


def pytest_claims(item: "pytest.Item") -> "list[str]":
    """The ways of a pytest test to fail that let a false claim pass, sorted."""
    import pytest  # noqa: PLC0415 - only where pytest is

    raised = pytest.fail.Exception
    passed = set(passing_claims(unittest.TestCase()))
    plain = rewritten(item)
    for name, given in (("compare", (1, 2)), ("contain", (1, ())), ("be_true", (False,))):
        try:
            plain[name](*given)
        except AssertionError:
            continue
        passed.add("assert")
    for name, claim in (("pytest.fail", lambda: pytest.fail("false")), ("pytest.raises", lambda: _no_error(pytest))):
        try:
            claim()
        except raised:
            continue
        passed.add(name)
    if pytest.approx(2.0) == 1.0 or pytest.approx([2.0]) == [1.0]:
        passed.add("pytest.approx")
    return sorted(passed)


def _no_error(pytest: "Any") -> None:
    with pytest.raises(ValueError):
        pass


def rewritten(item: "pytest.Item") -> "dict[str, Any]":
    """Functions with a plain `assert`, made as pytest makes those of the item's file."""
    import ast  # noqa: PLC0415 - only where pytest is

    tree = ast.parse(PLAIN)
    if item.config.getoption("assertmode", "rewrite") == "rewrite":
        with suppress(ImportError, TypeError):  # another version's: then plain as it is
            from _pytest.assertion.rewrite import rewrite_asserts  # noqa: PLC0415

            rewrite_asserts(tree, PLAIN.encode(), str(item.path), item.config)
    names: dict[str, Any] = {"__name__": "plain"}
    exec(compile(tree, str(getattr(item, "path", "plain")), "exec"), names)
    return names


# --------------------------------------------------------------------------------- the framework itself
class Framework:
    """The framework as it is before code of the project is loaded: its functions, by identity and by their code."""

    def __init__(self) -> None:
        self._names = [name for name in sys.modules if name.partition(".")[0] in WATCHED]
        self._modules = {name: sys.modules[name] for name in self._names}
        self._held = dict(self._parts())

    def altered(self) -> "list[str]":
        """What is another now than it was, sorted."""
        replaced = {name for name, module in self._modules.items() if sys.modules.get(name) is not module}
        now = dict(self._parts())
        return sorted(replaced | {name for name, held in self._held.items() if now.get(name) != held})

    def _parts(self) -> "Iterator[tuple[str, tuple[object, ...]]]":
        for name in LEANED_ON:
            yield f"builtins.{name}", (vars(builtins).get(name),)
        for name, module in self._modules.items():
            for key, value in list(vars(module).items()):
                yield from _parts_of(f"{name}.{key}", value, name)


def _parts_of(name: str, value: object, module: str) -> "Iterator[tuple[str, tuple[object, ...]]]":
    if isinstance(value, types.FunctionType):
        yield name, _identity(value)
    elif isinstance(value, type):
        yield name, (value,)
        if value.__module__ == module:
            for key, inner in list(vars(value).items()):
                inner = getattr(inner, "__func__", inner)
                if isinstance(inner, types.FunctionType):
                    yield f"{name}.{key}", _identity(inner)


def _identity(function: types.FunctionType) -> "tuple[object, ...]":
    return (function, function.__code__, function.__defaults__, function.__kwdefaults__)
