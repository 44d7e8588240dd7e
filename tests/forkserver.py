"""A fork server: the project's own commands start from a process that has the program in memory already.

A test of a process wants one of its own: with its number, its streams, its signals and its end. It does not want two
thousand modules to be imported for it once more, which is most of what a short command costs. So `python -m MODULE` is
forked where it would have been executed, and becomes a child of the test all the same; with coverage it measures
itself, as an executed one does. Other programs are executed as ever. A command of ours that cannot be had this way, for
another environment of Python's or further descriptors, is so only where its test says so by the fixture `executed`:
forks have one hash seed and one order of imports among them. `tests/cli/test_startup.py` is about the real start.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import runpy
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import coverage

ROOT = Path(__file__).parents[1]
PRELOADED = ("backend.bootstrap", "backend.server", "backend.attach.seat", "infrastructure.simulator")
PACKAGE = "backend.cli"
"""All its modules are imported too, but for the one that runs a command when it is imported."""
AT_IMPORT = ("CORRAL_CORE", "TZ")
"""Read once in a process: which form the core has, and what the C library takes for local time."""
COVERAGE = "COVERAGE_PROCESS"
"""How the names begin by which coverage tells a process to measure itself."""
BEGUN = {name: value for name, value in os.environ.items() if not name.startswith(COVERAGE)}
"""What the server starts with, whenever that is: a test may have changed ours by then."""
EXECUTE = subprocess.Popen._execute_child
"""How commands are started without a fork server."""
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_BYTES = 8


# --------------------------------------------------------------------------------- in the process of the tests
class ForkServer:
    """The server's process, and what is asked of it. Starts with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None
        self._lock = threading.Lock()
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl

    def start(self, request: Mapping[str, object], streams: tuple[int, int, int]) -> int:
        """Fork a command; its process id. It is a child of this process."""
        with self._lock:
            asking = self._asking or self._open()
            body = json.dumps(request).encode()
            # Whose parent dies becomes a child of the nearest subreaper: of us, while we wait for the answer.
            self._prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(asking, [len(body).to_bytes(_BYTES)], streams)
                asking.sendall(body)
                return int.from_bytes(_received(asking, _BYTES))
            finally:
                self._prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def close(self) -> None:
        """End the server; what it has forked goes on."""
        if self._asking is not None and self._process is not None:
            self._asking.close()
            self._process.wait()

    def _open(self) -> socket.socket:
        self._asking, theirs = socket.socketpair()
        with theirs:
            command = (sys.executable, "-m", "tests.forkserver", str(theirs.fileno()))
            self._process = subprocess.Popen(command, cwd=ROOT, env=BEGUN, pass_fds=(theirs.fileno(),))
        return self._asking


class Unforked(AssertionError):
    """A command of ours that no fork can be; its test does not say that it wants it executed."""


def own_terminal() -> None:
    """For `preexec_fn`: stdin is the terminal of the new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def forked_commands() -> Iterator[None]:
    """Have this project's commands forked, whoever starts them by way of `subprocess` or asyncio. On Linux only."""
    if sys.platform != "linux":
        yield
        return
    server = ForkServer()

    def start(self: Any, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, cwd: Any,
              env: Any, startupinfo: Any, creationflags: Any, shell: Any, *rest: Any) -> None:  # fmt: skip
        words = _ours(args)
        if words is None or shell or executable not in (None, sys.executable):
            EXECUTE(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags,
                    shell, *rest)  # fmt: skip
            return
        (p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, _, gid, gids, uid, umask, session, group) = rest
        terminal = preexec_fn is own_terminal
        another = preexec_fn and not terminal
        unusual = another or not close_fds or pass_fds or gid or gids or uid or umask != -1 or group != -1
        request = None if unusual else request_of(words, cwd, env, session, terminal)
        if request is None:
            raise Unforked(f"{' '.join(words)}: another environment, folder or descriptors; the fixture `executed`?")
        ends = (p2cread, c2pwrite, errwrite)
        self.pid = server.start(request, tuple(own if end == -1 else end for own, end in enumerate(ends)))
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    subprocess.Popen._execute_child = start
    try:
        yield
    finally:
        subprocess.Popen._execute_child = EXECUTE
        server.close()


def _ours(args: Any) -> list[str] | None:
    """The words of a command of this project's, for our Python; None for any other, and for the server itself."""
    words = [args] if isinstance(args, (str, bytes, os.PathLike)) else [os.fspath(word) for word in args]
    if len(words) < 3 or words[0] != sys.executable or words[1] != "-m" or words[2] == "tests.forkserver":
        return None
    return words if words[2].startswith(("backend.", "tests.")) else None


def request_of(
    words: Sequence[str], cwd: Any, env: Mapping[str, str] | None, session: bool = False, terminal: bool = False
) -> dict[str, object] | None:
    """What is asked of the server; None for a command that is not for it."""
    environment = dict(os.environ if env is None else env)
    if _ours(words) is None or Path(cwd or Path.cwd()) != ROOT or not _alike(environment):
        return None
    return {
        "module": words[2], "arguments": words[3:], "environment": environment, "session": session, "terminal": terminal
    }  # fmt: skip


def _alike(environment: Mapping[str, str]) -> bool:
    """Whether Python would begin in this environment as it did in the server's."""
    path, own = environment.get("PYTHONPATH", ""), BEGUN.get("PYTHONPATH", "")
    return path in {own, str(ROOT)} and _of_python(environment) == _of_python(BEGUN)


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    """What has its effect when Python starts or a module is imported, which a fork does not do again."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("PYTHON", "LC_", "LANG")) or name in AT_IMPORT
        if name != "PYTHONPATH"
    }


def _received(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError("the fork server is gone")
        data += more
    return data


# ---------------------------------------------------------------------------------------------- in the server
def serve(asked: socket.socket) -> None:
    """Fork what is asked for, until nobody can ask any more.

    Raises:
        _Become: In each child, which is to be the command.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    while True:
        size, streams, _, _ = socket.recv_fds(asked, _BYTES, 3)
        if not size:
            os._exit(0)
        request = json.loads(_received(asked, int.from_bytes(size)))
        told, tell = os.pipe()
        if (between := os.fork()) == 0:
            if (child := os.fork()) != 0:
                os.write(tell, child.to_bytes(_BYTES))
                os._exit(0)  # so the child is an orphan, and whoever asked becomes its parent
            asked.close()
            os.close(told)
            os.close(tell)
            _become(request, streams)
        os.waitpid(between, 0)
        asked.sendall(os.read(told, _BYTES))
        for each in (told, tell, *streams):
            os.close(each)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Take on what the command was given: its streams, its environment, its words."""
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["terminal"]:
        own_terminal()
    coverage.process_startup()
    random.seed()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as at a terminal, however the tests were started
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = open(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors, closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        binary = open(number, "wb", 0 if at_once else -1, closefd=False)  # noqa: SIM115
        lines = number == 2 or os.isatty(number)
        new = io.TextIOWrapper(binary, old.encoding, old.errors, line_buffering=lines, write_through=at_once)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    sys.argv = ["-m", *request["arguments"]]
    raise _Become(request["module"])


class _Become(BaseException):
    """Thrown out of the server's loop in a child: its stack is that of the command alone."""


if __name__ == "__main__":
    command = ""
    with suppress(KeyboardInterrupt):
        try:
            serve(socket.socket(fileno=int(sys.argv[1])))
        except _Become as become:
            command = str(become)
    if command:
        runpy.run_module(command, run_name="__main__", alter_sys=True)
