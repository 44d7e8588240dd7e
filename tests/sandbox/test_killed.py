"""Nothing of an execution is left, at whatever instant Corral is killed or the execution cancelled."""

import asyncio
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from infrastructure.sandbox import Command, Sandbox, open_sandbox
from infrastructure.sandbox.bubblewrap import BubblewrapSandbox
from infrastructure.sandbox.conditions import Conditions
from infrastructure.sandbox.seccomp import this_machine

pytestmark = pytest.mark.slow

KILLS = 12
"""At each level. Where it went wrong it did so about every sixth time."""
LONGEST = 0.12
"""Seconds until the kill: several executions, so that every part of one is met."""

DRIVER = """
import asyncio, sys
from pathlib import Path
from tests.sandbox.test_killed import fake_bubblewrap
from tests.sandbox.conftest import opened
from infrastructure.sandbox import Command, Level

async def main(sandbox, tree):
    print("ready", flush=True)
    while True:
        await sandbox.run(Command(argv=("sh", "-c", sys.argv[3]), tree=tree))

tree = Path(sys.argv[2])
sandbox = fake_bubblewrap(tree) if sys.argv[1] == "fake" else opened(Level(sys.argv[1]))
asyncio.run(main(sandbox, tree))
"""

BETWEEN_TWO_STEPS = """#!/bin/sh
# Bubblewrap at the instant when its first process has left the process group and does not yet die with it.
setsid sh -c 'echo $$ > {tree}/first; sleep 600; :' &
wait
"""


def fake_bubblewrap(tree: Path) -> Sandbox:
    """A sandbox over a program that stands still at bubblewrap's most delicate moment."""
    program = tree.parent / "bwrap"
    if not program.exists():
        program.write_text(BETWEEN_TWO_STEPS.format(tree=tree))
        program.chmod(0o755)
    machine, prlimit = this_machine(), shutil.which("prlimit")
    assert machine is not None
    assert prlimit is not None
    return BubblewrapSandbox(program, Path(prlimit), machine, Conditions())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree whose name is in the command line of everything that a sandbox starts for it."""
    folder = tmp_path / secrets.token_hex(8)
    folder.mkdir()
    return folder


def alive(tree: Path) -> list[str]:
    """What of the tree's executions lives, zombies apart."""
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdecimal() or (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            if str(tree).encode() in (folder / "cmdline").read_bytes() or _works_in(folder, tree):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def _works_in(folder: Path, tree: Path) -> bool:
    return (folder / "cwd").readlink().is_relative_to(tree)


async def nobody(tree: Path) -> None:
    """Wait until nothing lives; strangers' children send no event."""
    try:
        async with asyncio.timeout(20):
            while await asyncio.to_thread(alive, tree):  # noqa: ASYNC110 - there is no event to await
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"left behind: {alive(tree)}")


SHORT = "setsid sleep 600 & sleep 0.01"


async def driver(which: str, tree: Path, root: Path, command: str = SHORT) -> asyncio.subprocess.Process:
    """A Corral of its own that runs one execution after another."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DRIVER,
        which,
        str(tree),
        command,
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "TMPDIR": str(tree.parent)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def first_process(tree: Path) -> int:
    """The number of the fake's first process, once it lives; it can send us no event."""
    while not await asyncio.to_thread(_read, tree / "first"):  # noqa: ASYNC110 - there is no event to await
        await asyncio.sleep(0.01)
    return int(await asyncio.to_thread(_read, tree / "first"))


def _read(file: Path) -> str:
    text = file.read_text() if file.exists() else ""
    return text if text.endswith("\n") else ""


async def test_a_first_process_that_is_bound_to_nobody_yet_dies_with_corral(
    bubblewrap: Sandbox, tree: Path, repository_root: Path
) -> None:
    process = await driver("fake", tree, repository_root)
    first = await first_process(tree)
    process.kill()
    await process.wait()

    try:
        await nobody(tree)
    finally:
        _kill(first)


async def test_a_first_process_that_is_bound_to_nobody_yet_dies_with_its_execution(
    bubblewrap: Sandbox, tree: Path
) -> None:
    running = asyncio.create_task(fake_bubblewrap(tree).run(Command(argv=("true",), tree=tree)))
    first = await first_process(tree)
    running.cancel()
    await asyncio.wait([running])

    try:
        assert running.cancelled()
        assert alive(tree) == []
    finally:
        _kill(first)


async def test_a_kill_at_any_instant_leaves_nobody(sandbox: Sandbox, tree: Path, repository_root: Path) -> None:
    instants = random.Random(7)
    for _ in range(KILLS):
        process = await driver(sandbox.level, tree, repository_root)
        await asyncio.sleep(LONGEST * instants.random())
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await nobody(tree)


async def test_the_temporary_folders_that_a_killed_corral_leaves_are_removed_by_the_next_start(
    landlock: Sandbox, tree: Path, repository_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tree.parent))
    process = await driver(landlock.level, tree, repository_root, "touch begun; sleep 600")
    while not await asyncio.to_thread((tree / "begun").exists):  # noqa: ASYNC110 - there is no event to await
        await asyncio.sleep(0.01)
    process.kill()
    await process.wait()
    await nobody(tree)
    assert len(_folders(tree.parent)) == 1
    await open_sandbox(landlock.level)

    assert _folders(tree.parent) == []


async def test_cancelling_at_any_instant_leaves_nobody(sandbox: Sandbox, tree: Path) -> None:
    instants = random.Random(8)
    for _ in range(3 * KILLS):
        running = asyncio.create_task(
            sandbox.run(Command(argv=("sh", "-c", "setsid sleep 600 & sleep 600"), tree=tree))
        )
        await asyncio.sleep(LONGEST / 2 * instants.random())
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        assert alive(tree) == []


def _folders(parent: Path) -> list[str]:
    return [path.name for path in parent.iterdir() if path.name.startswith("corral")]


def _kill(pid: int) -> None:
    if Path(f"/proc/{pid}").exists():
        os.kill(pid, signal.SIGKILL)
