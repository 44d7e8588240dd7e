"""Event streams over a real socket: dense, resumable, equal to the log, and ended by what ends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest

import backend.streams
from backend.server import open_door
from backend.stopping import Stopping, TooManyStreams
from backend.streams import EventStreamResponse, event_frame, event_json, page_json
from infrastructure.events.catalogue import Noted
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from tests.backend.site import STREAM, Frame, Site, frames_of


@asynccontextmanager
async def socket_of(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with the token who speaks to the application over a socket."""
    async with open_door(site.application) as door:
        headers = {"Authorization": f"Bearer {site.token}"}
        async with httpx.AsyncClient(base_url=door.address, headers=headers, timeout=30) as client:
            yield client


async def read_all(client: httpx.AsyncClient, run: str, **headers: str) -> list[Frame]:
    async with client.stream("GET", f"/api/v1/runs/{run}/events", headers={**STREAM, **headers}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [frame async for frame in frames_of(answer)]


async def test_a_stream_has_every_event_once_and_ends_with_the_run(site: Site) -> None:
    run = await site.begin()
    async with socket_of(site) as client:
        frames = await read_all(client, run)
    assert frames[-1] == Frame("end", "{}")
    assert [frame.id for frame in frames[:-1]] == list(range(1, len(frames)))
    assert frames[-2].event == "run.finished"


async def test_a_client_cut_many_times_loses_nothing_and_gets_nothing_twice(site: Site) -> None:
    run = await site.begin()
    got: list[Frame] = []
    async with socket_of(site) as client:
        cuts = 0
        while not got or got[-1].event != "end":
            last = {"Last-Event-ID": str(got[-1].id)} if got else {}
            async with client.stream("GET", f"/api/v1/runs/{run}/events", headers={**STREAM, **last}) as answer:
                left = 1 + cuts % 3
                async for frame in frames_of(answer):
                    got.append(frame)
                    left -= 1
                    if left == 0:
                        break  # and the connection with it
            cuts += 1
    assert cuts > 10
    stored = await site.application.log.read(run, limit=1000)
    assert [frame.id for frame in got[:-1]] == [each.seq for each in stored] == list(range(1, len(stored) + 1))
    assert [frame.event for frame in got[:-1]] == [each.event.kind for each in stored]
    for frame, each in zip(got, stored, strict=False):
        assert frame.data.endswith(each.body[1:])
        assert json.loads(each.body).items() <= frame.json.items()


async def test_page_and_stream_say_the_same(site: Site) -> None:
    run = await site.begin()
    async with socket_of(site) as client:
        frames = await read_all(client, run)
    events: list[dict[str, object]] = []
    after: int | None = 0
    while after is not None:
        answer = await site.client.get(f"/api/v1/runs/{run}/events", params={"after": after, "limit": 7})
        page = answer.json()
        assert len(page["events"]) <= 7
        events += page["events"]
        after = page["next"]
    assert events == [frame.json for frame in frames[:-1]]


async def test_a_finished_run_replays_and_ends_and_after_its_end_only_ends(site: Site) -> None:
    run = await site.begin()
    await site.application.engine.result(run)
    async with socket_of(site) as client:
        frames = await read_all(client, run)
        assert frames[-1].event == "end"
        rest = await read_all(client, run, **{"Last-Event-ID": str(frames[-2].id)})
    assert [frame.event for frame in rest] == ["end"]


async def test_a_stream_stays_open_while_the_run_rests_and_goes_on_with_it(site: Site) -> None:
    run = await site.begin(approve=["plan"])
    seen: list[str] = []
    async with (
        socket_of(site) as client,
        client.stream("GET", f"/api/v1/runs/{run}/events", headers=STREAM) as answer,
    ):
        async for frame in frames_of(answer):
            seen.append(frame.event)
            if frame.event == "approval.asked" and "run.interrupted" not in seen:
                assert (await client.post(f"/api/v1/runs/{run}/interrupt")).status_code == 202
            elif frame.event == "run.interrupted":
                assert (await client.post(f"/api/v1/runs/{run}/resume")).status_code == 202
            elif frame.event == "approval.asked":
                body = {"approval": frame.json["approval"], "approved": True}
                assert (await client.post(f"/api/v1/runs/{run}/answer", json=body)).status_code == 202
    assert seen[-2:] == ["run.finished", "end"]
    assert seen.count("approval.asked") == 2


async def test_a_reader_who_goes_away_is_let_go_of(site: Site) -> None:
    run = await site.begin(approve=["plan"])
    async with open_door(site.application) as door:
        headers = {"Authorization": f"Bearer {site.token}", **STREAM}
        async with httpx.AsyncClient(base_url=door.address, headers=headers) as client:
            async with client.stream("GET", f"/api/v1/runs/{run}/events") as answer:
                frames = frames_of(answer)
                while (await anext(frames)).event != "approval.asked":
                    pass
                assert "corral_sse_clients 1.0" in (await client.get("/metrics")).text
            async with asyncio.timeout(30):
                while "corral_sse_clients 0.0" not in (await client.get("/metrics")).text:
                    pass


async def test_a_door_that_closes_ends_its_streams_and_leaves_the_runs(site: Site) -> None:
    run = await site.begin(approve=["plan"])
    asked = await site.until(run, "approval.asked")
    frames: list[Frame] = []

    async def read(address: str, told: asyncio.Event) -> None:
        headers = {"Authorization": f"Bearer {site.token}", **STREAM}
        async with (
            httpx.AsyncClient(base_url=address, headers=headers) as client,
            client.stream("GET", f"/api/v1/runs/{run}/events") as answer,
        ):
            async for frame in frames_of(answer):
                frames.append(frame)
                if frame.event == "approval.asked":
                    told.set()

    async with asyncio.TaskGroup() as beside, open_door(site.application) as door:
        assert address_in(site) == door.address
        told = asyncio.Event()
        beside.create_task(read(door.address, told))
        await told.wait()
    assert frames[-1] == Frame("server-shutdown", "{}")
    assert address_in(site) == ""
    await site.application.engine.answer(run, str(asked["approval"]), True)
    assert (await site.application.engine.result(run)).status == "done"


async def test_a_reader_who_does_not_read_keeps_no_door_open(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    run = await site.begin(approve=["plan"])
    await site.until(run, "approval.asked")
    for _ in range(200):
        site.application.log.post(run, 1, Noted(text="x" * 100_000))
    await site.application.log.flush()
    async with open_door(site.application) as door:
        host, port = door.address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        asked = f"GET /api/v1/runs/{run}/events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
        writer.write(f"{asked}Authorization: Bearer {site.token}\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert "Cancel 1 running task" in caplog.text
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(30_000_000)
    writer.close()


async def test_silence_is_filled_with_comments(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.streams, "HEARTBEAT_SECONDS", 0.001)
    run = await site.begin(approve=["plan"])
    async with (
        socket_of(site) as client,
        client.stream("GET", f"/api/v1/runs/{run}/events", headers=STREAM) as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if "approval.asked" in line:
                break
        assert ": beat" in [line async for line in _first(lines, 3)]


async def test_there_is_room_for_so_many_streams(site: Site) -> None:
    site.stopping.streams = 1000
    run = await site.begin()
    answer = await site.client.get(f"/api/v1/runs/{run}/events", headers=STREAM)
    assert (answer.status_code, answer.json()["type"]) == (429, "about:corral/TooManyStreams")
    assert answer.headers["retry-after"] == "30"


@pytest.mark.parametrize("last", ["x", "-1", "1.5"])
async def test_an_id_that_is_none_of_ours_is_refused(site: Site, last: str) -> None:
    run = await site.begin()
    answer = await site.client.get(f"/api/v1/runs/{run}/events", headers={**STREAM, "Last-Event-ID": last})
    assert answer.status_code == 422


def address_in(site: Site) -> str:
    """What the engine's lock says."""
    return json.loads(site.application.directory.lock.read_text())["address"]


def stored(text: str, body: str = "") -> Stored:
    return Stored(RunId("r"), 7, datetime(2026, 1, 5, tzinfo=UTC), 1, Noted(text=text), body)


@pytest.mark.parametrize("text", ["", "two\nlines", "\r\n\r\nevent: end\n\n", "\u2028ü\0", "data: x"])
def test_an_event_is_one_line_whatever_it_holds(text: str) -> None:
    frame = event_frame(stored(text, Noted(text=text).model_dump_json()))
    assert frame.count(b"\n") == 4
    assert b"\r" not in frame
    assert json.loads(event_json(stored(text)))["text"] == text


def test_a_body_with_line_ends_in_its_layout_is_written_anew() -> None:
    body = '{\n "kind": "run.noted",\r\n "text": "a\\nb"\n}'
    assert json.loads(event_json(stored("a\nb", body))) == {
        "run": "r", "seq": 7, "at": "2026-01-05T00:00:00.000000Z", "execution": 1, "correlation": "", "causation": "",
        "kind": "run.noted", "text": "a\nb",
    }  # fmt: skip
    assert event_frame(stored("a\nb", body)).count(b"\n") == 4


def test_a_page_that_is_full_says_where_to_go_on() -> None:
    assert json.loads(page_json([stored("a")], 1))["next"] == 7
    assert json.loads(page_json([stored("a")], 2))["next"] is None
    assert json.loads(page_json([], 2)) == {"events": [], "next": None}


async def test_a_response_that_finds_no_room_counts_nothing() -> None:
    stopping = Stopping()
    stopping.streams = 1000

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(TooManyStreams):
        await EventStreamResponse(nothing(), stopping)({}, None, None)  # type: ignore[arg-type] - never reached
    assert stopping.streams == 1000


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        count -= 1
        if count == 0:
            return
