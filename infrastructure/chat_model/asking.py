"""One question to the pool, to its whole answer or piece by piece.

Owns when it is asked again: an answer that breaks off or outgrows its window, as long as nobody has had a piece of it,
and one that had to be a tool call and is none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from agents.errors import UnusableAnswer
from agents.model import Message, Options, Think
from infrastructure.chat_model.choosing import Offer, asked_to_call, call_schema, read_call
from infrastructure.pool.attempts import Attempts
from infrastructure.pool.structured import asked_again
from infrastructure.transport.errors import OllamaError
from infrastructure.transport.messages import Chunk, Format

if TYPE_CHECKING:
    from infrastructure.connection_pool import Call, ChunkStream, OllamaConnectionPool, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """All that is asked in one call of the chat model."""

    model: str
    messages: tuple[Message, ...]
    offer: Offer = field(default_factory=lambda: Offer(()))
    format: Format | None = None
    think: Think | None = None
    options: Options
    call: Call


async def whole(pool: OllamaConnectionPool, asked: Asked) -> Reply:
    """The whole answer.

    Raises:
        OllamaError: the call could not be carried out.
        UnusableAnswer: one of the tools had to be called, and the second answer was no call either.
    """
    async with aclosing(_answers(pool, asked, whole=True)) as pieces:
        last = None
        async for piece in pieces:
            last = piece
    assert last is not None
    assert not isinstance(last, Chunk), "an answer ends with its reply"
    return last


def pieces(pool: OllamaConnectionPool, asked: Asked) -> AsyncGenerator[Chunk | Reply, None]:
    """The pieces of an answer as they come, and in the end all of it; errors as for `whole`.

    A call that had to be made is whole in the reply; no piece has it.

    Raises:
        StreamBroken: also when it broke after the first piece; `partial` holds what had come.
    """
    return _answers(pool, asked, whole=False)


async def _answers(pool: OllamaConnectionPool, asked: Asked, *, whole: bool) -> AsyncGenerator[Chunk | Reply, None]:
    if not asked.offer.must:
        async with aclosing(_pieces(pool, asked, asked.offer, whole=whole)) as pieces:
            async for piece in pieces:
                yield piece
        return
    tools = asked.offer.tools
    calling = replace(asked, messages=asked_to_call(asked.messages, tools), format=call_schema(tools))
    for last in (False, True):
        reply: Reply | None = None
        async with aclosing(_pieces(pool, calling, Offer(()), whole=whole)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Chunk):
                    yield piece
                else:
                    reply = piece
        assert reply is not None, "an answer ends with its reply"
        try:
            call = read_call(reply.text, tools)
        except UnusableAnswer as problem:
            if last:
                raise
            calling = replace(calling, messages=asked_again(calling.messages, reply.text, problem))
        else:
            yield replace(reply, text="", tool_calls=(call,))
            return


async def _pieces(
    pool: OllamaConnectionPool, asked: Asked, offer: Offer, *, whole: bool
) -> AsyncGenerator[Chunk | Reply, None]:
    """The pieces that somebody gets, then the reply; of a call that has to be made, only what is thought before it."""
    attempts = Attempts(asked.options, partial(pool.widen, asked.model))
    begun, must = False, asked.offer.must
    while True:
        try:
            async with _stream(pool, asked, offer, whole=whole) as stream:
                async for chunk in stream:
                    if must:
                        chunk = Chunk(thinking=chunk.thinking)
                    if not whole and (chunk.text or chunk.thinking or chunk.tool_calls):
                        begun = True
                        yield chunk
            reply = stream.reply
            assert reply is not None, "a stream that ended without an error has its reply"
            if begun or not await attempts.cut_short(reply):
                yield reply
                return
        except OllamaError as error:
            if begun or not await attempts.worth_another(error):
                raise


def _stream(pool: OllamaConnectionPool, asked: Asked, offer: Offer, *, whole: bool) -> ChunkStream:
    return pool.stream_chat(
        model=asked.model,
        messages=asked.messages,
        tools=offer.tools,
        format=asked.format,
        think=asked.think,
        options=asked.options,
        call=asked.call,
        whole=whole,
    )
