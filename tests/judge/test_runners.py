"""Runners of other languages, really run: each test is told apart, and what leaves early has shown nothing."""

import asyncio
import os
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from infrastructure.judge import TestCommandNotStarted, TestOutcome, TestPlan, judge_files, plan_tests, run_tests
from infrastructure.judge.explaining import explained
from infrastructure.sandbox import Check, Command, Execution, Level, Limits, Sandbox
from infrastructure.workspace import fork_tree
from tests.judge.programs import has_node
from tests.sources import CACHE

pytestmark = pytest.mark.slow  # starts processes

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome
PATIENT = Limits(wall_seconds=110, cpu_seconds=110, processes=256)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not works(program), reason=f"{program} is not installed here, or not set up")


@cache
def works(program: str) -> bool:
    """Whether it says its version: `cargo` may be a shim of rustup's for which no toolchain was chosen."""
    found = shutil.which(program)
    version = ["version"] if program == "go" else ["--version"]
    return found is not None and subprocess.run([found, *version], capture_output=True, check=False).returncode == 0


def needs_node() -> pytest.MarkDecorator:
    return pytest.mark.skipif(not has_node(), reason="node 20 or newer is not installed here")


def manifest(script: str) -> str:
    return f'{{"name": "calc", "scripts": {{"test": "{script}"}}}}\n'


NODE = {
    "package.json": manifest("node --test"),
    "calc.js": "exports.add = (a, b) => a + b\n",
    "calc.test.js": (
        "const { test, describe, it } = require('node:test')\n"
        "const assert = require('node:assert')\n"
        "const { add } = require('./calc')\n"
        "test('adds', () => assert.strictEqual(add(1, 2), 3))\n"
        "test('zero', () => assert.strictEqual(add(0, 0), 0))\n"
        "test('later', { skip: true }, () => {})\n"
        "describe('group', () => { it('inside', () => {}) })\n"
    ),
}


@needs_node()
@pytest.mark.parametrize("command", ["", "npm test", "node --test", "npm run test"])
async def test_tests_of_node_are_told_apart(run, command: str) -> None:
    report = await run(NODE, command=command, limits=PATIENT)
    by_name = {test.rpartition("::")[2]: outcome for test, outcome in report.outcomes.items()}
    assert by_name == {"adds": PASSED, "zero": PASSED, "later": SKIPPED, "inside": PASSED}, report.output
    assert report.crashed is None


@needs_node()
async def test_red_test_of_node_says_what_it_says(run) -> None:
    report = await run(NODE, {"calc.js": "exports.add = (a, b) => a - b\n"}, limits=PATIENT)
    (red,) = report.red
    assert red.endswith("adds")
    assert "-1 !== 3" in report.failures[red]
    assert len(report.passed) == 2


@needs_node()
@pytest.mark.parametrize("code", ["process.exit(0)", "process.reallyExit(0)", "process.kill(process.pid, 'SIGKILL')"])
async def test_file_of_node_that_ends_before_its_tests_is_red(run, code: str) -> None:
    report = await run(NODE, {"calc.js": f"{code}\n"}, limits=PATIENT)
    assert report.red
    assert not report.passed


@needs("npm")
@pytest.mark.parametrize("script", ["node calc.test.js", "node check.js && echo well"])
async def test_script_of_another_kind_has_one_outcome(run, script: str) -> None:
    report = await run({**NODE, "package.json": manifest(script), "check.js": ""}, limits=PATIENT)
    assert list(report.outcomes.items()) == [("npm test", PASSED)], report.output


@needs("npm")
async def test_runner_that_is_not_installed_is_said_with_what_to_do(run) -> None:
    with pytest.raises(TestCommandNotStarted, match="jest") as refused:
        await run({**NODE, "package.json": manifest("jest")}, limits=PATIENT)
    assert "no network" in refused.value.hint


GO = {
    "go.mod": "module example.com/calc\n\ngo 1.19\n",
    "calc.go": "package calc\n\nfunc Add(a, b int) int { return a + b }\n",
    "calc_test.go": (
        'package calc\n\nimport "testing"\n\n'
        'func TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Fatalf("got %d", Add(1, 2))\n\t}\n}\n\n'
        "func TestSkipped(t *testing.T) { t.Skip() }\n"
    ),
}


@pytest.fixture
async def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go's own packages, built once as a user's are, and kept: alone they take longer than all else that is judged."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed here")
    monkeypatch.setenv("GOCACHE", str(CACHE / "go-build"))
    folder = tmp_path / "warm"
    folder.mkdir()
    for path, text in GO.items():
        (folder / path).write_text(text)
    env = {**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    process = await asyncio.create_subprocess_exec(
        "go", "test", "./...", cwd=folder, env=env, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("go")
async def test_tests_of_go_are_told_apart(run, tmp_path: Path) -> None:
    report = await run(GO, limits=PATIENT)
    assert report.outcomes == {
        "example.com/calc::TestAdd": PASSED, "example.com/calc::TestSkipped": SKIPPED,
    }, report.output  # fmt: skip
    shutil.rmtree(tmp_path / "tree")
    report = await run(GO, {"calc.go": GO["calc.go"].replace("a + b", "a - b")}, limits=PATIENT)
    assert report.red == {"example.com/calc::TestAdd"}, (report.failures, report.output)
    assert "got -1" in report.failures["example.com/calc::TestAdd"]
    for broken in ("a + c", "a +"):
        shutil.rmtree(tmp_path / "tree")
        report = await run(GO, {"calc.go": GO["calc.go"].replace("a + b", broken)}, limits=PATIENT)
        assert dict(report.outcomes) == {"example.com/calc": ERROR}
        assert "calc.go:3" in report.failures["example.com/calc"]


class Late(Sandbox):
    """Begins when the files that it is given are an hour old."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def level(self) -> Level:
        return self._sandbox.level

    async def run(self, command: Command) -> Execution:
        await asyncio.to_thread(self._age, command.tree / "work")
        return await self._sandbox.run(command)

    def _age(self, folder: Path) -> None:
        for file in folder.iterdir():
            os.utime(file, (time.time() - 3_600,) * 2)

    async def self_check(self) -> tuple[Check, ...]:
        return await self._sandbox.self_check()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("go")
async def test_tests_of_go_that_begin_late_run_too(take, sandbox: Sandbox, tmp_path: Path) -> None:
    """Of files that are two seconds old Go wants to keep an index beside what was built, which is read-only."""
    snapshot = await take({**GO, "calc.go": GO["calc.go"] + "\n// Seen by nobody yet.\n"})
    plan = await plan_tests(snapshot, test_command="")
    assert isinstance(plan, TestPlan)
    tree = await fork_tree(snapshot, tmp_path / "tree")
    report = await run_tests(Late(sandbox), tree, plan, await judge_files(snapshot), limits=PATIENT)
    assert report.passed == {"example.com/calc::TestAdd"}, (report.failures, report.output)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("go")
async def test_package_of_go_that_ends_before_its_tests_has_passed_nothing(run, tmp_path: Path) -> None:
    leaving = 'package calc\n\nimport "os"\n\nfunc init() { os.Exit(0) }\n\nfunc Add(a, b int) int { return 0 }\n'
    assert not (await run(GO, {"calc.go": leaving}, limits=PATIENT)).passed
    shutil.rmtree(tmp_path / "tree")
    quiet = leaving.replace("func init() { os.Exit(0) }", "").replace("return 0", "os.Exit(0); return 0")
    assert not (await run(GO, {"calc.go": quiet}, limits=PATIENT)).passed


RUST = {
    "Cargo.toml": '[package]\nname = "calc"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": (
        "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\n"
        "#[cfg(test)]\nmod tests {\n    #[test]\n    fn inline() {}\n}\n"
    ),
    "tests/it.rs": "#[test]\nfn adds() {\n    assert_eq!(calc::add(1, 2), 3);\n}\n",
}


@needs("cargo")
@pytest.mark.timeout(300)
async def test_tests_of_cargo_are_told_apart(run, tmp_path: Path) -> None:
    report = await run(RUST, limits=PATIENT)
    assert report.outcomes == {"cargo::tests::inline": PASSED, "cargo::adds": PASSED}, report.output
    shutil.rmtree(tmp_path / "tree")
    report = await run(RUST, {"src/lib.rs": RUST["src/lib.rs"].replace("a + b", "a - b")}, limits=PATIENT)
    assert report.red == {"cargo::adds"}
    assert "left: -1" in report.failures["cargo::adds"]


@needs("cargo")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "attempt",
    [
        {"build.rs": "fn main() { std::process::exit(0) }\n"},
        {"Cargo.toml": RUST["Cargo.toml"] + '[[test]]\nname = "it"\npath = "tests/it.rs"\nharness = false\n'},
        {".cargo/config.toml": '[target.x86_64-unknown-linux-gnu]\nrunner = "true"\n'},
        {"tests/it.rs": "#[test]\nfn adds() {}\n"},
    ],
    ids=lambda each: next(iter(each)),
)
async def test_attempt_cannot_steer_cargo(run, attempt: dict[str, str]) -> None:
    wrong = RUST["src/lib.rs"].replace("a + b", "a - b")
    report = await run(RUST, {"src/lib.rs": wrong, **attempt}, limits=PATIENT)
    assert report.outcomes.get("cargo::adds") is FAILED, report.output


@needs("cargo")
@pytest.mark.timeout(300)
async def test_crate_that_is_not_there_is_said_with_what_to_do(take, run) -> None:
    files = {**RUST, "Cargo.toml": RUST["Cargo.toml"] + '\n[dependencies]\nno_such_crate_of_ours = "1"\n'}
    report = await run(files, limits=PATIENT)
    assert report.crashed is not None
    snapshot = await take(files)
    plan = await plan_tests(snapshot)
    assert plan is not None
    assert "no network" in explained(report, plan, snapshot.files)


@needs("make")
async def test_target_of_a_makefile_is_found_and_is_the_judges_own(run) -> None:
    files = {"Makefile": "test:\n\ttest -f right.txt\n"}
    report = await run(files, {"Makefile": "test:\n\ttrue\n"}, limits=PATIENT)
    assert dict(report.outcomes) == {"make test": FAILED}
    assert report.command == "make test"


@pytest.mark.parametrize("written", ['<testsuite name="x" failures="0"><testcase classname="a" name="b"/></testsuite>'])
async def test_command_may_say_where_its_report_goes(run, written: str) -> None:
    report = await run({"x.xml": written}, command="cp x.xml {report}")
    assert dict(report.outcomes) == {"a::b": PASSED}


CRATE = {
    "Cargo.toml": '[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": "#[test]\nfn adds() {\n    assert_eq!(1 + 2, 3);\n}\n",
    "Makefile": "test:\n\tcargo test --offline\n",
}


@needs("cargo")
@pytest.mark.parametrize("command", ["make test", "cd . && cargo test --offline"])
async def test_cargo_is_found_where_the_makefile_or_a_shell_starts_it(run, command: str) -> None:
    report = await run(CRATE, command=command, limits=PATIENT)
    assert report.green, report.output
