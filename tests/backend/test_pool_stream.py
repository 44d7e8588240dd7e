"""The pool as a stream: what there is, then what changes, and an end with a name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
import pytest

import backend.streams
from backend.server import open_door
from backend.stopping import Stopping
from backend.streams import BEAT, END, RETRY, SERVER_SHUTDOWN, PoolStream
from infrastructure.pool.changes import Changes
from infrastructure.pool.snapshot import PoolSnapshot
from tests.backend.site import STREAM, Frame, Site, frames_of

POOL = "/api/v1/pool"


class Pool:
    """One whose changes are made by hand."""

    def __init__(self, snapshot: PoolSnapshot) -> None:
        self.bells = Changes()
        self.looked = 0
        self._snapshot = snapshot

    def changes(self) -> AsyncGenerator[PoolSnapshot, None]:
        return self.bells.follow(self.look)

    def look(self) -> PoolSnapshot:
        self.looked += 1
        return self._snapshot


@pytest.fixture
def pool(site: Site) -> Pool:
    return Pool(site.application.pool.snapshot())


async def test_a_page_sees_the_calls_of_a_run_come_and_go(site: Site) -> None:
    async with open_door(site.application) as door:
        headers = {"Authorization": f"Bearer {site.token}"}
        async with (
            httpx.AsyncClient(base_url=door.address, headers=headers, timeout=30) as client,
            client.stream("GET", POOL, headers=STREAM) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            frames = frames_of(answer)
            now = await anext(frames)
            assert now.event == "pool"
            assert now.json.keys() == (await client.get(POOL)).json().keys()
            await site.begin()
            async for frame in frames:
                calls = frame.json["calls"]
                assert isinstance(calls, dict)
                if calls["done"] > 0:
                    break


async def test_a_stranger_gets_no_stream(site: Site) -> None:
    async with site.stranger(STREAM) as stranger:
        assert (await stranger.get(POOL)).status_code == 401


async def test_a_door_that_closes_ends_the_stream_by_name(site: Site) -> None:
    frames: list[Frame] = []

    async def read(address: str, told: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {site.token}", **STREAM}
        async with (
            httpx.AsyncClient(base_url=address, headers=headers) as client,
            client.stream("GET", POOL) as answer,
        ):
            async for frame in frames_of(answer):
                frames.append(frame)
                told.set()

    async with asyncio.TaskGroup() as beside, open_door(site.application) as door:
        told = asyncio.Event()
        beside.create_task(read(door.address, told))
        await told.wait()
    assert [frame.event for frame in frames] == ["pool", "server-shutdown"]


async def test_it_ends_with_the_pool(pool: Pool) -> None:
    pool.bells.close()
    said = [frame async for frame in PoolStream(pool, Stopping()).frames()]
    assert said[0] == RETRY
    assert said[1].startswith(b"event: pool\ndata: {")
    assert said[2:] == [END]


async def test_what_changes_while_nobody_reads_is_told_once(pool: Pool) -> None:
    async with aclosing(PoolStream(pool, Stopping()).frames()) as frames:
        assert await anext(frames) == RETRY
        assert b"event: pool" in await anext(frames)
        for _ in range(100):
            pool.bells.ring()
            await asyncio.sleep(0)
        assert pool.looked == 1
        assert json.loads((await anext(frames)).split(b"data: ")[1])
        assert pool.looked == 2


async def test_silence_is_broken_by_a_comment_and_the_end_of_the_server_by_its_name(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.streams, "HEARTBEAT_SECONDS", 0.01)
    stopping = Stopping()
    async with aclosing(PoolStream(pool, stopping).frames()) as frames:
        assert await anext(frames) == RETRY
        assert b"event: pool" in await anext(frames)
        assert await anext(frames) == BEAT
        stopping.settle()
        assert await anext(frames) == SERVER_SHUTDOWN
        assert [frame async for frame in frames] == []
