"""A program in a process of its own, on both event loops: it starts without Python, and its end is told."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend.looping import run_in_loop
from infrastructure.processes import Finished, Stop, child, open_process, run_process, running, send_signal

pytestmark = pytest.mark.slow

ENV = {"PATH": "/usr/bin:/bin"}
LOOPS = pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
PIPES_HOLD = 1 << 16


async def sh(source: str, *, timeout: float = 60, stdin: bytes = b"", limit: int = 1 << 20) -> Finished:
    return await run_process(("sh", "-c", source), cwd=None, env=ENV, stdin=stdin, timeout=timeout, output_limit=limit)


@LOOPS
def test_streams_ends_and_kills_are_the_same_on_each_loop(fast: bool) -> None:
    text = os.urandom(8 * PIPES_HOLD)

    async def several() -> list[Finished]:
        return await asyncio.gather(
            sh("echo out; echo err >&2; exit 3"),
            sh("cat", stdin=text),
            sh("exec true", stdin=text),
            sh("exec <&-; sleep 0.05; echo deaf", stdin=text),
            sh("exec sleep 600", timeout=0.05),
            sh("exec yes", limit=1000),
            sh("kill -9 $$"),
            sh("exec >&- 2>&-; sleep 0.05; exit 4"),
        )

    said, copied, unread, deaf, late, flood, killed, silent = run_in_loop(several, fast=fast)
    assert (said.exit_code, said.stdout, said.stderr) == (3, b"out\n", b"err\n")
    assert copied.stdout == text
    assert (unread.exit_code, deaf.stdout, killed.exit_code, silent.exit_code) == (0, b"deaf\n", -9, 4)
    assert (late.stopped, flood.stopped) == (Stop.TIMEOUT, Stop.OUTPUT)


@LOOPS
def test_neither_descriptors_nor_zombies_are_left_on_either_loop(fast: bool) -> None:
    def open_now() -> tuple[int, str]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return len(list(Path("/proc/self/fd").iterdir())), children

    async def several() -> tuple[tuple[int, str], tuple[int, str]]:
        await sh("true", stdin=b"x")
        before = await asyncio.to_thread(open_now)
        copies = (sh("cat", stdin=b"x") for _ in range(10))
        await asyncio.gather(*copies, *(sh("exec sleep 600", timeout=0.05) for _ in range(5)))
        return before, await asyncio.to_thread(open_now)

    before, after = run_in_loop(several, fast=fast)
    assert before == after


@LOOPS
def test_a_thread_tells_the_end_where_the_system_has_no_descriptor_for_it(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(child, "open_process", none)
    ended = run_in_loop(lambda: sh("echo out; exit 3"), fast=fast)
    assert (ended.exit_code, ended.stdout) == (3, b"out\n")
    assert run_in_loop(lambda: sh("exec sleep 600", timeout=0.05), fast=fast).stopped == Stop.TIMEOUT


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such descriptors")
def test_a_process_is_held_by_a_descriptor_that_python_need_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.delattr(signal, "pidfd_send_signal", raising=False)
    with subprocess.Popen(["sleep", "600"]) as process:
        descriptor = open_process(process.pid)
        try:
            assert not os.get_inheritable(descriptor)
            send_signal(descriptor, signal.SIGTERM)
            assert select.select([descriptor], [], [], 60)[0] == [descriptor]
            assert process.wait() == -signal.SIGTERM
            with pytest.raises(ProcessLookupError):
                send_signal(descriptor, signal.SIGTERM)
        finally:
            os.close(descriptor)
    with pytest.raises(ProcessLookupError):
        open_process(process.pid)


async def test_a_process_that_does_not_die_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one does whose disk does not answer; here nobody kills it."""
    held: list[int] = []
    monkeypatch.setattr(child.Child, "kill_group", lambda self: not held.append(self.pid))
    monkeypatch.setattr(running, "_DEATH_SECONDS", 0.05)
    try:
        assert (await sh("exec sleep 600", timeout=0.05)).stopped == Stop.TIMEOUT
        assert f"process {held[0]} was killed and does not die" in caplog.text
    finally:
        os.kill(held[0], signal.SIGKILL)
    while Path(f"/proc/{held[0]}").exists():  # noqa: ASYNC110 - it is reaped when it dies, and nobody tells us
        await asyncio.sleep(0.01)


LOCKED = """
import os, threading
lock = threading.Lock()
lock.acquire()  # as another thread may have it, at the moment of a fork: nobody there will release it
os.register_at_fork(after_in_child=lock.acquire)
"""

RUN = """
import asyncio
from backend.looping import run_in_loop
from infrastructure.processes import run_process
async def exits():
    return (await run_process(("sh", "-c", "exit 3"), cwd=None, env={"PATH": "/usr/bin:/bin"}, timeout=30)).exit_code
print(run_in_loop(exits, fast=FAST))
"""

IGNORED = """
import signal
from backend.cli.__main__ import hear_of_children
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
hear_of_children()
"""


@pytest.mark.parametrize("before", [LOCKED, IGNORED], ids=["a lock is held", "SIGCHLD was ignored"])
@LOOPS
def test_a_program_starts_and_is_reaped_whatever_the_process_has(
    before: str, fast: bool, repository_root: Path
) -> None:
    program = before + RUN.replace("FAST", str(fast))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=repository_root, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
