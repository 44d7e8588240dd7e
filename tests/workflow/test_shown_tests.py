"""Which of the judge's files the coder sees: tests that may be the red ones, and nothing that only lies beside them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from infrastructure.judge import TestOutcome, TestReport
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.workflow.evidence import keep_report, shown_tests
from infrastructure.workflow.values import Baseline
from infrastructure.workspace.snapshot import take_snapshot

FILES = {
    "calc.py": b"", "pyproject.toml": b"[project]\nname = 'x'\n", "check.py": b"import calc\n",
    "tests/a_data.json": b"[1]", "tests/a_photo.png": b"\x89PNG\0", "tests/test_a_broken.py": b"\xff",
    "tests/test_b.py": b"b = 1\n", "tests/test_z.py": b"z = 1\n", "tests/adds.rs": b"#[test]\n",
    "x_test.go": b"package x\n",
}  # fmt: skip
PYTHON = ("tests/test_b.py", "tests/test_z.py")


@pytest.mark.parametrize(
    ("red", "crashed", "command", "shown"),
    [
        (("tests/test_z.py::test_it",), None, "pytest", ("tests/test_z.py",)),
        (
            ("tests/test_z.py::test_it",),
            "stopped",
            "pytest",
            ("tests/test_z.py", "tests/adds.rs", "tests/test_b.py", "x_test.go"),
        ),
        ((), "stopped", "pytest", ("tests/adds.rs", *PYTHON, "x_test.go")),
        (("cargo::adds",), None, "cargo test", ("tests/adds.rs", *PYTHON, "x_test.go")),
        (("python check.py",), None, "python check.py", ("check.py", "tests/adds.rs", *PYTHON, "x_test.go")),
        ((), None, "pytest", ()),
    ],
)
async def test_what_may_be_red_is_shown_and_what_is_known_to_be_comes_first(tmp_path, red, crashed, command, shown):
    for path, content in FILES.items():
        (tmp_path / "repo" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repo" / path).write_bytes(content)
    snapshot = await take_snapshot(tmp_path / "repo", tmp_path / "trees")
    blobs = MemoryBlobs()
    report = TestReport(outcomes=dict.fromkeys(red, TestOutcome.FAILED), crashed=crashed, command=command)
    baseline = Baseline(judge="given", plan="any", report=await keep_report(blobs, report), command=command)
    found = await shown_tests(SimpleNamespace(blobs=blobs), snapshot, baseline, lambda _: None)
    assert tuple(file.path for file in found) == shown
