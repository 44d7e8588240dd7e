"""What every test has: no user's configuration, data or servers, and a detector of blocking calls in async code."""

from __future__ import annotations

import tests.sources  # noqa: F401

# isort: split
import faulthandler
import gc
import itertools
import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

from infrastructure.sandbox import Check, Level, Sandbox, bubblewrap, launched, opening
from infrastructure.sandbox.cgroups import CgroupHome
from infrastructure.sandbox.checks import attacked
from infrastructure.sandbox.conditions import usable_cgroups
from tests.forkserver import EXECUTE, forked_commands

# The same examples in every run: a change is what breaks a test, not the day. `make fuzz` looks for new ones.
# No clock has a say: a loaded machine is no mistake.
settings.register_profile(
    "same", derandomize=True, max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """Half a million objects live to the end from here on: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


GRACE_SECONDS = 120
_errors: list[int] = []  # the error stream itself: pytest puts another in its place while tests run


def pytest_configure() -> None:
    _errors.append(os.dup(2))


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """The process ends if this takes longer, and says where each of its threads is; another goes on with its tests.

    `timeout` only sends an exception. Where that is swallowed, or the teardown hangs, all would wait for ever.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=_errors[0])
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that takes no end is ended with its process."""
    own = item.get_closest_marker("timeout")
    with ended_after(GRACE_SECONDS + float(own.args[0] if own else item.config.getini("timeout"))):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """So is one that does not come to its end, whatever it had left of its time."""
    with ended_after(GRACE_SECONDS):
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A failure is told at once: who stops the tests before their end hears of it too."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        os.write(_errors[0], f"\nfailed: {report.nodeid} ({report.when})\n".encode())


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
        "VIRTUAL_ENV",
        "LANGSMITH_TRACING",
        "USE_EVENT_DRIVEN_PERSISTENCE",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home / name))


@pytest.fixture(scope="session", autouse=True)
def _forked_commands() -> Iterator[None]:
    """Commands of this project do not import it again, each by itself."""
    with forked_commands():
        yield


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that this test starts are executed: each has imports, and a seed of its hashes, of its own."""
    monkeypatch.setattr(subprocess.Popen, "_execute_child", EXECUTE)


@pytest.fixture(scope="session", autouse=True)
def _detector() -> Iterator[BlockBuster]:
    """Fails a test whose event loop is blocked by a call of ours (a file, a socket, a sleep)."""
    with blockbuster_ctx(["agents", "infrastructure", "backend"]) as detector:
        # Coverage's tracer takes a lock when it first sees a file.
        detector.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", "lock_data")
        # A program that is started by vfork tells at once whether it began; asyncio's own way is let pass here, too.
        detector.functions["os.read"].can_block_in("subprocess.py", "_execute_child")
        yield detector


@pytest.fixture
def blocking_calls(_detector: BlockBuster) -> Iterator[BlockBuster]:
    """The detector of blocking calls. What a test lets pass is let pass in that test."""
    kept = {name: list(each.can_block_functions) for name, each in _detector.functions.items()}
    yield _detector
    for name, let_pass in kept.items():
        _detector.functions[name].can_block_functions[:] = let_pass


_attacked: dict[Level, tuple[Check, ...]] = {}
_cgroups: list[CgroupHome | None] = []


async def _attacked_once(sandbox: Sandbox) -> tuple[Check, ...]:
    if sandbox.level not in _attacked:
        _attacked[sandbox.level] = await attacked(sandbox)
    return _attacked[sandbox.level]


async def _cgroups_found_once() -> CgroupHome | None:
    if not _cgroups:
        _cgroups.append(await usable_cgroups())
    return _cgroups[0]


@pytest.fixture(autouse=True)
def checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox is tried out once in a process of tests, and not again by each test that opens one.

    `tests/sandbox`, where it is about that, does without this.
    """
    monkeypatch.setattr(bubblewrap, "attacked", _attacked_once)
    monkeypatch.setattr(launched, "attacked", _attacked_once)
    monkeypatch.setattr(opening, "usable_cgroups", _cgroups_found_once)


@pytest.fixture
def repository_root() -> Path:
    """The root of this project's tree."""
    return Path(__file__).parent.parent
