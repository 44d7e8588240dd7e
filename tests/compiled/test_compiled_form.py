"""The compiled core does what its sources do: it is built anew, and runs the tests of scheduler and calls."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SAME_TESTS = (
    "tests/pool/test_scheduler.py",
    "tests/pool/test_scheduler_properties.py",
    "tests/pool/test_swaps.py",
    "tests/pool/test_learning.py",
    "tests/pool/test_states.py",
    "tests/pool/test_keeping.py",
    "tests/pool/test_dispatcher.py",
    "tests/pool/test_cancelling_over_servers.py",
    "tests/pool/test_hedging.py",
)
SECONDS = 900


def why_not() -> str:
    """Why nothing can be compiled here; empty where it can."""
    if importlib.util.find_spec("mypyc") is None or importlib.util.find_spec("setuptools") is None:
        return "mypy and setuptools are not installed"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's headers are not installed"
    return ""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a core that was compiled just now, without optimization, which takes longest."""
    if why := why_not():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("core") / "compiled"
    run("hatch_build.py", "--into", str(folder), "--optimize", "0")
    return folder


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS)
def test_compiled_core_passes_the_tests_of_its_sources(core: Path) -> None:
    where = "import infrastructure.pool.scheduler as scheduler; print(scheduler.__file__)"
    assert run("-c", where, CORRAL_CORE=str(core)).startswith(str(core))
    run("-m", "pytest", "-x", "-p", "no:xdist", *SAME_TESTS, CORRAL_CORE=str(core))
