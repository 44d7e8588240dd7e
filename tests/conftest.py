"""What every test has: no user's configuration, data or servers, and a detector of blocking calls in async code."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

# Tests run the sources, which are what counts; tests/compiled runs the other form too, where it can be built.
os.environ.setdefault("CORRAL_CORE", "interpreted")

# The same examples in every run: a change is what breaks a test, not the day. `make fuzz` looks for new ones.
# No clock has a say: a loaded machine is no mistake.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture(scope="session")
def nobodys_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders, a new one for each test, made by whoever writes there.

    One folder of pytest's for each test would be looked through for every next one: with thousands, that is what most
    tests would spend their time on.
    """
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch, nobodys_homes: Iterator[Path]) -> None:
    home = next(nobodys_homes)
    for name in (
        "OLLAMA_HOST",
        "CORRAL_CONFIG",
        "CORRAL_MODEL",
        "CORRAL_SERVERS",
        "VIRTUAL_ENV",
        "LANGSMITH_TRACING",
        "USE_EVENT_DRIVEN_PERSISTENCE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / name))


@pytest.fixture(autouse=True)
def blocking_calls() -> Iterator[BlockBuster]:
    """Fails a test whose event loop is blocked by a call of ours (a file, a socket, a sleep)."""
    with blockbuster_ctx(["agents", "infrastructure", "backend"]) as detector:
        # Coverage's tracer takes a lock when it first sees a file.
        detector.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        yield detector


@pytest.fixture
def repository_root() -> Path:
    """The root of this project's tree."""
    return Path(__file__).parent.parent
