"""Tests that cannot be run at all: the user is told at the start, and again in the reason."""

from __future__ import annotations

import pytest

from infrastructure.events.catalogue import Noted
from infrastructure.judge import TestCommandNotStarted as NotStarted
from tests.workflow.scenario import RIGHT, STUB, Scenario, code, scripted

DEPENDENT = "import unittest\nimport no_such_dependency\nfrom calc import add\n"
PYTEST = "def test_add():\n    pass\n"


async def run(tmp_path, sandbox, files, command=""):
    scenario = Scenario(
        folder=tmp_path, source=scripted(coder=lambda _: code(RIGHT)), sandbox=sandbox, files=files,
        test_command=command, task="Do it in calc.py",
    )  # fmt: skip
    return scenario, await scenario.run(repairs=0, rounds=1)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"test_calc.py": DEPENDENT}, "test_calc.py could not be collected"),
        ({"test_calc.py": PYTEST, "conftest.py": "import no_such_dependency\n"}, "pytest could not run the tests"),
    ],
)
async def test_missing_dependency_is_named_at_the_start_and_in_the_reason(tmp_path, sandbox, files, said):
    scenario, end = await run(tmp_path, sandbox, {"calc.py": STUB, **files})
    (note,) = [event for event in scenario.of(Noted) if "no_such_dependency" in event.text]
    assert note.node == "run_baseline"
    assert said in note.text
    assert "make an environment with it in .venv" in note.text
    assert end["status"] == "failed"
    assert said in end["reason"]
    assert "No module named 'no_such_dependency'" in end["reason"]


async def test_program_that_is_not_there_ends_the_run_before_any_model_is_asked(tmp_path, sandbox):
    with pytest.raises(NotStarted, match="it is in neither place"):
        await run(tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": PYTEST}, ".venv/bin/pytest -q")
