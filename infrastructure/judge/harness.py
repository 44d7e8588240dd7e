"""Runs a project's tests inside the sandbox and reports each of them. Copied there and run by path, never imported.

Owns the report's form: one JSON object a line, with a key of this one run; the key's file is gone before any code of
the project is loaded. What the report needs is taken hold of before that too, and this module is then not `__main__`
any more: the project's code finds no handle on it by name. A report without its last line is a crash. Python 3.8 on.
"""

import argparse
import fnmatch
import importlib
import importlib.util
import os
import re
import secrets
import sys
import traceback
import types
import unittest
from contextlib import suppress
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from _typeshed import OptExcInfo

    from infrastructure.judge.canaries import Canary
    from infrastructure.judge.patience import Patience

MESSAGE_HEAD, MESSAGE_TAIL = 1500, 2500  # characters: the test and its assertion, and the exception
SKIPPED_FOLDERS = ("node_modules", "venv", "site-packages", "__pycache__", "build", "dist")
FIXTURE = re.compile(r"^(setUpClass|tearDownClass|setUpModule|tearDownModule) \((.+)\)$")
SEVERITY = ("passed", "skipped", "xfailed", "xpassed", "failed", "error")
UNEXPECTED = ("[XPASS(strict)]", "Unexpected success")  # as pytest says that a test passed against its mark
NOTHING_RAN = 5
SOURCES = "CORRAL_SOURCES"  # folders of the tree from which the project's environment imports
TEST_SECONDS = "CORRAL_TEST_SECONDS"  # of processor time for one test
NOT_STARTED = 127  # as a shell says that there is no such program


class Report:
    """The report file of this run, written line by line by this process only."""

    def __init__(self, path: str, key: str, root: Path) -> None:
        # Functions in C, held from here on: the project's code may put others in the place of `os.write` and `json`.
        self._quoted, self._write, self._pid = encode_basestring_ascii, os.write, os.getpid
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)  # whoever reads it has made it, and holds it open
        self._key, self._owner, self._root = key, os.getpid(), f"{root}{os.sep}"
        self._draw = secrets.token_hex
        self.count = 0

    def line(self, **fields: "str | int") -> None:
        """Write a line, unless this is a child that a test has forked."""
        if self._pid() == self._owner:
            text = f'{{"key": {self._quoted(self._key)}'
            for name, value in fields.items():
                text += f', "{name}": {value if isinstance(value, int) else self._quoted(value)}'
            self._write(self._file, f"{text}}}\n".encode("ascii"))

    def start(self, test: str) -> None:
        """A test begins."""
        self.line(start=test)

    def end(self, test: str, outcome: str, message: str = "", mark: str = "") -> None:
        """A test has ended; a canary has a mark of its own."""
        self.count += 1
        message = message.replace(self._root, "")
        if len(message) > MESSAGE_HEAD + MESSAGE_TAIL:
            message = f"{message[:MESSAGE_HEAD]}\n…\n{message[-MESSAGE_TAIL:]}"
        self.line(test=test, outcome=outcome, message=message, mark=mark or self._draw(8))


class Guards(NamedTuple):
    """What watches over the tests: those that must fail, with a mark for each, and who ends those without an end."""

    canaries: types.ModuleType
    marks: "list[str]"
    patience: "Patience"


class PytestPlugin:
    """Reports what pytest says; all phases of one test make one outcome."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._worst: dict[str, tuple[str, str]] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._worst[nodeid] = ("passed", "")
        self._report.start(nodeid)

    def pytest_runtest_logreport(self, report: "pytest.TestReport") -> None:
        """One phase of a test has ended."""
        outcome = "passed"
        if report.failed and report.when == "call":
            outcome = "xpassed" if str(report.longreprtext).startswith(UNEXPECTED) else "failed"
        elif report.failed:
            outcome = "error"
        elif report.skipped:
            outcome = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        worst = self._worst.get(report.nodeid, ("passed", ""))
        if SEVERITY.index(outcome) > SEVERITY.index(worst[0]):
            worst = self._worst[report.nodeid] = (outcome, str(report.longreprtext))
        if report.when == "teardown":
            self._report.end(report.nodeid, *worst)

    def pytest_collectreport(self, report: "pytest.CollectReport") -> None:
        """A file or class could not be collected, or was skipped whole."""
        if report.failed or report.skipped:
            self._report.end(report.nodeid, "error" if report.failed else "skipped", str(report.longreprtext))


class UnittestResult(unittest.TestResult):
    """Reports what unittest says, subtests as part of their test.

    What is red is told to unittest's own lists as well, from which `wasSuccessful` decides.
    """

    def __init__(self, report: Report, root: Path, patience: "Patience") -> None:
        super().__init__()
        self._report, self._root, self._patience = report, root, patience
        self._outcome, self._message = "passed", ""
        self._running = False
        self.canaries: dict[int, Canary] = {}
        self.marks: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """A test begins."""
        super().startTest(test)
        self._outcome, self._message, self._running = "passed", "", True
        self._report.start(self._name(test))
        self._patience.begin()

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """A test has ended."""
        self._patience.end()
        if self._patience.said and SEVERITY.index(self._outcome) < SEVERITY.index("failed"):
            self._count(self.failures, test)
            self._note(test, "failed", self._patience.said)
        super().stopTest(test)
        self._running = False
        canary = self.canaries.get(id(test))
        if canary is None:
            self._report.end(self._name(test), self._outcome, self._message)
        else:
            mark = self.marks.pop() if self.marks else ""
            self._report.end(self._name(test), self._outcome, canary.message(self._outcome), mark)

    def addError(self, test: unittest.TestCase, err: "OptExcInfo") -> None:  # noqa: N802 - unittest's name
        """It broke: a test, or the set-up of a class or module."""
        self._count(self.errors, test)
        self._note(test, "error", text_of(err[1]))

    def addFailure(self, test: unittest.TestCase, err: "OptExcInfo") -> None:  # noqa: N802 - unittest's name
        """An assertion did not hold."""
        self._count(self.failures, test)
        self._note(test, "failed", text_of(err[1]))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 - unittest's name
        """It was skipped."""
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """It should have failed."""
        self.unexpectedSuccesses.append(test)
        self._note(test, "xpassed", "unexpected success")

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        """It passed, unless its failure was kept back: a mark that is set while it runs does that."""
        kept_back = getattr(getattr(test, "_outcome", None), "expectedFailure", None)
        if kept_back is not None:
            self.addFailure(test, kept_back)

    def addExpectedFailure(self, test: unittest.TestCase, err: "OptExcInfo") -> None:  # noqa: N802 - unittest's name
        """It failed, as its mark says."""
        self.expectedFailures.append((test, ""))
        self._note(test, "xfailed", text_of(err[1]))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: "OptExcInfo | None") -> None:  # noqa: N802 - unittest's name
        """A part of a test has ended."""
        if err is not None and err[0] is not None:
            self.failures.append((subtest, ""))
            outcome = "failed" if issubclass(err[0], test.failureException) else "error"
            self._note(test, outcome, f"{subtest}\n{text_of(err[1])}")

    def _count(self, those: "list[tuple[unittest.TestCase, str]]", test: unittest.TestCase) -> None:
        if id(test) not in self.canaries:  # what must fail makes no run a failed one
            those.append((test, ""))

    def _note(self, test: unittest.TestCase, outcome: str, message: str) -> None:
        if not self._running:  # no startTest comes for the set-up of a class, nor for a class skipped whole
            self._report.end(self._name(test), outcome, message)
        elif SEVERITY.index(outcome) > SEVERITY.index(self._outcome):
            self._outcome, self._message = outcome, message

    def _name(self, test: unittest.TestCase) -> str:
        match = FIXTURE.match(str(test))
        if match is not None:
            return dotted_id(match[2], self._root)
        return dotted_id(test.id(), self._root)


def text_of(error: "BaseException | None") -> str:
    """A traceback without the frames of unittest and of this folder."""
    if error is None:
        return ""
    trace = traceback.TracebackException.from_exception(error)
    own, here = os.sep + "unittest" + os.sep, Path(__file__).parent
    frames = [each for each in trace.stack if own not in each.filename and Path(each.filename).parent != here]
    trace.stack = traceback.StackSummary.from_list(frames)
    return "".join(trace.format())


def dotted_id(dotted: str, root: Path) -> str:
    """`tests.test_a.Case.test_b` as `tests/test_a.py::Case::test_b`, by the longest part that is a loaded module."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:length]))
        file = getattr(module, "__file__", None)
        if file is not None:
            return "::".join([inside(Path(file), root), *parts[length:]])
    return dotted


def inside(path: Path, root: Path) -> str:
    """A path below the root, as an id begins; another one as it is."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)


def import_file(path: Path, root: Path) -> types.ModuleType:
    """Import a test file as its author's runner would: by its package, from the first folder that is none."""
    folder, names = path.parent, [path.stem]
    while folder != root and (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = importlib.import_module(".".join(names))
    found = getattr(module, "__file__", None)
    if found is None or Path(found) != path:  # another file of that name came first
        raise ImportError(f"{'.'.join(names)} was taken from {found}")
    return module


def test_files(start: Path, pattern: str) -> "list[Path]":
    """The files of a folder whose names fit."""
    found: list[Path] = []
    for place, folders, names in os.walk(start):  # links are not followed
        folders[:] = sorted(each for each in folders if each not in SKIPPED_FOLDERS and not each.startswith("."))
        found.extend(Path(place, name) for name in sorted(names) if fnmatch.fnmatch(name, pattern))
    return found


def run_unittest(report: Report, root: Path, arguments: "list[str]", guards: "Guards") -> int:
    """Run the named tests, or all that are found; the exit status is unittest's own opinion."""
    parser = argparse.ArgumentParser(prog="python -m unittest")
    parser.add_argument("-s", "--start-directory", default=".")
    parser.add_argument("-p", "--pattern", default="test*.py")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args(arguments)
    result = UnittestResult(report, root, guards.patience)
    successful = result.wasSuccessful  # the function as it is before the project's code is loaded
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    names = options.names or [str(each) for each in test_files(root / options.start_directory, options.pattern)]
    broken = 0
    for name in names:
        if not name.endswith(".py"):
            suite.addTests(loader.loadTestsFromName(name))
            continue
        path = root / name
        try:
            suite.addTests(loader.loadTestsFromModule(import_file(path, root)))
        except unittest.SkipTest as skip:
            report.end(inside(path, root), "skipped", str(skip))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a test file raises is its outcome
            broken += 1
            report.end(inside(path, root), "error", text_of(error))
    result.canaries, result.marks = guards.canaries.add_to_suite(suite), guards.marks
    suite.run(result)
    if not report.count:
        return NOTHING_RAN
    return 0 if successful() and not broken else 1


def main() -> None:
    """Run what the command line names: REPORT KEYFILE pytest|unittest ARGUMENTS."""
    path, key_file, framework, *arguments = sys.argv[1:]
    leave, streams = os._exit, (sys.stdout, sys.stderr)
    key, *marks = Path(key_file).read_text("ascii").split()
    Path(key_file).unlink()
    run = run_pytest() if framework == "pytest" else run_unittest
    canaries = beside("canaries")
    held = canaries.Framework()
    patience = beside("patience").Patience(float(os.environ.pop(TEST_SECONDS)))
    root = Path.cwd()
    report = Report(path, key, root)
    # Only now the project's own folders, as `python -m` and an installed project would have them.
    sources = [root / each for each in os.environ.pop(SOURCES, "").split(os.pathsep) if each]
    places = list(dict.fromkeys(str(place) for place in (root, root / "src", *sources) if place.is_dir()))
    sys.path[:0] = places
    os.environ["PYTHONPATH"] = os.pathsep.join(places)
    sys.argv = [framework, *arguments]
    report.line(begin=framework)
    status = run(report, root, arguments, Guards(canaries, marks, patience))
    for name in held.altered():
        report.line(altered=name)
    report.line(finish=status, tests=report.count)
    for stream in streams:
        with suppress(ValueError, OSError):  # a test may have closed it
            stream.flush()
    leave(0 if status == 0 else 1)  # a thread that a test left running must not keep the judge waiting


def run_pytest() -> "Callable[[Report, Path, list[str], Guards], int]":
    """Pytest's own entry, imported before the project can put another in its place."""
    try:
        import pytest  # noqa: PLC0415 - a project tested with unittest has none
    except ImportError as error:
        print(f"{sys.executable}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the sandbox reads it
        os._exit(NOT_STARTED)

    def run(report: Report, _root: Path, arguments: "list[str]", guards: Guards) -> int:
        def told(test: str, outcome: str, message: str) -> None:
            if guards.marks:
                report.end(test, outcome, message, guards.marks.pop())

        wrapper = pytest.hookimpl(hookwrapper=True, tryfirst=True)
        among, endless = guards.canaries.PytestCanaries, type(guards.patience)
        among.pytest_runtest_protocol = wrapper(among.pytest_runtest_protocol)
        endless.pytest_runtest_call = wrapper(endless.pytest_runtest_call)
        endless.pytest_runtest_makereport = wrapper(endless.pytest_runtest_makereport)
        return int(pytest.main(arguments, plugins=[PytestPlugin(report), among(told), guards.patience]))

    return run


def beside(name: str) -> types.ModuleType:
    """A module that lies beside this file, loaded under no name that the project's code could ask for."""
    spec = importlib.util.spec_from_file_location(name, str(Path(__file__).with_name(f"{name}.py")))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def framework_main(framework: str) -> types.ModuleType:
    """What `__main__` is when a person types `python -m pytest`: nothing of this file."""
    main_module = types.ModuleType("__main__")
    with suppress(ImportError):  # pytest may be missing, and an old one is a single module
        spec = importlib.util.find_spec(f"{framework}.__main__")
        if spec is not None:
            main_module.__spec__, main_module.__file__ = spec, spec.origin
    return main_module


if __name__ == "__main__":
    sys.modules["__main__"] = framework_main(sys.argv[3])
    main()
