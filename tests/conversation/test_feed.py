"""Chunks to watchers: all of a turn, also to one who comes late or is slow."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from agents.conversation.chunks import StreamChunk
from infrastructure.conversation.feed import Feed


def piece(text: str) -> StreamChunk:
    return StreamChunk(kind="text", agent="ask", text=text)


async def collected(feed: Feed, **how: bool) -> list[tuple[str, str]]:
    return [(chunk.kind, chunk.text) async for chunk in feed.follow(**how)]


async def test_late_watcher_gets_joined_pieces_and_nothing_that_was_taken_back():
    feed = Feed()
    for chunk in (piece("Wro"), piece("ng"), StreamChunk(kind="restarted"), piece("Ri"), piece("ght")):
        feed.tell(chunk)
    feed.tell(StreamChunk(kind="text", agent="ask", message=2))
    feed.close()
    assert await collected(feed) == [("text", "Right"), ("text", "")]


async def test_watcher_who_has_seen_pieces_is_told_to_drop_them():
    feed = Feed()
    feed.tell(piece("Wrong"))
    async with aclosing(feed.follow()) as chunks:
        assert (await anext(chunks)).text == "Wrong"
        feed.tell(piece(" still"))
        feed.tell(StreamChunk(kind="restarted"))
        feed.tell(piece("Right"))
        feed.close()
        assert [(chunk.kind, chunk.text) async for chunk in chunks] == [("restarted", ""), ("text", "Right")]


async def test_slow_watcher_costs_one_chunk_for_any_number_of_pieces():
    feed = Feed()
    async with aclosing(feed.follow()) as chunks:
        feed.tell(piece("a"))
        await anext(chunks)
        for _ in range(10_000):
            feed.tell(piece("b"))
        assert (await anext(chunks)).text == "b" * 10_000


async def test_watcher_may_end_where_the_turn_rests():
    feed = Feed()
    resting = asyncio.create_task(collected(feed, ends_when_waiting=True))
    staying = asyncio.create_task(collected(feed))
    feed.tell(StreamChunk(kind="approval"))
    feed.rest()
    assert await resting == [("approval", "")]
    feed.tell(StreamChunk(kind="done"))
    feed.close()
    assert await staying == [("approval", ""), ("done", "")]
