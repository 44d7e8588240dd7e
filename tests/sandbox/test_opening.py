"""Which level is chosen, and what is said when there is none."""

import asyncio
import logging
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from infrastructure.processes import run_process
from infrastructure.sandbox import Command, Level, NoSandbox, Sandbox, interpreter_paths, open_sandbox, opening
from infrastructure.sandbox.conditions import Conditions
from infrastructure.sandbox.landlock import OLDEST_ABI, SIGNALS_ABI, Landlock
from infrastructure.sandbox.launched import LaunchedSandbox
from infrastructure.sandbox.seccomp import this_machine

pytestmark = pytest.mark.slow

INTERPRETER = interpreter_paths(Path(sys.executable))


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_programs", lambda: (None, "/usr/bin/prlimit"))


@pytest.fixture
def no_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "landlock_abi", lambda: 0)


async def test_auto_takes_bubblewrap_where_it_holds(bubblewrap: Sandbox) -> None:
    assert (await open_sandbox("auto")).level is Level.BUBBLEWRAP


async def test_auto_takes_landlock_where_bubblewrap_is_missing_and_says_so(
    landlock: Sandbox, no_bubblewrap: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        sandbox = await open_sandbox("auto")

    assert sandbox.level is Level.LANDLOCK
    assert "bubblewrap is not installed" in caplog.text


async def test_without_any_level_it_refuses_and_says_what_to_type(
    no_bubblewrap: None, no_landlock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt" else None)
    with pytest.raises(NoSandbox, match="Type: sudo apt install bubblewrap") as refused:
        await open_sandbox("auto")

    assert set(refused.value.reasons) == {Level.BUBBLEWRAP, Level.LANDLOCK}


@pytest.mark.parametrize("level", [Level.BUBBLEWRAP, Level.LANDLOCK])
async def test_a_level_asked_for_by_name_is_never_another(level: Level, no_bubblewrap: None, no_landlock: None) -> None:
    with pytest.raises(NoSandbox) as refused:
        await open_sandbox(level)
    assert set(refused.value.reasons) == {level}


async def test_none_is_only_the_answer_to_its_name(no_bubblewrap: None, no_landlock: None) -> None:
    assert (await open_sandbox(Level.NONE)).level is Level.NONE


async def test_a_bubblewrap_that_is_refused_its_namespaces_gets_the_lines_for_apparmor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_landlock: None
) -> None:
    program = tmp_path / "bwrap"
    options = " ".join(opening._NEEDED_OPTIONS)
    program.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --help ] && echo "{options}" && exit 0\n'
        "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n"
    )
    program.chmod(0o755)
    switch = tmp_path / "apparmor_restrict_unprivileged_userns"
    switch.write_text("1\n")
    monkeypatch.setattr(opening, "_programs", lambda: (str(program), "/usr/bin/prlimit"))
    monkeypatch.setattr(opening, "_USERNS_RESTRICTED", switch)

    with pytest.raises(NoSandbox, match="setting up uid map: Permission denied") as refused:
        await open_sandbox("auto")
    assert "bwrap-userns-restrict /etc/apparmor.d/" in refused.value.fix


async def test_an_old_bubblewrap_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_landlock: None
) -> None:
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho --unshare-all --json-status-fd --ro-bind-data\n")
    program.chmod(0o755)
    monkeypatch.setattr(opening, "_programs", lambda: (str(program), "/usr/bin/prlimit"))

    with pytest.raises(NoSandbox, match="it does not know --disable-userns, --size"):
        await open_sandbox("auto")


async def test_a_level_whose_self_check_fails_is_not_used(
    bubblewrap: Sandbox, no_landlock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A filter that refuses nothing: the hostile program inside must notice.
    monkeypatch.setattr("infrastructure.sandbox.bubblewrap.ALWAYS", ())
    with pytest.raises(NoSandbox, match="not true that dangerous system calls are refused"):
        await open_sandbox("auto")


async def test_the_self_check_holds_and_says_what_a_level_lacks(sandbox: Sandbox) -> None:
    checks = await sandbox.self_check()

    assert [check for check in checks if check.needed and not check.held] == []
    assert any("memory" in check.name and check.note for check in checks)
    lacks = {check.name for check in checks if not check.held} - {"Corral is not root"}
    assert (lacks == set()) == (sandbox.level is Level.BUBBLEWRAP)


@pytest.mark.parametrize("abi", range(OLDEST_ABI, SIGNALS_ABI))
async def test_the_self_check_holds_on_older_kernels_too(landlock: Sandbox, tree: Path, abi: int) -> None:
    machine = this_machine()
    assert machine is not None
    old = LaunchedSandbox(Conditions(), Landlock(abi, machine))
    checks = await old.self_check()
    ended = await old.run(Command(argv=("sh", "-c", "sleep 0 & wait; echo done"), tree=tree))

    assert [check for check in checks if check.needed and not check.held] == []
    assert "signals between its own processes" in {check.name for check in checks if not check.held}
    assert (ended.exit_code, ended.stdout) == (0, "done\n")


async def test_the_self_check_tells_that_nothing_holds_where_nothing_does(unconfined: Sandbox) -> None:
    checks = {check.name: check for check in await unconfined.self_check()}

    assert not checks["a file outside cannot be read"].held
    assert not checks["a TCP server of this machine cannot be reached"].held
    assert not any(check.needed and not check.held for check in checks.values())


async def in_turn(sandbox: Sandbox, trees: list[Path]) -> bool:
    """Whether executions started together ran one after the other, by the clock that all of them share."""
    source = "import time; print(time.monotonic_ns()); time.sleep(0.1); print(time.monotonic_ns())"
    commands = [Command(argv=(sys.executable, "-c", source), tree=tree, read=INTERPRETER) for tree in trees]
    ended = await asyncio.gather(*(sandbox.run(command) for command in commands))
    spans = sorted([int(moment) for moment in execution.stdout.split()] for execution in ended)
    return all(before[1] <= after[0] for before, after in pairwise(spans))


async def test_no_more_run_at_once_than_allowed(bubblewrap: Sandbox, tmp_path: Path) -> None:
    trees = [tmp_path / "one", tmp_path / "two", tmp_path / "three"]
    for tree in trees:
        tree.mkdir()

    assert await in_turn(await open_sandbox(Level.BUBBLEWRAP, at_once=1), trees)
    assert not await in_turn(await open_sandbox(Level.BUBBLEWRAP, at_once=3), trees)


async def test_a_tree_has_one_execution_at_a_time(bubblewrap: Sandbox, tree: Path) -> None:
    assert await in_turn(await open_sandbox(Level.BUBBLEWRAP, at_once=3), [tree] * 3)


async def test_what_the_configuration_adds_can_be_read_by_every_command(tmp_path: Path, tree: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "data").write_text("data")
    sandbox = await open_sandbox("auto", extra_read=(extra,))
    ended = await sandbox.run(Command(argv=("cat", f"{extra}/data"), tree=tree))

    assert ended.stdout == "data"


PARENT = """
import asyncio, sys
from pathlib import Path
from infrastructure.sandbox import Command, Level, open_sandbox
async def main():
    sandbox = await open_sandbox(Level(sys.argv[1]))
    source = f'setsid sleep 61.{sys.argv[3]} & touch ready; wait'
    await sandbox.run(Command(argv=('sh', '-c', source), tree=Path(sys.argv[2])))
asyncio.run(main())
"""


def sleepers(word: str) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and (folder / "cmdline").read_bytes() == f"sleep\0{word}\0".encode():
                found.append(folder.name)
        except OSError:
            continue
    return found


async def test_what_runs_inside_dies_with_corral(sandbox: Sandbox, tree: Path, repository_root: Path) -> None:
    word = str(os.getpid())

    async def kill_when_ready(pid: int) -> None:
        # A file and a stranger's child: neither sends an event.
        while not await asyncio.to_thread((tree / "ready").exists):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        while not await asyncio.to_thread(sleepers, f"61.{word}"):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        await asyncio.Event().wait()

    done = await run_process(
        (sys.executable, "-c", PARENT, sandbox.level, str(tree), word),
        cwd=repository_root,
        # Killed outright, it removes nothing of its own: that goes into a folder of this test.
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository_root), "TMPDIR": str(tree.parent)},
        timeout=30.0,
        watch=kill_when_ready,
    )
    assert done.exit_code == -signal.SIGKILL, done

    async with asyncio.timeout(5):
        while sleepers(f"61.{word}"):  # noqa: ASYNC110 - it is nobody's child that could be awaited
            await asyncio.sleep(0.01)
