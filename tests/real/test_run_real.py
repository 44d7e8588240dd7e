"""One whole task through `corral run` on a real server, a model for each role, swaps included."""

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300)]

ROLES = ("intent", "researcher", "planner", "tester", "coder", "debugger", "reviewer", "reflector", "responder")
SERVER = os.environ.get("CORRAL_TEST_OLLAMA", "")
CALC = '"""A small calculator."""\n\n\ndef add(a, b):\n    return a + b\n'
OLD_TEST = """import unittest

from calc import add


class AddTest(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)
"""
RED_TEST = """import unittest

from calc import mean


class MeanTest(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(mean([2, 4]), 3)

    def test_nothing(self):
        with self.assertRaises(ValueError):
            mean([])
"""


@pytest.fixture(scope="module")
def server() -> str:
    if not SERVER:
        pytest.skip("CORRAL_TEST_OLLAMA is not set: no real server to ask (docs/real-server.md)")
    with urllib.request.urlopen(f"{SERVER}/api/tags") as answer:
        names = {model["name"].removesuffix(":latest") for model in json.load(answer)["models"]}
    missing = [f"corral-{role}" for role in ROLES if f"corral-{role}" not in names]
    if missing:
        pytest.skip(f"the server lacks {', '.join(missing)} (docs/real-server.md says how to make them)")
    return SERVER


async def _corral_run(server: str, repo: Path, data: Path, *more: str) -> tuple[int, dict[str, object], str]:
    config = data.with_suffix(".toml")
    lanes = "".join(f'[lanes.{role}]\nmodel = "corral-{role}"\nnum_ctx = 32768\nnum_thread = 1\n' for role in ROLES)
    roles = "".join(f'{role} = "{role}"\n' for role in ROLES)
    config.write_text(f'model = "coder"\nservers = [{{ url = "{server}" }}]\n[roles]\n{roles}{lanes}')
    return await _spawn(config, data, "run", *more, "--repo", str(repo), "--output", "json")


async def _spawn(config: Path, data: Path, *arguments: str) -> tuple[int, dict[str, object], str]:

    environment = {**os.environ, "CORRAL_CONFIG": str(config), "CORRAL_PATHS__DATA": str(data)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend.cli",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out), err.decode()


def _repository(place: Path, **tests: str) -> Path:
    (place / "tests").mkdir(parents=True)
    (place / "tests" / "__init__.py").write_text("")
    (place / "calc.py").write_text(CALC)
    (place / "README.md").write_text("A small calculator.\n")
    for name, text in tests.items():
        (place / "tests" / f"test_{name}.py").write_text(text)
    return place


async def test_task_with_a_red_test_is_done(server: str, tmp_path: Path) -> None:
    repo = _repository(tmp_path / "repo", add=OLD_TEST, mean=RED_TEST)
    code, result, said = await _corral_run(server, repo, tmp_path / "data", "Add mean(numbers) to calc.py")
    assert (code, result["status"], result["judge"]) == (0, "done", "found"), said
    assert result["files"] == ["calc.py"]
    assert result["tests"] == {"passed": 3, "failed": 0, "errors": 0, "skipped": 0}
    assert result["simulated"] is False
    assert result["model_calls"] == 6
    assert "def mean(numbers):" in str(result["patch"])
    assert (repo / "calc.py").read_text() == CALC


async def test_task_without_a_red_test_is_judged_by_written_ones(server: str, tmp_path: Path) -> None:
    repo = _repository(tmp_path / "repo", add=OLD_TEST)
    code, result, said = await _corral_run(server, repo, tmp_path / "data", "Add mean(numbers) to calc.py")
    assert (code, result["status"], result["judge"]) == (0, "unverified", "written"), said


async def test_model_that_is_not_there_ends_with_the_command_that_gets_it(server: str, tmp_path: Path) -> None:
    repo = _repository(tmp_path / "repo", add=OLD_TEST)
    config, data = tmp_path / "config.toml", tmp_path / "data"
    config.write_text(f'servers = [{{ url = "{server}" }}]\n')
    code, result, _ = await _spawn(
        config, data, "run", "Add mean", "--repo", str(repo), "--model", "no-such-model", "--output", "json"
    )
    assert code == 3
    assert "ollama pull no-such-model" in json.dumps(result["error"])
