import asyncio
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from infrastructure.sandbox import (
    Command,
    Execution,
    Level,
    Limits,
    NoSandbox,
    Sandbox,
    interpreter_paths,
    open_sandbox,
)
from infrastructure.sandbox.bubblewrap import BubblewrapSandbox
from infrastructure.sandbox.conditions import Conditions
from infrastructure.sandbox.landlock import Landlock, landlock_abi
from infrastructure.sandbox.launched import LaunchedSandbox
from infrastructure.sandbox.seccomp import this_machine

PYTHON = Path(sys.executable)
INTERPRETER = interpreter_paths(PYTHON)
HALF_A_MINUTE = Limits(wall_seconds=30.0)

Run = Callable[..., Awaitable[Execution]]


@pytest.fixture(autouse=True)
def checked_once() -> None:
    """Here each sandbox is tried out when it is opened, as it is for everybody."""


@cache
def opened(level: Level) -> Sandbox | NoSandbox:
    try:
        return asyncio.run(open_sandbox(level))
    except NoSandbox as refused:
        return refused


def sandbox_or_skip(level: Level) -> Sandbox:
    sandbox = opened(level)
    if isinstance(sandbox, NoSandbox):
        pytest.skip(f"level {level} cannot be tried here: {sandbox}")
    return sandbox


@pytest.fixture(params=[Level.BUBBLEWRAP, Level.LANDLOCK], ids=str)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandbox_or_skip(request.param)


@pytest.fixture
def bubblewrap() -> Sandbox:
    return sandbox_or_skip(Level.BUBBLEWRAP)


@pytest.fixture
def landlock() -> Sandbox:
    return sandbox_or_skip(Level.LANDLOCK)


@pytest.fixture
def unconfined() -> Sandbox:
    return sandbox_or_skip(Level.NONE)


@pytest.fixture(params=[Level.BUBBLEWRAP, Level.LANDLOCK], ids=str)
def without_cgroup(request: pytest.FixtureRequest) -> Sandbox:
    """As for a user who may make no cgroup."""
    sandbox_or_skip(request.param)
    machine, prlimit = this_machine(), shutil.which("prlimit")
    assert machine is not None
    assert prlimit is not None
    if request.param is Level.LANDLOCK:
        return LaunchedSandbox(Conditions(), Landlock(landlock_abi(), machine))
    return BubblewrapSandbox(Path("/usr/bin/bwrap"), Path(prlimit), machine, Conditions())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


@pytest.fixture
def run_python(tree: Path) -> Run:
    """Run Python source in a sandbox, in a tree of its own."""

    async def run(
        sandbox: Sandbox,
        source: str,
        *arguments: str,
        limits: Limits = HALF_A_MINUTE,
        env: Mapping[str, str] | None = None,
    ) -> Execution:
        return await sandbox.run(
            Command(
                argv=(str(PYTHON), "-c", source, *arguments),
                tree=tree,
                read=INTERPRETER,
                limits=limits,
                env=env or {},
            )
        )

    return run


@dataclass(frozen=True, slots=True)
class Host:
    """What there is to attack on this machine, all of it ours."""

    folder: Path
    stream_port: int
    datagrams: socket.socket
    unix_datagrams: socket.socket
    abstract: str
    victim: int
    shared_memory_key: int

    @property
    def secret(self) -> Path:
        return self.folder / "home" / ".ssh" / "id_ed25519"

    @property
    def scrap(self) -> Path:
        return self.folder / "home" / "scrap"

    @property
    def written(self) -> Path:
        return self.folder / "home" / "written"

    def as_json(self) -> str:
        return json.dumps(
            {
                "secret": str(self.secret),
                "home": str(self.folder / "home"),
                "scrap": str(self.scrap),
                "written": str(self.written),
                "port": self.stream_port,
                "udp": self.datagrams.getsockname()[1],
                "unix": str(self.folder / "docker.sock"),
                "log": str(self.folder / "log.sock"),
                "abstract": self.abstract,
                "victim": self.victim,
                "corral": os.getpid(),
                "shared_memory_key": self.shared_memory_key,
            }
        )


def shared_memory(stack: ExitStack) -> int:
    """A System V segment of the machine's, by its key."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x434F0000 | os.getpid() & 0xFFFF
    segment = libc.shmget(key, 4096, 0o1600)
    assert segment >= 0
    stack.callback(libc.shmctl, segment, 0, None)
    return key


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    folder = tmp_path / "host"
    (folder / "home" / ".ssh").mkdir(parents=True)
    (folder / "home" / ".ssh" / "id_ed25519").write_text("-----BEGIN a secret-----")
    (folder / "home" / "scrap").write_text("scrap")
    abstract = f"corral-test-{os.getpid()}"
    with ExitStack() as stack:
        stream = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        datagrams.setblocking(False)
        log = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        log.bind(str(folder / "log.sock"))
        log.setblocking(False)
        for address in (str(folder / "docker.sock"), f"\0{abstract}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        victim = stack.enter_context(subprocess.Popen(["sleep", "600"], start_new_session=True))
        stack.callback(victim.kill)
        yield Host(folder, stream.getsockname()[1], datagrams, log, abstract, victim.pid, shared_memory(stack))
