"""Folders in the temporary directory: whose they are, and that they end."""

import asyncio
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infrastructure.processes import Scratch, scratch, sweep_scratch
from infrastructure.processes.scratch import made, remove_tree

MAKER = """
import sys
from pathlib import Path
from infrastructure.processes import Scratch
held = Scratch("maker", Path(sys.argv[1]))
(held.path / "inside").write_text("text")
print(held.path, flush=True)
sys.stdin.read()
"""


@contextmanager
def maker(parent: Path, root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that holds a folder, and the folder."""
    with subprocess.Popen(
        (sys.executable, "-c", MAKER, str(parent)), cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


async def test_a_folder_is_private_and_lasts_as_long_as_its_block(tmp_path: Path) -> None:
    async with scratch("test", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("corral.test.")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inside").write_text("text")

    assert not any(tmp_path.iterdir())


async def test_without_a_parent_it_is_in_the_systems_temporary_directory() -> None:
    async with scratch("test") as folder:
        assert str(folder.parent) == tempfile.gettempdir()


def test_a_folder_can_be_removed_without_an_event_loop_and_more_than_once(tmp_path: Path) -> None:
    held = Scratch("test", tmp_path)
    (held.path / "inside").write_text("text")
    held.remove()
    held.remove()

    assert not any(tmp_path.iterdir())


async def test_an_error_in_the_block_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with scratch("test", tmp_path):
            raise KeyError

    assert not any(tmp_path.iterdir())


async def test_cancelling_at_any_step_leaves_no_folder_and_no_open_file(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count

    async def use() -> None:
        async with scratch("test", tmp_path):
            await asyncio.Event().wait()

    for turns in range(8):
        task = asyncio.create_task(use())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not any(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count


async def test_what_is_made_in_a_thread_is_removed_when_nobody_waits_for_it_any_more() -> None:
    began, go_on, removed = asyncio.Event(), asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def make() -> str:
        loop.call_soon_threadsafe(began.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return "it"

    async def remove(it: str) -> None:
        removed.append(it)

    task = asyncio.create_task(made(make, remove))
    await began.wait()
    task.cancel()
    go_on.set()
    await asyncio.wait([task])

    assert task.cancelled()
    assert removed == ["it"]


async def test_what_hostile_code_leaves_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(1500):  # deeper than a path may be long, and than a function may call itself
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    (folder / "closed").mkdir()
    (folder / "closed" / "inside").write_text("text")
    (folder / "closed").chmod(0)
    await remove_tree(folder)
    await remove_tree(folder)

    assert not any(tmp_path.iterdir())


async def test_a_sweep_removes_what_a_killed_process_left_and_nothing_that_is_held(
    tmp_path: Path, repository_root: Path
) -> None:
    mine = await asyncio.to_thread(Scratch, "test", tmp_path)
    with maker(tmp_path, repository_root) as (lives, theirs), maker(tmp_path, repository_root) as (dies, left):
        dies.kill()
        dies.wait()
        assert (left / "inside").exists()
        await sweep_scratch([tmp_path])
        assert sorted(tmp_path.iterdir()) == sorted([mine.path, theirs])

        lives.kill()
        lives.wait()
        await sweep_scratch([tmp_path])
        assert list(tmp_path.iterdir()) == [mine.path]
    await mine.discard()


async def test_a_sweep_that_is_cancelled_holds_no_folder_for_the_next_one(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    for turns in range(12):
        for name in ("a", "b", "c"):
            (tmp_path / f"corral.test.{name}").mkdir(exist_ok=True)
        sweeping = asyncio.create_task(sweep_scratch([tmp_path]))
        for _ in range(turns):
            await asyncio.sleep(0)
        sweeping.cancel()
        await asyncio.wait([sweeping])
    await sweep_scratch([tmp_path])
    await asyncio.get_running_loop().shutdown_default_executor()  # a removal that was begun goes on to its end

    assert not any(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count


async def test_a_sweep_touches_nothing_of_anybody_elses(tmp_path: Path) -> None:
    for name in ("corral-demo-x", "corral.txt", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "corral.a.file").write_text("text")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "corral.a.link").symlink_to(elsewhere)
    before = sorted(tmp_path.iterdir())
    await sweep_scratch([tmp_path, tmp_path / "missing"])

    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("sweep", ["is over", "has just begun"])
def test_a_folder_that_a_sweep_took_for_an_abandoned_one_is_made_anew(
    sweep: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, swept = tempfile.mkdtemp, []

    def mkdtemp(**options: str) -> str:
        folder = make(**options)
        if not swept:
            swept.append(os.open(folder, os.O_RDONLY))
            fcntl.flock(swept[0], fcntl.LOCK_EX)
            if sweep == "is over":
                os.rmdir(folder)  # noqa: PTH106 - as the sweep does
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    held = Scratch("test", tmp_path)

    assert swept
    assert held.path.exists()
    held.remove()
    os.close(swept[0])
