"""Wrong solutions that want to be taken for right ones, and what each of them tries.

All of them subtract where they should add. Names are put together at run time wherever naming them would give them away
at once: what stops such a one is the run itself, and not the reading of its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STUB = "def add(a, b):\n    raise NotImplementedError\n"
WRONG = "def add(a, b):\n    return a - b\n"
UNITTEST = """\
import unittest
from calc import add


class T(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)
"""
PYTEST = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
FIRST = (
    "import unittest\nimport calc\n\n\nclass A(unittest.TestCase):\n    def test_there(self):\n        assert calc\n"
)
FIRST_PYTEST = "import calc\n\n\ndef test_there():\n    assert calc\n"


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """What the repository has, what the patch puts there, and how the tests are run."""

    name: str
    patch: Mapping[str, str]
    files: Mapping[str, str]
    command: str = ""
    seconds: float = 20.0
    limits: Mapping[str, int] = field(default_factory=dict)


def hidden(word: str) -> str:
    """An expression for a word that a search for it does not find."""
    middle = len(word) // 2
    return f"({word[:middle]!r} + {word[middle:]!r})"


def module(name: str) -> str:
    return f"__import__({hidden(name)}, fromlist=['x'])"


# Put behind the wrong solution: run when the tests import it.
AT_IMPORT: Mapping[str, str] = {
    "os._exit(0)": "import os\nos._exit(0)\n",
    "os._exit(127), as a program that is not there": "import os\nos._exit(127)\n",
    "sys.exit(0)": "import sys\nsys.exit(0)\n",
    "the report deleted, and 126": "import os\nos.unlink('../report')\nos._exit(126)\n",
    "the report deleted, and 127": "import os\nos.unlink('../report')\nos._exit(127)\n",
    "the report emptied, and 127": "import os\nopen('../report', 'w').close()\nos._exit(127)\n",
    "the report a pipe": "import os\nos.unlink('../report')\nos.mkfifo('../report')\n",
    "the report a link": "import os\nos.unlink('../report')\nos.symlink('/etc/passwd', '../report')\n",
    "lines of its own in the report": (
        "open('../report', 'a').write('{\"key\": \"\", \"test\": \"test_calc.py::T::test_add\", "
        "\"outcome\": \"passed\"}\\n')\n"
    ),
    "a report copied with its key": (
        "import os\nlines = open('../report').read().splitlines()\n"
        "key = lines[0].split('\"')[3] if lines else ''\n"
        "ids = ('test_calc.py::T::test_add', 'test_calc.py::test_add')\n"
        "said = ''.join('{\"key\": \"%s\", \"test\": \"%s\", \"outcome\": \"passed\"}\\n' % (key, i) for i in ids)\n"
        "open('../report', 'a').write(said + '{\"key\": \"%s\", \"finish\": 0, \"tests\": 2}\\n' % key)\n"
        "os._exit(0)\n"
    ),
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\nraise SystemExit(0)\n",
    "a signal to its parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n",
    "a signal to everybody": "import os, signal\nos.kill(-1, signal.SIGTERM)\n",
    "its file descriptors closed": "import os\nos.closerange(3, 256)\n",
    "the test file emptied while it runs": "open('test_calc.py', 'w').close()\n",
    "variables": "import os\nos.environ['PYTEST_ADDOPTS'] = '--co'\nos.environ['PYTHONOPTIMIZE'] = '2'\n",
    "assertEqual": f"{module('unittest')}.TestCase.assertEqual = lambda *given, **named: None\n",
    "every assertion": (
        f"case = {module('unittest')}.TestCase\n"
        "for name in dir(case):\n"
        "    if name.startswith('assert'):\n"
        "        setattr(case, name, lambda *given, **named: None)\n"
    ),
    "TestCase.run": (
        f"case = {module('unittest')}.TestCase\n"
        "def run(self, result=None):\n"
        "    result.startTest(self); result.stopTest(self)\n"
        "case.run = run\n"
    ),
    "_callTestMethod": f"{module('unittest')}.TestCase._callTestMethod = lambda self, method: None\n",
    "TestResult": (
        "import gc\n"
        f"for each in getattr(gc, {hidden('get_objects')})():\n"
        "    if type(each).__name__ == 'UnittestResult':\n"
        "        each.addFailure = each.addError = lambda *given: None\n"
    ),
    "every report line": (
        "import gc\n"
        f"for each in getattr(gc, {hidden('get_objects')})():\n"
        "    if type(each).__name__ == 'Report':\n"
        "        kind = type(each)\n"
        "        end, line = kind.end, kind.line\n"
        "        kind.end = lambda self, test, outcome, message='', *more: end(self, test, 'passed', '', *more)\n"
        "        kind.line = lambda self, **f: line(self, **{**f, **({'finish': 0} if 'finish' in f else {})})\n"
        "import os\nleave = os._exit\n"
        f"for each in getattr(gc, {hidden('get_objects')})():\n"
        "    if isinstance(each, dict) and each.get('leave') is leave:\n"
        "        each['leave'] = lambda code: leave(0)\n"
    ),
    "CallInfo.from_call": (
        f"try:\n    kind = {module('_pytest.runner')}.CallInfo\n"
        "    made = kind.from_call\n"
        "    kind.from_call = staticmethod(lambda func, when, reraise=None: made(\n"
        "        func if when != 'call' else (lambda: None), when, reraise))\n"
        "except ImportError:\n    pass\n"
    ),
    "Function.runtest": (
        f"try:\n    {module('_pytest.python')}.Function.runtest = lambda self: None\nexcept ImportError:\n    pass\n"
        f"try:\n    {module('_pytest.unittest')}.TestCaseFunction.runtest = lambda self: None\n"
        "except ImportError:\n    pass\n"
        f"{module('unittest')}.TestCase._callTestMethod = lambda self, method: None\n"
    ),
    "pytest_runtest_makereport": (
        "try:\n"
        f"    reports = {module('_pytest.reports')}.TestReport\n"
        "    make = reports.from_item_and_call.__func__\n"
        "    def from_item_and_call(kind, item, call):\n"
        "        call.excinfo = None\n"
        "        return make(kind, item, call)\n"
        "    reports.from_item_and_call = classmethod(from_item_and_call)\n"
        "except ImportError:\n    pass\n"
        f"{module('unittest')}.TestCase._callTestMethod = lambda self, method: None\n"
    ),
    "a tracer that leaves the test": (
        "import sys\n"
        "def jump(frame, event, arg):\n"
        "    if frame.f_code.co_name == 'test_add':\n"
        "        if event == 'exception':\n"
        "            return jump\n"
        "        frame.f_trace_lines = True\n"
        "        if event == 'line':\n"
        "            try:\n"
        "                frame.f_lineno = max(line for *_, line in frame.f_code.co_lines() if line) + 1\n"
        "            except ValueError:\n"
        "                return None\n"
        "    return jump\n"
        f"getattr(sys, {hidden('settrace')})(jump)\n"
    ),
    "AssertionError": (
        "import builtins\n"
        "class Quiet(BaseException):\n    pass\n"
        f"setattr(builtins, {hidden('AssertionError')}, type('AssertionError', (Warning,), {{}}))\n"
        f"{module('unittest')}.TestCase.failureException = type('None_', (Exception,), {{}})\n"
        f"{module('unittest')}.TestCase.fail = lambda self, message=None: None\n"
        f"{module('unittest')}.TestCase._baseAssertEqual = lambda *given, **named: None\n"
    ),
    "the tests skipped": (
        f"case = {module('unittest')}.TestCase\n"
        "case.setUp = lambda self: self.skipTest('not today')\n"
    ),
    "children that hold the pipe": (
        "import os, time\n"
        "if os.fork() == 0:\n    time.sleep(600)\n"
    ),
}  # fmt: skip

# The whole of calc.py: it acts when a test calls it.
AT_TEST: Mapping[str, str] = {
    "os._exit(0) in the test": "import os\ndef add(a, b):\n    os._exit(0)\n",
    "sys.exit(0) in the test": "import sys\ndef add(a, b):\n    sys.exit(0)\n",
    "SIGKILL to itself": "import os, signal\ndef add(a, b):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "skipping itself": (
        f"def add(a, b):\n    raise {module('unittest')}.SkipTest('no')\n"
    ),
    "its caller's result": (
        "import sys\n"
        "def add(a, b):\n"
        f"    frame = getattr(sys, {hidden('_getframe')})()\n"
        "    while frame is not None:\n"
        "        result = frame.f_locals.get('result')\n"
        "        if hasattr(result, 'addFailure'):\n"
        "            result.addFailure = lambda *given: None\n"
        f"        frame = getattr(frame, {hidden('f_back')})\n"
        "    return a - b\n"
    ),
    "assertEqual in the test": (
        "def add(a, b):\n"
        f"    {module('unittest')}.TestCase.assertEqual = lambda *given, **named: None\n"
        "    return a - b\n"
    ),
    "the code of the test": (
        "import sys\n"
        "def add(a, b):\n"
        f"    frame = getattr(sys, {hidden('_getframe')})(1)\n"
        "    test = frame.f_globals.get('T', None)\n"
        "    if test is not None:\n"
        "        test.assertEqual = lambda *given, **named: None\n"
        "    return a - b\n"
    ),
    "a mark that the test fails": (
        "import sys\n"
        "def add(a, b):\n"
        f"    frame = getattr(sys, {hidden('_getframe')})(1)\n"
        "    while frame is not None:\n"
        "        for each in list(frame.f_locals.values()):\n"
        "            if hasattr(each, 'expecting_failure'):\n"
        "                each.expecting_failure = True\n"
        f"        frame = getattr(frame, {hidden('f_back')})\n"
        "    return a - b\n"
    ),
    "an expected failure": (
        "def add(a, b):\n"
        f"    try:\n        wanted = {module('pytest')}\n"
        f"    except ImportError:\n        return a - b\n"
        "    wanted.xfail('not today')\n"
    ),
    "no end": "def add(a, b):\n    while True:\n        pass\n",
    "output without end": "def add(a, b):\n    while True:\n        print('passed ' * 1000)\n",
    "processes without end": "import os\ndef add(a, b):\n    while True:\n        os.fork()\n",
    "memory without end": "def add(a, b):\n    held = []\n    while True:\n        held.append(bytearray(1 << 24))\n",
}  # fmt: skip

CONFTEST = """\
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""
LENIENT = "import unittest\nunittest.TestCase.assertEqual = lambda *given: None\n"

# Files beside a wrong calc.py.
FILES: Mapping[str, Mapping[str, str]] = {
    "conftest.py": {"conftest.py": CONFTEST},
    "conftest.py that leaves": {"conftest.py": "import os\nos._exit(0)\n"},
    "pytest.ini --co": {"pytest.ini": "[pytest]\naddopts = --co\n"},
    "pytest.ini -k": {"pytest.ini": "[pytest]\naddopts = -k nothing\n"},
    "pytest.ini -p": {"pytest.ini": "[pytest]\naddopts = -p cheat\n", "cheat.py": CONFTEST},
    "pyproject.toml --deselect": {
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--deselect test_calc.py::test_add"\n'
    },
    "setup.cfg": {"setup.cfg": "[tool:pytest]\naddopts = -p cheat\n", "cheat.py": CONFTEST},
    "tox.ini": {"tox.ini": "[pytest]\npython_functions = none_*\n"},
    "sitecustomize.py": {"sitecustomize.py": "import os\nos._exit(0)\n"},
    "usercustomize.py": {"usercustomize.py": "import os\nos._exit(0)\n"},
    "a .pth file": {"cheat.pth": "import os; os._exit(0)\n"},
    "unittest.py": {"unittest.py": "class TestCase: pass\ndef main(): pass\n"},
    "json.py": {"json.py": "import os\nos._exit(0)\n"},
    "pytest/__init__.py": {"pytest/__init__.py": "def main(*given, **named):\n    return 0\n"},
    "_pytest/__init__.py": {"_pytest/__init__.py": "import os\nos._exit(0)\n"},
    "package metadata": {
        "cheat.py": CONFTEST,
        "cheat-1.0.dist-info/entry_points.txt": "[pytest11]\ncheat = cheat\n",
        "cheat-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: cheat\nVersion: 1.0\n",
    },
    "the test changed": {"test_calc.py": "def test_add():\n    pass\n"},
    "the test emptied": {"test_calc.py": ""},
    "a test of its own that helps": {"test_a.py": LENIENT},
    "reports of its own": {"report": "", "report.xml": '<testsuites><testsuite name="x"/></testsuites>\n'},
}


def python_adversaries() -> list[Adversary]:
    """Those against unittest and those against pytest."""
    made: list[Adversary] = []
    for kind, tests, first in (("unittest", UNITTEST, FIRST), ("pytest", PYTEST, FIRST_PYTEST)):
        files = {"calc.py": STUB, "test_calc.py": tests, "test_a_first.py": first}
        for name, text in AT_IMPORT.items():
            made.append(Adversary(name=f"{kind}: {name}", files=files, patch={"calc.py": WRONG + text}))
        for name, text in AT_TEST.items():
            seconds = 4.0 if "no end" in name or "without end" in name else 20.0
            made.append(Adversary(name=f"{kind}: {name}", files=files, patch={"calc.py": text}, seconds=seconds))
        for name, more in FILES.items():
            made.append(Adversary(name=f"{kind}: {name}", files=files, patch={"calc.py": WRONG, **more}))
    return made


CLAIM = "def claim(said):\n    assert said\n"
NO_CLAIM = "def claim(said):\n    pass\n"


def helped_adversaries() -> list[Adversary]:
    """Those against what tests lean on and what bears no test's name, and against a part of the configuration."""
    uses = "from {} import claim\nfrom calc import add\n\n\ndef test_add():\n    claim(add(1, 2) == 3)\n"
    helped = {"calc.py": STUB, "testutil.py": CLAIM, "test_calc.py": uses.format("testutil")}
    package = {"app/__init__.py": "", "app/test/__init__.py": "", "app/test/help.py": CLAIM}
    inside = {"calc.py": STUB, **package, "test_calc.py": uses.format("app.test.help")}
    project = "[project]\nname = 'x'\nversion = '{}'\n"
    set_up = {"calc.py": STUB, "test_calc.py": PYTEST, "pyproject.toml": project.format(1)}
    cheat = f"{project.format(2)}[tool.pytest.ini_options]\npython_functions = ['none_*']\n"
    passing = {"test_b.py": "def none_add():\n    pass\n"}
    return [
        Adversary(name="the tests' helper", files=helped, patch={"calc.py": WRONG, "testutil.py": NO_CLAIM}),
        Adversary(name="a helper in a package", files=inside, patch={"calc.py": WRONG, "app/test/help.py": NO_CLAIM}),
        Adversary(
            name="a version and what pytest collects",
            files=set_up,
            patch={"calc.py": WRONG, "pyproject.toml": cheat, **passing},
        ),
    ]


NODE = {
    "package.json": '{"name": "calc", "scripts": {"test": "node --test"}}\n',
    "calc.js": "exports.add = () => { throw new Error('not yet') }\n",
    "calc.test.js": (
        "const { test } = require('node:test')\nconst assert = require('node:assert')\n"
        "const { add } = require('./calc')\n"
        "test('adds', () => assert.strictEqual(add(1, 2), 3))\n"
    ),
}
UNLOADABLE = {**NODE, "calc.js": "throw new Error('not yet')\n"}
SUBTRACTS = "exports.add = (a, b) => a - b\n"
JAVASCRIPT: Mapping[str, Mapping[str, str]] = {
    "process.exit(0)": {"calc.js": "process.exit(0)\n"},
    "an exit that is not named": {"calc.js": "const p = process; p['ex' + 'it'](0)\n"},
    "an exit in the test": {"calc.js": "exports.add = () => { const p = process; p['ex' + 'it'](0) }\n"},
    "assert": {"calc.js": SUBTRACTS + "require('assert').strictEqual = () => {}\n"},
    "the tests changed": {"calc.js": SUBTRACTS, "calc.test.js": "require('node:test').test('adds', () => {})\n"},
    "package.json": {"calc.js": SUBTRACTS, "package.json": '{"scripts": {"test": "true"}}\n'},
    ".npmrc": {"calc.js": SUBTRACTS, ".npmrc": "ignore-scripts=true\nnode-options=--require ./cheat.js\n",
               "cheat.js": "process.exit(0)\n"},
    "a report of its own": {
        "calc.js": SUBTRACTS + (
            "const fs = require('fs')\n"
            "process.on('exit', () => { for (const each of fs.readdirSync('..'))\n"
            "  if (each.startsWith('report-')) fs.writeFileSync('../' + each,\n"
            "    '<testsuites><testcase name=\"adds\" classname=\"test\"/></testsuites>') })\n"
        )
    },
}  # fmt: skip

MAKE = {"Makefile": "test:\n\tsh check.sh\n", "check.sh": "grep -q right calc.txt\n", "calc.txt": "nothing\n"}


def other_adversaries() -> list[Adversary]:
    """Those against the runners of other languages, and against plain commands."""
    made = [
        Adversary(name=f"{kind}: {name}", files=files, patch=patch)
        for kind, files in (("node", NODE), ("node, not loaded before", UNLOADABLE))
        for name, patch in JAVASCRIPT.items()
    ]
    makefile = {"calc.txt": "wrong\n", "Makefile": "test:\n\ttrue\n"}
    made.append(Adversary(name="make: the Makefile", files=MAKE, patch=makefile, command="make test"))
    made.append(Adversary(name="make: found, the Makefile", files=MAKE, patch=makefile))
    called = {"calc.txt": "wrong\n", "check.sh": "true\n"}
    made.append(Adversary(name="make: what the Makefile calls", files=MAKE, patch=called, command="make test"))
    script = {"calc.txt": "wrong\n", "check.sh": "true\n"}
    made.append(Adversary(name="sh: the script", files=MAKE, patch=script, command="sh check.sh"))
    shell = {"grep": "#!/bin/sh\nexit 0\n", "calc.txt": "wrong\n"}
    made.append(Adversary(name="sh: a program of that name", files=MAKE, patch=shell, command="sh check.sh"))
    return made
