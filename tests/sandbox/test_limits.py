"""What a hostile or broken program may use up, at each level, and that nothing of it is left afterwards."""

import asyncio
import os
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.sandbox import Execution, Limits, Sandbox, Stop, watchdog

pytestmark = pytest.mark.slow

MIB = 1 << 20
LIMITS = Limits(wall_seconds=20.0, cpu_seconds=20, processes=24, memory_bytes=192 * MIB, tmp_bytes=32 * MIB)


@pytest.fixture
def mark() -> str:
    """A word in the command line of everything a test starts inside."""
    return f"mark-{secrets.token_hex(8)}"


def alive(mark: str) -> list[int]:
    """The processes of this machine, outside view, that bear the mark."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if mark.encode() in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


async def ended_after_it_began(run_python, sandbox: Sandbox, source: str, mark: str, seconds: float) -> Execution:
    """Run what never ends until its deadline: a longer one each time where it did not come to say a word before."""
    for times in (1, 4, 16):
        ended = await run_python(sandbox, source, mark, limits=replace(LIMITS, wall_seconds=times * seconds))
        if ended.stdout:
            return ended
    raise AssertionError("it does not begin")


async def test_a_fork_bomb_stops_at_the_limit_and_leaves_nobody(sandbox: Sandbox, run_python, mark: str) -> None:
    ended = await run_python(
        sandbox,
        """
import os, signal
made = 0
while made < 500:
    try: child = os.fork()
    except OSError as refused: print('refused'); break
    if child == 0: signal.pause()
    made += 1
print(made)
""",
        mark,
        limits=LIMITS,
    )

    assert ended.stdout.startswith("refused"), ended
    assert 1 <= int(ended.stdout.split()[1]) <= LIMITS.processes + 8
    assert alive(mark) == []


async def test_a_bomb_whose_every_child_bombs_leaves_nobody(sandbox: Sandbox, run_python, mark: str) -> None:
    source = """
import os, time
print('started', flush=True)
while True:
    try:
        if os.fork() == 0: os.setsid()
    except OSError: time.sleep(0.01)
"""
    ended = await ended_after_it_began(run_python, sandbox, source, mark, 1.5)

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.TIMEOUT, "started\n")
    assert alive(mark) == []


async def test_threads_count_as_processes(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(
        sandbox,
        """
import threading
wait, made = threading.Event(), 0
try:
    while made < 500: threading.Thread(target=wait.wait, daemon=True).start(); made += 1
except RuntimeError: print('refused', made)
""",
        limits=LIMITS,
    )

    assert ended.stdout.startswith("refused"), ended
    assert int(ended.stdout.split()[1]) <= LIMITS.processes + 8


async def test_memory_of_one_process_is_bounded(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(sandbox, "held = bytearray(800 << 20); print('got it')", limits=LIMITS)

    assert "got it" not in ended.stdout
    assert ended.stopped is Stop.MEMORY or "MemoryError" in ended.stderr, ended


MANY = """
import os, time
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(64 << 20)
        open(f'held-{os.getpid()}', 'x')
        time.sleep(15); os._exit(0)
time.sleep(15); print('got it')
"""


async def test_memory_of_many_processes_is_bounded_together(
    sandbox: Sandbox, run_python, mark: str, tree: Path
) -> None:
    ended = await run_python(sandbox, MANY, mark, limits=LIMITS)

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.MEMORY, ""), ended
    assert alive(mark) == []


async def test_memory_is_bounded_without_a_cgroup_too(without_cgroup: Sandbox, run_python, mark: str) -> None:
    ended = await run_python(without_cgroup, MANY, mark, limits=LIMITS)

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.MEMORY, ""), ended
    assert alive(mark) == []


async def test_processes_are_bounded_without_a_cgroup_too(without_cgroup: Sandbox, run_python, mark: str) -> None:
    ended = await run_python(
        without_cgroup,
        """
import os, signal, time
for _ in range(200):
    try:
        if os.fork() == 0: signal.pause()
    except OSError: break
else: time.sleep(15); print('got them')
""",
        mark,
        limits=LIMITS,
    )

    # The kernel does not count root's processes; the watchdog does.
    assert ended.exit_code == 0 or ended.stopped is Stop.PROCESSES
    assert "got them" not in ended.stdout
    assert alive(mark) == []


async def test_one_file_is_bounded(sandbox: Sandbox, run_python, tree: Path) -> None:
    ended = await run_python(
        sandbox,
        "open('big', 'wb').write(bytes(8 << 20))",
        limits=replace(LIMITS, file_bytes=4 * MIB),
    )

    assert "File too large" in ended.stderr, ended
    assert (tree / "big").stat().st_size <= 4 * MIB


async def test_a_tree_that_grows_over_its_limit_is_stopped(sandbox: Sandbox, run_python, tree: Path) -> None:
    ended = await run_python(
        sandbox,
        """
import time
for number in range(100):
    with open(f'part-{number}', 'wb') as part: part.write(b'x' * (4 << 20))
    time.sleep(0.05)
print('got it')
""",
        limits=replace(LIMITS, tree_bytes=24 * MIB),
    )

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.DISK, ""), ended


async def test_its_temporary_folder_is_bounded(bubblewrap: Sandbox, run_python) -> None:
    ended = await run_python(
        bubblewrap,
        "for n in range(40): open(f'/tmp/{n}', 'wb').write(bytes(2 << 20))",
        limits=LIMITS,
    )

    assert "No space left on device" in ended.stderr, ended


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
async def test_files_without_a_byte_are_bounded_too(
    bubblewrap: Sandbox, run_python, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "TMP_FILES", 500)
    ended = await run_python(
        bubblewrap,
        f"import time\nfor n in range(1000): open(f'{folder}/{{n}}', 'x').close()\ntime.sleep(15); print('got them')",
        limits=LIMITS,
    )

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.DISK, ""), ended


async def test_a_flood_of_output_is_stopped(sandbox: Sandbox, run_python, mark: str) -> None:
    ended = await run_python(
        sandbox,
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        mark,
        limits=replace(LIMITS, output_bytes=64 * 1024),
    )

    assert (ended.exit_code, ended.stopped, ended.truncated) == (None, Stop.OUTPUT, True)
    assert len(ended.stdout) < 65 * 1024
    assert alive(mark) == []


async def test_long_output_keeps_its_head_and_its_tail(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(
        sandbox,
        "print('first'); print('x' * 10000); print('last')",
        limits=replace(LIMITS, output_bytes=1000),
    )

    assert (ended.exit_code, ended.stopped, ended.truncated) == (0, None, True)
    assert ended.stdout.startswith("first\n")
    assert ended.stdout.endswith("\nlast\n")
    assert "bytes left out" in ended.stdout


async def test_a_program_that_ignores_every_signal_it_can_is_killed(sandbox: Sandbox, run_python, mark: str) -> None:
    source = """
import signal, time
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
print('deaf', flush=True)
while True: time.sleep(60)
"""
    ended = await ended_after_it_began(run_python, sandbox, source, mark, 0.7)

    assert (ended.exit_code, ended.stopped, ended.stdout) == (None, Stop.TIMEOUT, "deaf\n")
    assert alive(mark) == []


async def test_burnt_cpu_time_counts_as_a_timeout(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(sandbox, "while True: pass", limits=replace(LIMITS, cpu_seconds=1))

    assert (ended.exit_code, ended.stopped) == (None, Stop.TIMEOUT)


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {streams}
        time.sleep(600)
    os._exit(0)
os.wait()
print('done')
"""


@pytest.mark.parametrize(
    "streams", ["pass", "[os.close(fd) for fd in (0, 1, 2)]"], ids=["holding its streams", "closed streams"]
)
async def test_a_daemon_does_not_outlive_its_execution(sandbox: Sandbox, run_python, mark: str, streams: str) -> None:
    ended = await run_python(sandbox, DAEMON.format(streams=streams), mark, limits=LIMITS)

    assert (ended.exit_code, ended.stdout) == (0, "done\n")
    assert alive(mark) == []


async def test_a_daemon_does_not_outlive_a_cancelled_execution(
    sandbox: Sandbox, run_python, mark: str, tree: Path
) -> None:
    source = DAEMON.format(streams="open('ready', 'x')") + "time.sleep(600)"
    running = asyncio.create_task(run_python(sandbox, source, mark, limits=LIMITS))
    while not (tree / "ready").exists():
        assert not running.done(), running.result()
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(alive, mark)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert alive(mark) == []


async def test_open_files_are_bounded(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(
        sandbox, "held = [open('/dev/null') for _ in range(1000)]", limits=replace(LIMITS, open_files=64)
    )

    assert "Too many open files" in ended.stderr


async def test_no_core_is_dumped(sandbox: Sandbox, run_python, tree: Path) -> None:
    ended = await run_python(sandbox, "import os; os.abort()")

    assert ended.exit_code == 128 + 6
    assert os.listdir(tree) == []  # noqa: PTH208 - a name each is enough


async def test_nothing_is_left_open_in_our_own_process(sandbox: Sandbox, run_python) -> None:
    await run_python(sandbox, "pass")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    for _ in range(3):
        await run_python(sandbox, "pass")
        await run_python(sandbox, "while True: pass", limits=replace(LIMITS, wall_seconds=0.2))

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count
