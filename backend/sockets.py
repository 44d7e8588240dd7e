"""A session over one WebSocket: its events and chunks out, commands in.

Owns what stands on the wire, in which order, and how a connection ends. Nothing is queued here: events are read from
the log and chunks from the turn as the client takes them, so a slow client costs no memory, and one that takes nothing
for too long is cut off. It has lost nothing: events go on behind the number it knows, and the turn that is open is told
from its first chunk.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, Protocol, cast

import orjson
from pydantic import JsonValue, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from agents.conversation.chunks import StreamChunk
from backend.chunks import chunk_json, to_json
from backend.problems import Problem, invalid, problem_of, status_of
from backend.security.guard import SOCKET_PROTOCOL
from backend.stopping import ShuttingDown, Stopping
from backend.streams import Followed, event_json
from infrastructure.events.causes import correlated, is_correlation
from infrastructure.ids import new_id
from infrastructure.sessions.loaded import whole

PATIENCE_SECONDS = 20.0
"""For one message to be taken."""
FAREWELL_SECONDS = 1.0
"""For the last word."""
DELETED, GOING_AWAY, TOO_SLOW, FAULT = 1000, 1001, 1013, 1011
"""With which a connection is closed: the session is gone, the server ends, the client takes nothing, a bug of ours."""

_logger = logging.getLogger(__name__)


class TooSlow(Exception):
    """The client did not take a message in time."""


class Turns(Protocol):
    """The conversations as they are needed here."""

    def watch(self, session_id: str) -> AsyncGenerator[tuple[str, StreamChunk], None]:
        """The session's turns, one after another, each chunk with its turn."""
        ...


class Commands(Protocol):
    """Does what a client asks for."""

    async def do(self, given: JsonValue) -> dict[str, JsonValue]:
        """Do a command; what is told of it. Raises ValidationError where it is none, and its own refusals."""
        ...


class SessionSocket:
    """One connection."""

    def __init__(
        self,
        socket: WebSocket,
        followed: Followed,
        turns: Turns,
        commands: Commands,
        stopping: Stopping,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._socket, self._followed, self._turns, self._commands = socket, followed, turns, commands
        self._stopping, self._patience = stopping, patience
        self._one_at_a_time = asyncio.Lock()

    async def serve(self, after: int = 0) -> None:
        """Talk until either side ends it; events begin behind this number.

        Raises:
            TooManyStreams: there is no room for it; it was not accepted.
        """
        self._stopping.stream_opened()
        try:
            offered = cast("list[str]", self._socket.scope.get("subprotocols", []))
            await self._socket.accept(SOCKET_PROTOCOL if SOCKET_PROTOCOL in offered else None)
            await self._talk(after)
        finally:
            self._stopping.stream_closed()

    async def _talk(self, after: int) -> None:
        work: dict[asyncio.Task[None], tuple[int, str]] = {
            _begun(self._tell_events(after)): (DELETED, "deleted"),
            _begun(self._hear()): (0, ""),
            _begun(self._stopping.settled()): (GOING_AWAY, "server-shutdown"),
        }
        telling = _begun(self._tell_chunks())  # its end, when conversations stop, ends nothing else
        try:
            done, _ = await asyncio.wait({*work, telling}, return_when=asyncio.FIRST_COMPLETED)
            if done == {telling} and telling.exception() is None:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*work, telling):
                task.cancel()
            await asyncio.wait({*work, telling})
        error = next((found for task in done if (found := task.exception()) is not None), None)
        code, reason = _ending(error) if error is not None else next(work[task] for task in work if task in done)
        if code:
            await self._farewell(code, reason)

    async def _farewell(self, code: int, reason: str) -> None:
        """Say why, and close; a client that does not take it sees the connection end."""
        with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                if code != TOO_SLOW:
                    await self._socket.send_text(to_json({"type": "end", "reason": reason}).decode())
                await self._socket.close(code, reason)

    # ------------------------------------------------------------------------------------ out
    async def _tell_events(self, after: int) -> None:
        async with aclosing(self._followed.follow(after)) as events:
            async for stored in events:
                await self._send(b'{"type":"event","event":%b}' % event_json(stored))

    async def _tell_chunks(self) -> None:
        async with aclosing(self._turns.watch(self._followed.name)) as chunks:
            async for turn, chunk in chunks:
                await self._send(b'{"type":"chunk","turn":%b,"chunk":%b}' % (to_json(turn), chunk_json(chunk)))

    async def _send(self, message: bytes) -> None:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(self._patience):
                    await self._socket.send_text(message.decode())
            except TimeoutError:
                raise TooSlow from None

    # ------------------------------------------------------------------------------------ in
    async def _hear(self) -> None:
        """Do commands, one after the other, until the client goes."""
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            await self._send(to_json(await self._answer(message)))
            await asyncio.sleep(0)  # where frames come without end none of this waits, and nobody else has a turn

    async def _answer(self, message: Mapping[str, Any]) -> dict[str, JsonValue]:
        try:
            given = _read(message.get("text") or "")
        except (ValueError, RecursionError):
            return _refused("", invalid([{"msg": "a message is one JSON object, sent as text"}]))
        told = given.get("id", "") if isinstance(given, dict) else ""
        name = told if isinstance(told, str) else ""
        try:
            if self._stopping.begun:
                raise ShuttingDown(ShuttingDown.__doc__)
            with correlated(name if is_correlation(name) else new_id()):
                return {"type": "accepted", "id": name, **await self._commands.do(given)}
        except ValidationError as error:
            return _refused(name, invalid(cast("list[dict[str, Any]]", error.errors())))
        except Exception as error:
            if status_of(error) is None:
                _logger.exception("a command over a WebSocket failed")
            return _refused(name, problem_of(error))


def _read(text: str) -> JsonValue:
    """What a client sent.

    Raises:
        ValueError, RecursionError: it is no JSON, or is nested too deep.
    """
    try:
        return orjson.loads(text)
    except ValueError:  # also half a surrogate pair, and a number without end, which a request's body may have
        return _whole(json.loads(text))


def _whole(value: JsonValue) -> JsonValue:
    """The value with half characters replaced."""
    match value:
        case str():
            return whole(value)
        case list():
            return [_whole(each) for each in value]
        case dict():
            return {whole(name): _whole(each) for name, each in value.items()}
        case _:
            return value


def _refused(name: str, problem: Problem) -> dict[str, JsonValue]:
    return {"type": "refused", "id": name, "problem": problem.model_dump()}


def _ending(error: BaseException) -> tuple[int, str]:
    """How a connection ends by an error; 0 where nobody is there to be told."""
    if isinstance(error, WebSocketDisconnect):
        return 0, ""
    if isinstance(error, TooSlow):
        return TOO_SLOW, "too slow: connect again, and go on behind the last event"
    _logger.error("a WebSocket broke", exc_info=error)
    return FAULT, "internal error"


def _begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.ensure_future(work)
