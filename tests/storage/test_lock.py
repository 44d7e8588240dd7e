import asyncio
import errno
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from infrastructure.storage.errors import DiskFull, StorageError
from infrastructure.storage.lock import EngineLock, holder_of, is_held, read_holder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "engine.lock"


def test_lock_is_held_by_one_at_a_time(path):
    first, second = EngineLock(path, verb="serve"), EngineLock(path, verb="run")
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    first.close()
    first.close()
    assert not first.held
    assert second.try_acquire()
    second.close()


def test_holder_is_readable_by_others_without_the_lock(path):
    with EngineLock(path, verb="serve") as lock:
        assert lock.try_acquire()
        holder = EngineLock(path, verb="run").holder()
        assert (holder.pid, holder.verb) == (os.getpid(), "serve")
        assert holder.started.utcoffset().total_seconds() == 0
        assert not EngineLock(path, verb="run").held
    assert read_holder(path) is None


def test_nobody_holds_a_lock_that_was_never_taken(path):
    assert read_holder(path) is None


def test_file_is_for_its_owner_alone(path):
    with EngineLock(path, verb="serve") as lock:
        lock.try_acquire()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_address_can_be_announced_and_taken_back(path):
    with EngineLock(path, verb="serve") as lock:
        lock.try_acquire()
        lock.announce("http://127.0.0.1:8765")
        assert read_holder(path).address == "http://127.0.0.1:8765"
        lock.announce("")
        assert read_holder(path).address == ""
        assert read_holder(path).verb == "serve"


def test_only_the_holder_announces(path):
    with pytest.raises(RuntimeError):
        EngineLock(path, verb="run").announce("http://127.0.0.1:1")


def test_lock_is_known_to_be_held_whoever_its_file_names(path):
    """A holder in another container is not seen alive from here."""
    assert not is_held(path)
    with EngineLock(path, verb="run") as lock:
        assert lock.try_acquire()
        assert is_held(path)
        path.write_bytes(b"\n")
        assert read_holder(path) is None
        assert is_held(path)
    assert not is_held(path)


def test_copy_of_a_directory_is_held_by_nobody_though_its_file_names_a_process_that_lives(path, tmp_path):
    with EngineLock(path, verb="serve") as lock:
        assert lock.try_acquire()
        copy = tmp_path / "engine.lock"
        copy.write_bytes(path.read_bytes())
        assert read_holder(copy).pid == os.getpid()
        assert holder_of(copy) is None
        assert not is_held(copy)
        assert holder_of(path).pid == os.getpid()


def test_asking_whether_it_is_held_takes_nothing(path):
    with EngineLock(path, verb="run") as lock:
        lock.try_acquire()
    assert not is_held(path)
    with EngineLock(path, verb="run") as lock:
        assert lock.try_acquire()


@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b'{"pid": "x"}\n', b"\xff\xfe\n"])
def test_nonsense_in_the_file_is_nobody_and_does_not_keep_the_lock_from_being_taken(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert read_holder(path) is None
    with EngineLock(path, verb="run") as lock:
        assert lock.try_acquire()
        assert read_holder(path).verb == "run"


def test_pid_that_belongs_to_another_process_now_is_not_the_holder(path):
    with EngineLock(path, verb="run") as lock:
        lock.try_acquire()
        line = path.read_text()
    born = json.loads(line)["born"]
    path.write_text(line.replace(f'"born":{born}', f'"born":{born - 1}'))
    assert read_holder(path) is None
    path.write_text(line)
    assert read_holder(path).pid == os.getpid()


def test_lock_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        EngineLock(tmp_path / "file" / "engine.lock", verb="run").try_acquire()


async def test_waiter_is_told_who_holds_it_and_takes_it_when_that_one_lets_go(path):
    told = []
    first, second = EngineLock(path, verb="serve"), EngineLock(path, verb="run")
    await asyncio.to_thread(first.try_acquire)
    asked = asyncio.Event()

    def on_wait(holder):
        told.append(holder.verb)
        asked.set()

    waiting = asyncio.ensure_future(second.wait(poll=0.001, on_wait=on_wait))
    await asked.wait()
    assert not second.held
    first.close()
    await waiting
    assert second.held
    assert told[0] == "serve"
    second.close()


async def test_waiter_is_told_again_when_the_holder_changes_but_not_at_each_try(path):
    told, changed = [], asyncio.Event()
    first, waiter = EngineLock(path, verb="serve"), EngineLock(path, verb="run")
    await asyncio.to_thread(first.try_acquire)

    def on_wait(holder):
        told.append(holder.address)
        changed.set()

    waiting = asyncio.ensure_future(waiter.wait(poll=0.001, on_wait=on_wait))
    await changed.wait()
    changed.clear()
    first.announce("http://127.0.0.1:1")
    await changed.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert told == ["", "http://127.0.0.1:1"]
    assert not waiter.held
    first.close()


HOLDER = """
import sys
from pathlib import Path
from infrastructure.storage.lock import EngineLock
lock = EngineLock(Path(sys.argv[1]), verb="batch")
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
async def test_kernel_lets_go_when_the_holder_is_killed(path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(path),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await process.stdout.readline()).strip() == b"True"
    with EngineLock(path, verb="run") as lock:
        assert not await asyncio.to_thread(lock.try_acquire)
        holder = await asyncio.to_thread(read_holder, path)
        assert (holder.pid, holder.verb) == (process.pid, "batch")
        process.kill()
        await process.communicate()
        assert await asyncio.to_thread(read_holder, path) is None
        assert await asyncio.to_thread(lock.try_acquire)


async def test_cancelled_waiter_holds_nothing(path):
    lock = EngineLock(path, verb="run")
    waiting = asyncio.ensure_future(lock.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not lock.held
    other = EngineLock(path, verb="serve")
    await other.wait()
    other.close()


def test_lock_on_a_full_disk_is_not_taken_but_by_who_may_be_nameless(path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskFull), EngineLock(path, verb="run") as lock:
        lock.try_acquire()
    with EngineLock(path, verb="clean", may_be_nameless=True) as lock:
        assert lock.try_acquire(), "who could not take it has let go of it"
        assert is_held(path)
        assert read_holder(path) is None
