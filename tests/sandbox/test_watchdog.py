"""What the watchdog sees of processes and folders."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from infrastructure.sandbox import Limits, Stop
from infrastructure.sandbox import watchdog as module
from infrastructure.sandbox.watchdog import Folder, Watchdog, bytes_since, descendants, over_memory

MIB = 1 << 20


def write(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(os.urandom(size))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free bytes of the disk, to be set."""
    free = [1000 * MIB]
    monkeypatch.setattr(module, "_free_bytes", lambda folder: free[0])
    return free


@pytest.mark.slow
def test_a_family_is_a_process_and_all_below_it() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        family = descendants(parent.pid)
        for pid in family:
            os.kill(pid, 9)

    assert (family[0], len(family)) == (parent.pid, 2)


def test_memory_is_counted_and_the_dead_hold_none() -> None:
    assert over_memory([os.getpid()], 1 * MIB)
    assert not over_memory([os.getpid()], 1 << 40)
    assert not over_memory([999_999_999], 0)


@pytest.mark.slow
def test_pages_that_two_processes_share_count_once() -> None:
    held = bytearray(64 * MIB)
    alone = next(size for size in range(0, 4096, 8) if not over_memory([os.getpid()], size * MIB))
    child = os.fork()
    if child == 0:
        time.sleep(60)  # noqa: TID251 - a process of its own, not a loop
    try:
        assert not over_memory([os.getpid(), child], (alone + 48) * MIB)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        del held


def test_only_what_changed_since_counts(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "new", 3 * MIB)

    assert bytes_since(tmp_path, time.time() - 60) >= 3 * MIB
    assert bytes_since(tmp_path, time.time() + 60) == 0


def test_a_link_is_not_followed_when_counting(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "big", 3 * MIB)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")

    assert bytes_since(tmp_path / "tree", 0.0) < MIB


def test_a_folder_is_filled_when_the_disk_shrank_and_the_folder_grew(tmp_path: Path, free: list[int]) -> None:
    folder = Folder(tmp_path, 2 * MIB)
    assert not folder.is_filled()

    write(tmp_path / "new", 3 * MIB)
    free[0] -= 3 * MIB
    assert folder.is_filled()


def test_somebody_else_filling_the_disk_stops_nobody(tmp_path: Path, free: list[int]) -> None:
    folder = Folder(tmp_path, 2 * MIB)
    free[0] -= 500 * MIB

    assert not folder.is_filled()
    assert not folder.is_filled()


def test_a_disk_about_to_be_full_needs_no_proof(tmp_path: Path, free: list[int]) -> None:
    folder = Folder(tmp_path, 2 * MIB)
    free[0] = 10 * MIB

    assert folder.is_filled()


async def test_it_returns_with_the_first_reason(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=1)
    watchdog = Watchdog(limits=limits, folders=(), cgroup=None, own_tmp=False)

    assert await watchdog.watch(os.getpid()) is Stop.MEMORY


def test_nothing_wrong_is_no_reason(tmp_path: Path) -> None:
    watchdog = Watchdog(
        limits=Limits(memory_bytes=1 << 40), folders=(Folder(tmp_path, MIB),), cgroup=None, own_tmp=True
    )

    assert watchdog.look(os.getpid()) is None
