"""A database that is smaller after much of it has gone, and the same where that does not pay or there is no room."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from infrastructure.storage.database import Database
from infrastructure.storage.shrinking import LEAST_BYTES, shrink


class Usage(NamedTuple):
    total: int
    used: int
    free: int


async def half_empty(path: Path, freed: int) -> int:
    """A database from which so many bytes have gone; its size."""

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE t (number INTEGER, body BLOB)")
        for number, size in enumerate((freed, 100_000)):
            connection.execute("INSERT INTO t VALUES (?, zeroblob(?))", (number, size))

    async with Database(path) as database:
        await database.write(fill)
        await database.write(lambda connection: connection.execute("DELETE FROM t WHERE number = 0").rowcount)
    return path.stat().st_size


def room(free: int) -> Callable[[Path], Usage]:
    return lambda path: Usage(free, 0, free)


async def test_what_has_gone_is_given_back_and_the_rest_is_there(tmp_path: Path) -> None:
    path = tmp_path / "corral.db"
    size = await half_empty(path, 2 * LEAST_BYTES)
    saved = await asyncio.to_thread(shrink, path)
    assert saved >= 2 * LEAST_BYTES
    assert path.stat().st_size == size - saved
    async with Database(path) as database:
        assert await database.read(lambda connection: connection.execute("SELECT number FROM t").fetchall()) == [(1,)]


async def test_a_little_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "corral.db"
    size = await half_empty(path, LEAST_BYTES // 2)
    assert await asyncio.to_thread(shrink, path) == 0
    assert path.stat().st_size == size


async def test_without_room_for_the_copies_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "corral.db"
    size = await half_empty(path, 2 * LEAST_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", room(100_000))
    assert await asyncio.to_thread(shrink, path) == 0
    assert path.stat().st_size == size


async def test_one_that_others_write_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "corral.db"
    await half_empty(path, 2 * LEAST_BYTES)
    monkey = sqlite3.connect(path, isolation_level=None)
    monkey.execute("BEGIN IMMEDIATE")
    assert await asyncio.to_thread(shrink, path) == 0
    monkey.close()
    assert "could not be made smaller" in caplog.text


def test_none_is_made_where_none_is(tmp_path: Path) -> None:
    assert shrink(tmp_path / "corral.db") == 0
    assert not list(tmp_path.iterdir())
