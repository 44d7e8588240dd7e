"""Changes of the file are noticed: however an editor writes, when it is done, and once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from infrastructure.config.manager import ConfigurationManager, NotReloaded, Reloaded
from infrastructure.config.watching import POLL_SECONDS, SETTLE_SECONDS
from tests.reload.files import Steps, Told, manager_of
from tests.reload.test_manager import Words


@asynccontextmanager
async def watched(manager: ConfigurationManager) -> AsyncIterator[tuple[Steps, Told]]:
    """A watch that sleeps between two looks."""
    steps, told = Steps(), Told()
    manager.subscribe(told)
    task = asyncio.create_task(manager.watch(sleep=steps.sleep))
    assert await steps.asleep() == POLL_SECONDS
    try:
        yield steps, told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def in_place(file: Path) -> None:
    file.write_text('model = "two"\n')


def by_renaming(file: Path) -> None:
    beside = file.with_name(".corral.toml.swp")
    beside.write_text('model = "two"\n')
    beside.replace(file)


def with_its_old_time(file: Path) -> None:
    found = file.stat()
    file.write_text('model = "two"\n')
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def by_deleting_first(file: Path) -> None:
    file.unlink()
    file.write_text('model = "two"\n')


def through_the_link(file: Path) -> None:
    other = file.resolve().with_name("other.toml")
    other.write_text('model = "two"\n')
    link = file.with_name("link")
    link.symlink_to(other)
    link.replace(file)


@pytest.mark.parametrize("write", [in_place, by_renaming, with_its_old_time, by_deleting_first, through_the_link])
@pytest.mark.parametrize("linked", [False, True])
async def test_a_change_is_noticed_and_told_once(tmp_path: Path, write: Callable[[Path], None], linked: bool):
    file = tmp_path / "corral.toml"
    real = tmp_path / "real.toml" if linked else file
    real.write_text('model = "one"\n')
    if linked:
        file.symlink_to(real)
    manager = await manager_of(file)
    async with watched(manager) as (steps, told):
        write(file)
        steps.wake()
        assert await steps.asleep() == SETTLE_SECONDS
        assert not told.news
        steps.wake()
        assert isinstance(await told.next(), Reloaded)
        assert manager.current.model == "two"
        for _ in range(2):
            assert await steps.asleep() == POLL_SECONDS
            steps.wake()
        assert await steps.asleep() == POLL_SECONDS
        assert not told.news


async def test_a_file_is_read_when_it_has_stopped_changing(tmp_path: Path):
    file = tmp_path / "corral.toml"
    file.write_text('model = "one"\n')
    manager = await manager_of(file)
    async with watched(manager) as (steps, told):
        file.write_text("model = ")
        steps.wake()
        assert await steps.asleep() == SETTLE_SECONDS
        file.write_text('model = "two"\n')
        steps.wake()
        assert await steps.asleep() == SETTLE_SECONDS
        steps.wake()
        news = await told.next()
        assert isinstance(news, Reloaded)
        assert news.settings.model == "two"


async def test_a_file_that_goes_and_comes_back(tmp_path: Path):
    file = tmp_path / "corral.toml"
    file.write_text('model = "one"\n')
    manager = await manager_of(file)
    async with watched(manager) as (steps, told):
        for text, kind in ((None, NotReloaded), ('model = "two"\n', Reloaded)):
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            steps.wake()
            assert await steps.asleep() == SETTLE_SECONDS
            steps.wake()
            assert isinstance(await told.next(), kind)
            assert await steps.asleep() == POLL_SECONDS
        assert manager.current.model == "two"


async def test_what_was_read_on_a_signal_is_not_told_again_by_the_watch(tmp_path: Path):
    file = tmp_path / "corral.toml"
    file.write_text('model = "one"\n')
    manager = await manager_of(file)
    async with watched(manager) as (steps, told):
        file.write_text("model")
        await manager.reload()
        assert isinstance(await told.next(), NotReloaded)
        steps.wake()
        assert await steps.asleep() == POLL_SECONDS
        assert not told.news


async def test_files_of_companions_are_watched_too(tmp_path: Path):
    file, words = tmp_path / "corral.toml", Words(tmp_path / "words")
    words.folder.mkdir()
    file.write_text("")
    manager = await manager_of(file)
    await manager.include(words)
    async with watched(manager) as (steps, told):
        (words.folder / "a").write_text("one")
        steps.wake()
        assert await steps.asleep() == SETTLE_SECONDS
        steps.wake()
        news = await told.next()
        assert isinstance(news, Reloaded)
        assert news.changed == ("words.a",)
