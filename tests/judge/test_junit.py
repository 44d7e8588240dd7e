"""Reports of other runners: what they say, and the ones that are refused."""

import json

import pytest

from infrastructure.judge import TestOutcome
from infrastructure.judge.junit import UnusableReport, read_report_file
from infrastructure.judge.languages import read_cargo, read_go

PASSED, FAILED, ERROR, SKIPPED, *_ = TestOutcome

PYTEST = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="1" tests="3" time="0.1">
<testcase classname="tests.test_a.T" name="test_x" time="0.001" />
<testcase classname="tests.test_a" name="test_y" time="0.001">
<failure message="assert 1 == 2">E  assert 1 == 2</failure></testcase>
<testcase classname="tests.test_a" name="test_z" time="0.000">
<skipped type="pytest.skip" message="later">x</skipped></testcase>
</testsuite></testsuites>"""
NODE = """<?xml version="1.0" encoding="utf-8"?>
<testsuites>
  <testcase name="adds" time="0.001" classname="test"/>
  <testcase name="fails" time="0.001" classname="test" failure="2 !== 3">
  <failure type="x" message="2 !== 3">stack</failure></testcase>
  <testsuite name="suite" time="0.1" disabled="0" errors="0" tests="2" failures="1" skipped="0" hostname="h">
    <testcase name="inner" classname="test"/>
    <testcase name="bad" classname="test" failure="x"><failure type="x" message="x">Error: x</failure></testcase>
  </testsuite>
  <!-- tests 4 -->
</testsuites>"""
MOCHA = """<testsuite name="Mocha Tests" tests="3" failures="0" errors="1" skipped="1" time="0.006">
<testcase classname="sum" name="adds" file="/work/p/test/m.js" time="0.001"><failure>-1 == 3</failure></testcase>
<testcase classname="sum" name="ok" file="/work/p/test/m.js" time="0"/>
<testcase classname="sum" name="l" file="/work/p/test/m.js" time="0"><skipped/></testcase>
</testsuite>"""
GOTESTSUM = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1" errors="0" time="0.1">
<testsuite tests="2" failures="1" time="0.1" name="example.com/calc" timestamp="x">
<properties><property name="go.version" value="go1.22"></property></properties>
<testcase classname="example.com/calc" name="TestAdd" time="0.0">
<failure message="Failed" type="">got -1</failure></testcase>
<testcase classname="example.com/calc" name="TestOk" time="0.0"></testcase>
</testsuite></testsuites>"""
NEXTEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="1" failures="0" errors="0" uuid="x" time="0.1">
<testsuite name="calc" tests="1" disabled="0" errors="0" failures="0">
<testcase name="tests::adds" classname="calc" timestamp="x" time="0.003"></testcase></testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        (PYTEST, {"tests.test_a.T::test_x": PASSED, "tests.test_a::test_y": FAILED, "tests.test_a::test_z": SKIPPED}),
        (NODE, {"adds": PASSED, "fails": FAILED, "suite::inner": PASSED, "suite::bad": FAILED}),
        (MOCHA, {"test/m.js::sum::adds": FAILED, "test/m.js::sum::ok": PASSED, "test/m.js::sum::l": SKIPPED}),
        (GOTESTSUM, {"example.com/calc::TestAdd": FAILED, "example.com/calc::TestOk": PASSED}),
        (NEXTEST, {"calc::tests::adds": PASSED}),
    ],
    ids=["pytest", "node", "mocha", "gotestsum", "nextest"],
)
def test_reports_of_the_usual_runners_are_read(text: str, outcomes: dict[str, TestOutcome]) -> None:
    found = read_report_file(text.encode(), "/work/p")
    assert found.outcomes == outcomes
    assert set(found.failures) == {test for test, outcome in outcomes.items() if outcome is FAILED}
    assert all(found.failures.values())


def jest(**changes: object) -> bytes:
    tests = [
        {"fullName": "sum adds", "title": "adds", "status": "failed", "failureMessages": ["Expected: 3"]},
        {"fullName": "sum ok", "title": "ok", "status": "passed", "failureMessages": None},
        {"fullName": "sum later", "title": "later", "status": "pending"},
    ]
    files = [
        {"name": "/work/p/sum.test.js", "status": "failed", "message": "", "assertionResults": tests},
        {"name": "/work/p/gone.test.js", "status": "failed", "message": "Cannot find module", "assertionResults": []},
    ]
    report = {"success": False, "numFailedTests": 1, "testResults": files, "openHandles": []}
    return json.dumps({**report, **changes}).encode()


def test_report_of_jest_and_vitest_is_read() -> None:
    found = read_report_file(jest(), "/work/p")
    assert found.outcomes == {
        "sum.test.js::sum adds": FAILED, "sum.test.js::sum ok": PASSED, "sum.test.js::sum later": SKIPPED,
        "gone.test.js": ERROR,
    }  # fmt: skip
    assert found.failures == {"sum.test.js::sum adds": "Expected: 3", "gone.test.js": "Cannot find module"}


ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><testsuite name="&b;"><testcase name="a"/></testsuite>'
)
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite><testcase name="a"/></testsuite>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"  \n", "it is empty"),
        (b"all well", "it is no whole XML"),
        (NODE[:-30].encode(), "it is no whole XML"),
        ((NEXTEST + NEXTEST).encode(), "it is no whole XML"),
        (NODE.encode("utf-16")[:-1], "it is no whole XML"),
        (b"\xff\xfe\x00<", "it is no whole XML"),
        (b"<html><testcase name='a'/></html>", "no JUnit report"),
        (ENTITIES.encode(), "document type"),
        (OUTSIDE.encode(), "document type"),
        (b"<testsuite>" + b"<a>" * 200, "elements deep"),
        (b'<testsuite failures="2"><testcase name="a"/></testsuite>', "it counts 2 red in a suite, and has 0"),
        (b'<testsuite failures="0"><testcase name="a"><failure/></testcase></testsuite>', "counts 0 red"),
        (b'{"success": true, "testResults"', "no whole report of jest"),
        (b"{}", "no whole report of jest"),
        (b"{" * 100_000, "no whole report of jest"),
        (jest(success=True), "counts 1 red, and has 2"),
        (jest(testResults=[]), "counts 1 red, and has 0"),
    ],
)
def test_report_that_is_torn_or_contradicts_itself_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UnusableReport, match=said):
        read_report_file(content, "/work")


def test_worse_outcome_of_a_test_that_is_told_twice_counts_and_texts_are_bounded() -> None:
    case = '<testcase name="a"><failure>{}</failure></testcase><testcase name="a"/>'.format("x" * 100_000)
    found = read_report_file(f"<testsuite>{case}</testsuite>".encode(), "/work")
    assert found.outcomes == {"a": FAILED}
    assert len(found.failures["a"]) == 4000


def test_too_many_tests_are_refused() -> None:
    cases = "".join(f'<testcase name="{number}"/>' for number in range(200_001))
    with pytest.raises(UnusableReport, match="200,000 tests"):
        read_report_file(f"<testsuite>{cases}</testsuite>".encode(), "/work")


# ------------------------------------------------------------------------------------------- Go and Rust


def events(*lines: dict[str, str]) -> str:
    return "\n".join(json.dumps(line) for line in lines)


def go(action: str, test: str = "", **more: str) -> dict[str, str]:
    return {"Action": action, "Package": "p", **({"Test": test} if test else {}), **more}


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        (events(go("start"), go("run", "A"), go("pass", "A"), go("pass")), {"p::A": PASSED}),
        (events(go("run", "A"), go("fail", "A"), go("skip", "B"), go("fail")), {"p::A": FAILED, "p::B": SKIPPED}),
        (events(go("run", "A/x"), go("pass", "A/x"), go("pass", "A")), {"p::A/x": PASSED, "p::A": PASSED}),
        (events(go("start"), go("pass")), {}),
        (events(go("start"), go("fail")), {"p": ERROR}),
        (events(go("run", "A"), go("pass", "A"), go("run", "B"), go("fail")), {"p::A": PASSED, "p": ERROR}),
        ("no event\n{torn\n" + events(go("run", "A"), go("pass", "A")), {"p::A": PASSED}),
        ('{"Action": "pass"}\n[]\n{"Action": "invented", "Package": "p", "Test": "A"}', {}),
    ],
)
def test_events_of_go_are_read(text: str, outcomes: dict[str, TestOutcome]) -> None:
    assert read_go(text).outcomes == outcomes


CARGO = """
running 3 tests
test tests::ig ... ignored
test tests::inline ... ok
test adds ... FAILED

failures:

---- adds stdout ----

thread 'adds' panicked at tests/it.rs:1:21:
  left: -1
 right: 3


failures:
    adds

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.50s
"""


def test_lines_of_cargo_are_read_with_what_red_tests_say() -> None:
    found, doubt = read_cargo(CARGO)
    assert found.outcomes == {"cargo::tests::ig": SKIPPED, "cargo::tests::inline": PASSED, "cargo::adds": FAILED}
    assert "left: -1" in found.failures["cargo::adds"]
    assert doubt == ""


DOCTESTS = """\
running 3 tests
test src/lib.rs - neg (line {1}) ... ok
test src/lib.rs - neg (line {0}) - compile fail ... ok
test src/lib.rs - neg (line {0}) ... FAILED

failures:

---- src/lib.rs - neg (line {0}) stdout ----
left: 1

failures:
    src/lib.rs - neg (line {0})

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
"""


@pytest.mark.parametrize("lines", [(7, 12), (99, 104)])
def test_doctests_of_rust_are_named_without_their_lines(lines: tuple[int, int]) -> None:
    found, doubt = read_cargo(DOCTESTS.format(*lines))
    name = "cargo::src/lib.rs - neg"
    assert found.outcomes == {name: FAILED, f"{name} - compile fail": PASSED, f"{name} #2": PASSED}
    assert found.failures == {name: "left: 1"}
    assert not doubt


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CARGO.replace("1 passed", "2 passed"), "cargo counts 2 passed"),
        (CARGO.replace("test adds ... FAILED", "test adds ... ok"), "cargo counts 1 passed and 1 failed"),
        (CARGO.partition("test result")[0], "no result"),
        ("running 1 test\ntest a ... ok\n" + CARGO, "no result"),
    ],
)
def test_counts_of_cargo_that_do_not_fit_its_lines_are_said(text: str, said: str) -> None:
    assert said in read_cargo(text)[1]
