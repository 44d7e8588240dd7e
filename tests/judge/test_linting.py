"""What a static check finds that was not there before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.judge import linting
from infrastructure.judge.linting import Finding, Findings, dump_findings, find_new, load_findings, only_new

CLEAN = b"def add(a, b):\n    return a + b\n"


async def rules(before: dict[str, bytes], after: dict[str, bytes]) -> list[tuple[str, int, str]]:
    findings = await find_new(before, after)
    assert findings.problem == ""
    return [(each.path, each.line, each.rule) for each in findings.found]


async def test_defects_are_found_where_they_are():
    after = {
        "pkg/a.py": b"def add(a, b=[]):\n    return a + c\n",
        "b.py": b"def broken(:\n",
        "c.py": b"try:\n    1 / 0\nexcept Exception:\n    pass\n",
    }
    found = await rules({}, after)
    assert ("pkg/a.py", 1, "B006") in found
    assert ("pkg/a.py", 2, "F821") in found
    assert ("b.py", 1, "invalid-syntax") in found
    assert ("c.py", 3, "S110") in found
    assert found == sorted(found)


async def test_what_is_only_untidy_is_left_out():
    assert await rules({}, {"a.py": b"import os\nfrom sys import *\nx = f'nothing'\n"}) == []


async def test_other_languages_are_not_looked_at():
    assert await find_new({}, {"a.js": b"function (", "README.md": b"def broken(:"}) == Findings()


async def test_what_was_there_before_is_not_told_wherever_it_has_moved():
    bad = b"def old():\n    return missing\n"
    assert await rules({"a.py": bad}, {"a.py": b"# a line\n\n" + bad}) == []
    assert await rules({"a.py": bad}, {"a.py": b"def old():\n    return missing or 0\n"}) == []
    assert await rules({"a.py": bad}, {"moved.py": bad}) == []


async def test_a_second_one_like_one_of_before_is_told():
    before = b"def old():\n    return missing\n"
    after = before + b"\n\ndef new():\n    return [missing]\n"
    assert await rules({"a.py": before}, {"a.py": after}) == [("a.py", 6, "F821")]


async def test_a_line_number_in_the_words_does_not_make_a_finding_new():
    twice = b"import os\n\n\ndef os():\n    pass\n"
    assert await rules({"a.py": twice}, {"a.py": b"x = 1\ny = 2\n" + twice}) == []


async def test_code_cannot_silence_its_own_check():
    after = b"# ruff: noqa\ndef new():\n    return missing  # noqa\n"
    assert await rules({}, {"a.py": after}) == [("a.py", 3, "F821")]


async def test_configuration_beside_the_files_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "ruff.toml").write_text('lint.ignore = ["F821"]\n')
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert await rules({}, {"a.py": b"missing\n"}) == [("a.py", 1, "B018"), ("a.py", 1, "F821")]


async def test_what_an_init_file_offers_is_no_defect():
    content = b"from pkg.inner import thing\n\n__all__ = ['thing']\n"
    assert await rules({}, {"pkg/__init__.py": content, "other/__init__.py": content}) == []


async def test_the_newest_syntax_is_no_error():
    assert await rules({}, {"a.py": b"type X[T] = list[T]\nmatch 1:\n    case _:\n        pass\n"}) == []


async def test_odd_names_and_bytes_are_read_as_they_are():
    after = {"-rf.py": b"missing()\n", "a b/ä.py": b"other()\n", "latin.py": b"x = '\xff'\n"}
    found = await rules({}, after)
    assert ("-rf.py", 1, "F821") in found
    assert ("a b/ä.py", 1, "F821") in found


async def test_only_so_many_are_kept_and_the_rest_counted():
    lines = "".join(f"missing_{number}()\n" for number in range(linting.MOST + 3))
    findings = await find_new({}, {"a.py": lines.encode()})
    assert (len(findings.found), findings.more) == (linting.MOST, 3)


async def test_what_is_too_much_to_check_is_said_to_be():
    huge = b"#" * (linting.FILE_BYTES + 1)
    assert (await find_new({}, {"a.py": huge})).problem == "a.py is longer than 1 MiB"
    many = {f"{number}.py": CLEAN for number in range(linting.MOST_FILES + 1)}
    assert (await find_new({}, many)).problem == "there are more than 200 files"


async def test_a_check_that_cannot_be_made_is_a_problem_and_no_error(monkeypatch):
    monkeypatch.setattr(linting, "find_ruff_bin", lambda: "/nowhere/ruff")
    assert (await find_new({}, {"a.py": CLEAN})).problem.startswith("ruff could not be started")


async def test_a_check_that_takes_too_long_is_ended(monkeypatch, tmp_path):
    slow = tmp_path / "ruff"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(linting, "find_ruff_bin", lambda: str(slow))
    monkeypatch.setattr(linting, "SECONDS", 0.2)
    assert (await find_new({}, {"a.py": CLEAN})).problem == "ruff was stopped (timeout)"


FINDING = st.builds(
    Finding,
    path=st.sampled_from(["a.py", "b.py"]),
    line=st.integers(1, 3),
    rule=st.sampled_from(["F821", "B006"]),
    text=st.sampled_from(["one", "two from line 3"]),
)


@given(st.lists(FINDING), st.lists(FINDING))
def test_each_finding_of_before_excuses_at_most_one(before: list[Finding], after: list[Finding]):
    lines = {side: {"a.py": ["x", "y", "z"], "b.py": ["x"]} for side in ("before", "after")}
    new = only_new(before, after, lines)
    assert len(new) >= len(after) - len(before)
    assert all(each in after for each in new)
    assert only_new(after, after, lines) == []
    assert len(only_new([], after, lines)) == len(after)


@given(st.builds(Findings, found=st.tuples(FINDING), more=st.integers(0, 9), problem=st.text()))
def test_findings_come_back_from_the_record(findings: Findings):
    assert load_findings(dump_findings(findings)) == findings
