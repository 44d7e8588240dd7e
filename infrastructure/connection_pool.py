"""The pool's public face: one object in front of all Ollama servers.

Owns what callers see: questions in, replies out, a snapshot, an orderly end; and the one pool of the process. What is
decided is in `infrastructure.pool`.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from infrastructure.config.settings import LaneSettings, PoolSettings, ServerSettings, Settings
from infrastructure.pool.asks import Ask, ChatAsk, EmbedAsk, GenerateAsk
from infrastructure.pool.background import outlast
from infrastructure.pool.calls import Call, CallUpdate, Reply, Watch
from infrastructure.pool.dispatcher import Dispatcher
from infrastructure.pool.errand import Errand
from infrastructure.pool.lanes import LaneBook
from infrastructure.pool.messages import MessageLike, ToolLike, read_messages, read_tools
from infrastructure.pool.models import Catalogue
from infrastructure.pool.run import Run
from infrastructure.pool.snapshot import PoolModel, PoolSnapshot
from infrastructure.pool.states import Band, CallState
from infrastructure.pool.stream import ChunkStream
from infrastructure.pool.view import take_snapshot
from infrastructure.transport.encoding import is_cloud
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.transport.messages import (
    ChatRequest,
    EmbedRequest,
    Format,
    GenerateRequest,
    ModelInfo,
    PullProgress,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from agents.model import Options, Think

__all__ = [
    "Band",
    "Call",
    "CallState",
    "CallUpdate",
    "ChunkStream",
    "OllamaConnectionPool",
    "PoolModel",
    "PoolSnapshot",
    "Reply",
    "close_ollama_pool",
    "configure_ollama_pool",
    "get_ollama_pool",
    "new_ollama_pool",
]

_NO_OPTIONS: Options = {}
_NO_CALL = Call()


class OllamaConnectionPool:
    """Asks models on any number of Ollama servers; each call waits its turn and goes where there is room.

    Making a pool does no I/O, and every server may be down: a server is contacted when a call first needs one. All
    methods belong to the event loop in which the pool is first used. Errors of calls are `OllamaError`s.
    """

    def __init__(
        self,
        servers: Sequence[str | ServerSettings] = (),
        *,
        lanes: Mapping[str, LaneSettings] | None = None,
        settings: PoolSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A pool over these servers.

        Args:
            servers: addresses or settings; none means that every call fails with `NoServerAvailable`.
            lanes: by the name people give them; a model without a lane is used as the server has it.
            settings: limits.
            clock: seconds from any fixed moment, never going back.

        Raises:
            BadAddress: an address cannot be read.
            ValueError: a server is named twice.
        """
        self._settings = settings or PoolSettings()
        self._lanes = LaneBook(lanes or {})
        self._dispatcher = Dispatcher(_by_url(servers), self._settings, clock)
        self._catalogue = Catalogue(self._dispatcher)
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # ---------------------------------------------------------------------------------------- asking
    async def generate(
        self,
        *,
        model: str,
        prompt: str,
        system: str | None = None,
        suffix: str | None = None,
        raw: bool = False,
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> str:
        """The text that completes the prompt.

        Args:
            model: a lane's name or a model's.
            prompt: what to complete.
            system: instead of the model's own system text.
            suffix: what follows the gap that is to be filled, for models that can.
            raw: send the prompt as it is, without the model's template.
            format: a JSON schema, or "json".
            think: whether or how hard to think first; None leaves it to the server.
            options: sampling options; a load-time one that differs from the lane's makes a lane of its own.
            call: for whom, how urgent, until when.
            watch: told of every change of the call's state.

        Raises:
            OllamaError: the call could not be carried out; the class says why, `hint` what to do.
        """
        stream = self.stream_generate(
            model=model,
            prompt=prompt,
            system=system,
            suffix=suffix,
            raw=raw,
            format=format,
            think=think,
            options=options,
            call=call,
            watch=watch,
            whole=True,
        )
        return (await _whole(stream)).text

    def stream_generate(
        self,
        *,
        model: str,
        prompt: str,
        system: str | None = None,
        suffix: str | None = None,
        raw: bool = False,
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
        whole: bool = False,
    ) -> ChunkStream:
        """As `generate`, chunk by chunk; with `whole` only the last one, and the call may begin anew until then."""
        lane = self._lanes.settings(model)
        request = GenerateRequest(
            model=lane.model,
            prompt=prompt,
            system=system,
            suffix=suffix,
            raw=raw,
            format=format,
            think=think,
            keep_alive=lane.keep_alive,
            shift=lane.shift,
        )
        return self._stream(GenerateAsk(request), lane, options, call, watch, whole=whole)

    async def chat(
        self,
        *,
        model: str,
        messages: Iterable[MessageLike],
        tools: Iterable[ToolLike] = (),
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> Reply:
        """The whole answer to a conversation; arguments and errors as for `generate`.

        `messages` and `tools` may be ours or of Ollama's dict shape. Until the answer is whole, a speculative call
        that is pre-empted begins anew by itself.
        """
        return await _whole(
            self.stream_chat(
                model=model,
                messages=messages,
                tools=tools,
                format=format,
                think=think,
                options=options,
                call=call,
                watch=watch,
                whole=True,
            )
        )

    def stream_chat(
        self,
        *,
        model: str,
        messages: Iterable[MessageLike],
        tools: Iterable[ToolLike] = (),
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
        whole: bool = False,
    ) -> ChunkStream:
        """The answer to a conversation, chunk by chunk; see `ChunkStream`."""
        lane = self._lanes.settings(model)
        request = ChatRequest(
            model=lane.model,
            messages=read_messages(messages),
            tools=read_tools(tools),
            format=format,
            think=think,
            keep_alive=lane.keep_alive,
            shift=lane.shift,
        )
        return self._stream(ChatAsk(request), lane, options, call, watch, whole=whole)

    async def embed(
        self,
        *,
        model: str,
        input: str | Sequence[str],  # noqa: A002 - the API's own name
        options: Options = _NO_OPTIONS,
        dimensions: int | None = None,
        truncate: bool = False,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> list[tuple[float, ...]]:
        """One vector for each text, in their order. A text longer than the window is refused unless `truncate`."""
        lane = self._lanes.settings(model)
        request = EmbedRequest(
            model=lane.model,
            input=(input,) if isinstance(input, str) else tuple(input),
            keep_alive=lane.keep_alive,
            dimensions=dimensions,
            truncate=truncate,
        )
        ask = EmbedAsk(request)
        await _whole(self._stream(ask, lane, options, call, watch, whole=True))
        return ask.vectors

    # ---------------------------------------------------------------------------------------- models
    async def models(self) -> tuple[PoolModel, ...]:
        """All models of all servers that can be reached, by name.

        Raises:
            NoServerAvailable: none can.
        """
        self._dispatcher.check_open()
        return await self._catalogue.models()

    async def show(self, model: str, *, server: str | None = None) -> ModelInfo:
        """What a server knows of a model: `server` by label or URL, else any that holds it.

        Raises:
            ModelNotFound: no server has it.
        """
        self._dispatcher.check_open()
        return await self._catalogue.show(self._lanes.settings(model).model, server)

    def pull(self, model: str, *, server: str | None = None) -> AsyncGenerator[PullProgress, None]:
        """Have a server download a model: `server` by label or URL, else the first that can be reached.

        Raises:
            PullFailed: it could not. The download goes on there if it is left early by all who wait for it.
        """
        self._dispatcher.check_open()
        return self._catalogue.pull(self._lanes.settings(model).model, server)

    # ------------------------------------------------------------------------------------------ state
    def snapshot(self) -> PoolSnapshot:
        """Servers, health, models, slots, queue and rates at this moment; asks no server."""
        return take_snapshot(self._dispatcher)

    async def drain(self) -> None:
        """Refuse new calls with `PoolDraining`, and wait until those in hand are over."""
        await self._dispatcher.drain()

    async def aclose(self) -> None:
        """Fail every call with `PoolClosed`, close every connection. Safe to repeat; finishes even when cancelled."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._dispatcher.aclose(), name="close the pool")
        await outlast(self._closing)

    def _stream(
        self, ask: Ask, settings: LaneSettings, options: Options, call: Call, watch: Watch | None, *, whole: bool
    ) -> ChunkStream:
        self._dispatcher.check_open()
        if is_cloud(settings.model) and not self._settings.allow_cloud:
            raise CloudModelRefused(settings.model)
        lane, rest = self._lanes.split(settings, options)
        errand = Errand(ask=ask, model=settings.model, lane=lane, options=rest, call=call, watch=watch, whole=whole)
        return ChunkStream(Run(errand, self._dispatcher))


async def _whole(stream: ChunkStream) -> Reply:
    async with stream:
        async for _ in stream:
            pass
    assert stream.reply is not None, "a stream that ended without an error has its reply"
    return stream.reply


def _by_url(servers: Sequence[str | ServerSettings]) -> dict[str, ServerSettings]:
    found: dict[str, ServerSettings] = {}
    for server in servers:
        settings = ServerSettings(url=server) if isinstance(server, str) else server
        if settings.url in found:
            raise ValueError(f"server {settings.url} is named twice")
        found[settings.url] = settings
    return found


# ------------------------------------------------------------------------------------ the process-wide pool
@dataclass(slots=True)
class _Process:
    """The one mutable thing of this module: asked for by name, made on first use."""

    settings: Settings | None = None
    pool: OllamaConnectionPool | None = None


_process = _Process()


def configure_ollama_pool(settings: Settings | None) -> None:
    """Say with which settings the process-wide pool is made; without servers in them, OLLAMA_HOST is asked.

    Raises:
        RuntimeError: it is made already.
    """
    if _process.pool is not None:
        raise RuntimeError("the process-wide pool is in use; close it first")
    _process.settings = settings


def new_ollama_pool() -> OllamaConnectionPool:
    """A pool as the process-wide one is made, for whoever needs one of his own.

    Without configured servers it is over the one that OLLAMA_HOST names at this moment, else loopback.
    """
    settings = _process.settings or Settings()
    servers = settings.servers or (ServerSettings(url=os.environ.get("OLLAMA_HOST", "")),)
    return OllamaConnectionPool(servers, lanes=settings.lanes, settings=settings.pool)


async def get_ollama_pool() -> OllamaConnectionPool:
    """The pool of this process, made by `new_ollama_pool` on first use; it connects when it is asked something."""
    if _process.pool is None:
        _process.pool = new_ollama_pool()
    return _process.pool


async def close_ollama_pool() -> None:
    """Close the pool of this process, if there is one; the next `get_ollama_pool` makes a new one."""
    pool, _process.pool = _process.pool, None
    if pool is not None:
        await pool.aclose()
