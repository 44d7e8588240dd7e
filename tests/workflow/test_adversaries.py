"""Wrong solutions that try to be let through, each a run of the whole graph in the real sandbox: none is done."""

from __future__ import annotations

import shutil

import pytest

from infrastructure.config.settings import SandboxSettings
from tests.judge.programs import has_node
from tests.workflow.adversaries import Adversary, helped_adversaries, other_adversaries, python_adversaries
from tests.workflow.scenario import Scenario, code, scripted

pytestmark = pytest.mark.slow  # starts processes

ALL = [*python_adversaries(), *helped_adversaries(), *other_adversaries()]
NODE = has_node()


async def end_of(tmp_path, sandbox, adversary: Adversary, **settings):
    answer = "\n".join(code(text, path) for path, text in adversary.patch.items())
    scenario = Scenario(
        folder=tmp_path,
        source=scripted(coder=lambda _: answer),
        sandbox=sandbox,
        files=adversary.files,
        test_command=adversary.command,
        task="Do it in calc.py",
        sandbox_settings=SandboxSettings(seconds=adversary.seconds),
    )
    return scenario, await scenario.run(**{"repairs": 0, "rounds": 1, **settings})


@pytest.mark.parametrize("adversary", ALL, ids=lambda each: each.name)
async def test_wrong_solution_is_never_done(tmp_path, sandbox, adversary: Adversary):
    if adversary.name.startswith("node") and not NODE:
        pytest.skip("node 20 or newer is not installed here")
    if adversary.name.startswith("make") and shutil.which("make") is None:
        pytest.skip("make is not installed here")
    _, end = await end_of(tmp_path, sandbox, adversary)
    assert end["status"] in {"failed", "unverified"}, end["reason"]
