"""One process from start to certain end."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from infrastructure.processes import ProcessNotStarted, Stop, run_process

pytestmark = pytest.mark.slow

PYTHON = sys.executable
ENV = {"PATH": "/usr/bin:/bin"}


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def said(file: Path) -> str:
    """What another process has written to a file, once it has; it can send us no event."""
    while not text_of(file).endswith("\n"):  # noqa: ASYNC110 - there is no event to await
        await asyncio.sleep(0.01)
    return text_of(file)


async def test_both_streams_and_the_exit_code_are_told_apart() -> None:
    done = await run_process(("sh", "-c", "echo out; echo err >&2; exit 3"), cwd=None, env=ENV, timeout=10)

    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert (done.stopped, done.truncated) == (None, False)
    assert done.seconds > 0


async def test_standard_input_is_given_to_its_last_byte() -> None:
    text = os.urandom(1 << 20)
    done = await run_process(("cat",), cwd=None, env=ENV, stdin=text, timeout=10, output_limit=2 << 20)

    assert done.stdout == text


async def test_standard_input_that_nobody_reads_does_not_hold_up_the_end() -> None:
    done = await run_process(("true",), cwd=None, env=ENV, stdin=bytes(4 << 20), timeout=10)

    assert done.exit_code == 0


async def test_without_input_a_reader_sees_its_end_at_once() -> None:
    done = await run_process(("cat",), cwd=None, env=ENV, timeout=10)

    assert (done.exit_code, done.stdout) == (0, b"")


async def test_nothing_of_our_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "ours")
    done = await run_process(("/usr/bin/env",), cwd=None, env={"ONLY": "this"}, timeout=10)

    assert done.stdout == b"ONLY=this\n"


async def test_it_runs_in_the_folder_it_is_given_and_in_a_session_of_its_own(tmp_path: Path) -> None:
    done = await run_process(
        (PYTHON, "-c", "import os; print(os.getcwd(), os.getpid() == os.getsid(0) == os.getpgid(0))"),
        cwd=tmp_path,
        env=ENV,
        timeout=10,
    )

    assert done.stdout.decode() == f"{tmp_path} True\n"


async def test_only_descriptors_that_were_passed_are_open_inside() -> None:
    kept, other = os.pipe(), os.pipe()
    os.set_inheritable(other[0], True)
    try:
        done = await run_process(("ls", "/proc/self/fd"), cwd=None, env=ENV, timeout=10, pass_fds=(kept[1],))
    finally:
        for fd in (*kept, *other):
            os.close(fd)

    # 3, or the next that is free, is the folder `ls` reads.
    assert len(done.stdout.split()) == 5
    assert str(kept[1]).encode() in done.stdout.split()


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        ((), None, "empty"),
        (("no-such-program-anywhere",), None, "No such file"),
        (("/etc/passwd",), None, "Permission denied"),
        (("true",), Path("/no/such/folder"), r"No such file .*/no/such/folder"),
        (("true", "a\0b"), None, "null byte"),
        (("true", "x" * (1 << 20)), None, "Argument list too long"),
    ],
)
async def test_what_cannot_be_started_says_why(argv: tuple[str, ...], cwd: Path | None, reason: str) -> None:
    with pytest.raises(ProcessNotStarted, match=reason) as refused:
        await run_process(argv, cwd=cwd, env=ENV, timeout=10)
    assert refused.value.argv == argv


async def test_a_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    source = f"sleep 600 & echo $! > {tmp_path}/child; echo begun; trap '' TERM; sleep 600"
    done = await run_process(("sh", "-c", source), cwd=None, env=ENV, timeout=0.5)

    assert (done.exit_code, done.stopped, done.stdout) == (None, Stop.TIMEOUT, b"begun\n")
    assert not exists(int((tmp_path / "child").read_text()))


async def test_cancelling_kills_the_whole_group_and_is_passed_on(tmp_path: Path) -> None:
    source = f"sleep 600 & echo $! $$ > {tmp_path}/children; wait"
    running = asyncio.create_task(run_process(("sh", "-c", source), cwd=None, env=ENV, timeout=60))
    children = [int(word) for word in (await said(tmp_path / "children")).split()]
    assert all(map(exists, children))

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(map(exists, children))


async def test_cancelling_while_it_starts_leaves_nobody(tmp_path: Path) -> None:
    for turns in range(6):
        mark = tmp_path / str(turns)
        running = asyncio.create_task(
            run_process(("sh", "-c", f"echo $$ > {mark}; exec sleep 600"), cwd=None, env=ENV, timeout=60)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    started = [int(pid) for turns in range(6) for pid in text_of(tmp_path / str(turns)).split()]
    assert not any(map(exists, started))


async def test_a_background_child_that_keeps_the_pipes_does_not_hold_us_up(tmp_path: Path) -> None:
    source = f"sleep 600 & echo $! > {tmp_path}/child; echo done"
    done = await run_process(("sh", "-c", source), cwd=None, env=ENV, timeout=60)

    assert (done.exit_code, done.stdout) == (0, b"done\n")
    assert not exists(int((tmp_path / "child").read_text()))


async def test_a_daemon_that_keeps_the_pipes_does_not_hold_us_up(tmp_path: Path) -> None:
    source = f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 60' & sleep 0.2; echo done"
    done = await run_process(("sh", "-c", source), cwd=None, env=ENV, timeout=60)

    assert (done.exit_code, done.stdout) == (0, b"done\n")
    os.kill(int((tmp_path / "daemon").read_text()), 9)  # it left the group: only a sandbox ends such a one


async def test_output_over_the_limit_loses_its_middle() -> None:
    done = await run_process(
        ("sh", "-c", "echo first; yes | head -c 5000; echo last"), cwd=None, env=ENV, timeout=10, output_limit=1000
    )

    assert (done.exit_code, done.stopped, done.truncated) == (0, None, True)
    assert done.stdout.startswith(b"first\n")
    assert done.stdout.endswith(b"\nlast\n")
    left_out = re.search(rb"\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n", done.stdout)
    assert left_out
    assert len(done.stdout) - len(left_out[0]) + int(left_out[1]) == len("first\n") + 5000 + len("last\n")


async def test_a_flood_on_either_stream_stops_it() -> None:
    for stream in ("1", "2"):
        done = await run_process(("sh", "-c", f"yes >&{stream}"), cwd=None, env=ENV, timeout=60, output_limit=1000)

        assert (done.exit_code, done.stopped, done.truncated) == (None, Stop.OUTPUT, True)
        assert len(done.stdout) + len(done.stderr) < 1100


async def test_a_watcher_is_told_the_process_and_its_word_stops_it() -> None:
    told: list[int] = []

    async def watch(pid: int) -> Stop:
        told.append(pid)
        return Stop.MEMORY

    done = await run_process(("sleep", "600"), cwd=None, env=ENV, timeout=60, watch=watch)

    assert (done.exit_code, done.stopped) == (None, Stop.MEMORY)
    assert not exists(told[0])


async def test_a_watcher_is_cancelled_when_the_process_ends_by_itself() -> None:
    ended: list[str] = []

    async def watch(pid: int) -> Stop:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return Stop.MEMORY

    done = await run_process(("sleep", "0.05"), cwd=None, env=ENV, timeout=60, watch=watch)

    assert (done.exit_code, ended) == (0, ["cancelled"])


async def test_a_watcher_that_fails_ends_the_process_and_its_error_is_raised() -> None:
    told: list[int] = []

    async def watch(pid: int) -> Stop:
        told.append(pid)
        raise OSError("cannot look")

    with pytest.raises(OSError, match="cannot look"):
        await run_process(("sleep", "600"), cwd=None, env=ENV, timeout=60, watch=watch)
    assert not exists(told[0])


async def test_a_leader_with_grace_may_clean_up_first(tmp_path: Path) -> None:
    source = f"trap 'echo cleaned > {tmp_path}/mark; exit' TERM; echo ready; while :; do sleep 0.02; done"
    done = await run_process(("sh", "-c", source), cwd=None, env=ENV, timeout=0.5, grace=10)

    assert (done.exit_code, done.stopped, done.stdout) == (None, Stop.TIMEOUT, b"ready\n")
    assert (tmp_path / "mark").read_text() == "cleaned\n"


async def test_grace_is_over_when_it_is_over() -> None:
    done = await run_process(
        ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.02; done"),
        cwd=None,
        env=ENV,
        timeout=0.2,
        grace=0.2,
    )

    assert (done.exit_code, done.stopped) == (None, Stop.TIMEOUT)


async def test_many_at_once_leave_neither_descriptors_nor_zombies() -> None:
    await run_process(("true",), cwd=None, env=ENV, timeout=60)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are enough
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    others = text_of(children)
    await asyncio.gather(
        *(run_process(("sh", "-c", f"exit {n}"), cwd=None, env=ENV, timeout=60) for n in range(20)),
        *(run_process(("sleep", "60"), cwd=None, env=ENV, timeout=0.05) for _ in range(5)),
    )

    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208 - names are enough
    assert text_of(children) == others
