"""`corral clean`: whose disk is full, and who finds the engine held."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.cleaning import NoRoom
from backend.cli.clean import _clean
from backend.cli.console import open_terminal
from backend.cli.errors import ENVIRONMENT, Refused
from backend.retention import Removed
from backend.store import Store, open_store
from infrastructure.config.settings import Paths, RetentionSettings, Settings
from infrastructure.ids import RunId, new_run_id
from infrastructure.storage.lock import EngineLock
from infrastructure.workspace import take_snapshot
from tests.attach.doors import always, answer, door, problem

SAID = open_terminal(io.StringIO(), io.StringIO())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def settings_in(folder: Path) -> Settings:
    return Settings(paths=Paths(data=folder / "data"), retention=RetentionSettings(trees_days=0))


async def test_who_holds_the_engine_cleans_by_the_settings_of_who_asks(settings: Settings) -> None:
    with EngineLock(settings.paths.data / "engine.lock", verb="serve") as lock:
        await lock.wait()
        async with door(always(answer(200, {"trees": 3, "tree_bytes": 5}))) as opened:
            lock.announce(opened.address)
            assert await _clean(settings, SAID) == Removed(trees=3, tree_bytes=5)
    (asked,) = opened.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/clean")
    assert asked.body == {"trees_days": 0.0, "tokens_days": 7.0, "runs_days": 90.0}


async def test_a_holder_that_has_no_door_is_not_waited_for_to_its_end(settings: Settings) -> None:
    with EngineLock(settings.paths.data / "engine.lock", verb="clean") as lock:
        await lock.wait()
        with pytest.raises(
            Refused, match=r"held by `corral clean` \(process \d+\), which does not answer; nothing"
        ) as no:
            await _clean(settings, SAID, patience=0)
    assert no.value.exit_code == ENVIRONMENT
    assert "Clean again when it has ended" in no.value.hint


async def test_a_holder_of_before_is_told_as_what_it_is(settings: Settings) -> None:
    with EngineLock(settings.paths.data / "engine.lock", verb="serve") as lock:
        await lock.wait()
        async with door(always(problem(404, "NoPage"))) as opened:
            lock.announce(opened.address)
            with pytest.raises(Refused, match="an older Corral, which cannot clean while it works"):
                await _clean(settings, SAID)


async def test_a_holder_that_goes_meanwhile_leaves_it_to_us(settings: Settings) -> None:
    with EngineLock(settings.paths.data / "engine.lock", verb="serve") as lock:
        await lock.wait()

        async def go(asked: object) -> bytes:
            lock.close()
            return b""

        async with door(go) as opened:
            lock.announce(opened.address)
            assert await _clean(settings, SAID) == Removed()


# ---------------------------------------------------------------------------------------- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of six megabytes, where this machine lets us have one."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def kept_run(store: Store, repo: Path, *, recorded: bool) -> RunId:
    """A run that ended a month ago, with its tree."""
    run = new_run_id()
    await store.runs.create(run=run, thread=run, task="t", repo="/r", request_json="{}")
    await take_snapshot(repo, store.directory.tree(run))
    (store.directory.tree(run) / "scratch").write_bytes(bytes(600_000))
    if recorded:
        await store.recordings.keep_setup(run, "{}")
    ended = (datetime.now(UTC) - timedelta(days=30)).isoformat(timespec="microseconds")
    sql = "UPDATE runs SET state = 'finished', ended = ? WHERE run = ?"
    await store.database.write(lambda connection: connection.execute(sql, (ended, run)).rowcount)
    return run


def left_by(database: Path) -> dict[Path, bytes]:
    """What lies beside a database whose writer is killed now."""
    beside = [database.with_name(f"{database.name}-{ending}") for ending in ("wal", "shm")]
    return {path: path.read_bytes() for path in beside}


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file:
        for size in (100_000, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [(False, False), (True, False), (True, True)], ids=str)
@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
async def test_clean_works_on_a_disk_without_room_for_a_word(
    small_disk: Path, tmp_path: Path, recorded: tuple[bool, ...], killed: bool
) -> None:
    repo, settings = tmp_path / "repo", settings_in(small_disk)
    repo.mkdir()
    (repo / "a.txt").write_text("as it was\n")
    async with open_store(settings, verb="run") as store:
        runs = [await kept_run(store, repo, recorded=each) for each in recorded]
        directory = store.directory
        left = left_by(directory.database) if killed else {}
    for path, content in left.items():
        path.write_bytes(content)
    await asyncio.to_thread(fill, small_disk)
    removed = await _clean(settings, SAID)
    assert removed.trees == 2
    assert removed.tree_bytes > 1_200_000
    assert list(directory.trees.iterdir()) == []
    async with open_store(settings, verb="run") as store:
        for run, was_recorded in zip(runs, recorded, strict=True):
            snapshot = (await store.recordings.of_run(run)).snapshot
            assert bool(snapshot) is was_recorded
            assert not snapshot or await store.blobs.get(snapshot)


@pytest.mark.slow
async def test_a_full_disk_with_nothing_old_says_what_helps(small_disk: Path, tmp_path: Path) -> None:
    settings = settings_in(small_disk)
    async with open_store(settings, verb="run"):
        pass
    await asyncio.to_thread(fill, small_disk)
    with pytest.raises(NoRoom) as full:
        await _clean(settings, SAID)
    assert "corral clean" not in full.value.hint
    assert "retention.trees_days" in full.value.hint
