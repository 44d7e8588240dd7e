"""What `go test -json` and `cargo test` print, read as outcomes of tests. Pure.

Owns what counts as a test there: a package that ends well without a test in it has shown nothing, one that fails
without a red test is red as a whole. Both print to a stream that the tests share, so a line that looks like a result
may be the tests' own; what the stream says and how the command ended must agree (`infrastructure/judge/outcomes.py`).
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infrastructure.judge.junit import Outcomes
from infrastructure.judge.reports import TestOutcome

_KEPT_CHARACTERS = 4000
_RUNNING = re.compile(r"^running \d+ tests?$")
_RUST_TEST = re.compile(r"^test (?P<name>\S(?:.*\S)?) \.\.\. (?P<end>ok|FAILED|ignored)\b")
_RUST_LINE = re.compile(r" \(line (\d+)\)")
_RUST_SECTION = re.compile(r"^---- (?P<name>.+) stdout ----$")
_RUST_RESULT = re.compile(r"^test result: (?P<end>ok|FAILED)\. (?P<passed>\d+) passed; (?P<failed>\d+) failed;")
_RUST_ENDS = {"ok": TestOutcome.PASSED, "FAILED": TestOutcome.FAILED, "ignored": TestOutcome.SKIPPED}
_GO_ENDS = {"pass": TestOutcome.PASSED, "fail": TestOutcome.FAILED, "skip": TestOutcome.SKIPPED}


class _GoEvent(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    action: Literal["start", "run", "pause", "cont", "pass", "bench", "fail", "output", "skip", "attr",
                    "build-output", "build-fail", "artifacts"] = Field(alias="Action")  # fmt: skip
    package: str = Field(default="", alias="Package")
    test: str = Field(default="", alias="Test")
    output: str = Field(default="", alias="Output")
    build: str = Field(default="", alias="ImportPath")


def read_go(stdout: str) -> Outcomes:
    """Read the events of `go test -json`; lines that are none are passed over."""
    found, said = Outcomes(), dict[str, str]()
    failed: list[str] = []
    for line in stdout.splitlines():
        event = _go_event(line)
        if event is None:
            continue
        where = f"{event.package}::{event.test}" if event.test else event.package
        if event.action in {"output", "build-output"}:
            where = where or event.build.partition(" ")[0]
            said[where] = (said.get(where, "") + event.output)[-_KEPT_CHARACTERS:]
        elif event.test and event.action in _GO_ENDS:
            found.add(where, _GO_ENDS[event.action], said.get(where, ""))
        elif event.action == "fail" and event.package:
            failed.append(event.package)
    for package in failed:
        if not any(test.startswith(f"{package}::") and outcome is TestOutcome.FAILED
                   for test, outcome in found.outcomes.items()):  # fmt: skip
            found.add(package, TestOutcome.ERROR, said.get(package, ""))
    return found


def _go_event(line: str) -> _GoEvent | None:
    if not line.startswith("{"):
        return None
    try:
        return _GoEvent.model_validate_json(line)
    except (ValidationError, RecursionError):
        return None


def read_cargo(stdout: str) -> tuple[Outcomes, str]:
    """Read what `cargo test` prints, and why it is not to be believed; empty where its counts fit its lines."""
    found, said, section, doubt = Outcomes(), dict[str, str](), "", ""
    lines = [line.rstrip() for line in stdout.splitlines()]
    for line in lines:  # first what failed tests say, which stands below their outcome
        heading = _RUST_SECTION.match(line)
        if heading is not None:
            section = heading["name"]
        elif section:
            section = "" if line == "failures:" else section
            said[section] = f"{said.get(section, '')}{line}\n"[-_KEPT_CHARACTERS:]
    passed = failed = open_groups = 0
    names = _without_lines([test["name"] for line in lines if (test := _RUST_TEST.match(line)) is not None])
    for line in lines:
        if _RUNNING.match(line):
            passed, failed, open_groups = 0, 0, open_groups + 1
        elif (test := _RUST_TEST.match(line)) is not None:
            passed, failed = passed + (test["end"] == "ok"), failed + (test["end"] == "FAILED")
            found.add(f"cargo::{names[test['name']]}", _RUST_ENDS[test["end"]], said.get(test["name"], ""))
        elif (result := _RUST_RESULT.match(line)) is not None:
            open_groups -= 1
            if (int(result["passed"]), int(result["failed"])) != (passed, failed):
                doubt = f"cargo counts {result['passed']} passed and {result['failed']} failed, its lines do not"
    return found, doubt or ("a group of tests has no result" if open_groups else "")


def _without_lines(names: Sequence[str]) -> dict[str, str]:
    """Names of doctests without the line they stand in, which changes with every line above; numbered where equal."""
    numbered: dict[str, str] = {}
    times = Counter[str]()
    for name in sorted(dict.fromkeys(names), key=_line_of):
        short = _RUST_LINE.sub("", name)
        times[short] += 1
        numbered[name] = short if times[short] == 1 else f"{short} #{times[short]}"
    return numbered


def _line_of(name: str) -> int:
    line = _RUST_LINE.search(name)
    return 0 if line is None else int(line[1])
