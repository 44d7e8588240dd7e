"""The Ollama API of one server, typed.

Owns the list of calls and what each sends and returns. Calls that generate are async context managers: entering waits
for the first byte, leaving early closes the stream, so that the server stops generating.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from infrastructure.config.settings import PhaseLimits
from infrastructure.transport import decoding, encoding
from infrastructure.transport.answer import Answer, LineReader, Streamed
from infrastructure.transport.connections import open_wire
from infrastructure.transport.errors import (
    ClientClosed,
    CloudModelRefused,
    Phase,
    PullFailed,
    ServerFailed,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
)
from infrastructure.transport.exchange import Exchange, UnderWay
from infrastructure.transport.failures import error_text
from infrastructure.transport.gathering import most_characters

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

    import httpx

    from agents.model import JsonObject, Options
    from infrastructure.config.settings import ServerSettings
    from infrastructure.transport.messages import (
        ChatRequest,
        Chunk,
        Embeddings,
        EmbedRequest,
        GenerateRequest,
        KeepAlive,
        LoadedModel,
        LocalModel,
        ModelInfo,
        PullProgress,
    )
    from infrastructure.transport.wire import Wire

T = TypeVar("T")

QUICK_SECONDS = 30.0
"""For calls that only ask: `/api/ps` can stall about ten seconds behind a sick runner, the others answer at once."""
ANSWER_BYTES = 256 << 20
"""The longest whole answer: a thousand vectors of 4,096 numbers take about 50 MB."""
PULL_SECONDS = 7 * 86400.0


class OllamaClient:
    """One Ollama server. Opens its connections when first asked, and may be used by many tasks at once.

    Every error is an `OllamaError` that names the server. Cancelling any call closes its stream; nothing is retried
    but a request whose kept-alive connection proved dead before a byte of the answer.
    """

    def __init__(
        self,
        server: ServerSettings,
        *,
        limits: PhaseLimits | None = None,
        line_bytes: int = 8 << 20,
        allow_cloud: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.server = server
        self._label = server.label
        self._limits = limits or PhaseLimits()
        self._line_bytes = line_bytes
        self._allow_cloud = allow_cloud
        self._transport = transport
        self._wire: Wire | None = None
        self._under_way = UnderWay()
        self._closed = False

    # -- generating -----------------------------------------------------------------------------------
    def chat(
        self,
        request: ChatRequest,
        *,
        phases: PhaseLimits | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> AbstractAsyncContextManager[Answer]:
        """Continue a conversation.

        Args:
            request: what to send.
            phases: limits for this call instead of the client's.
            on_phase: told when connecting begins, the request goes out, and the first byte is here.

        Raises:
            OllamaError: on entering, anything that went wrong before the first byte (`may_move` says whether
                another server may be asked); on iterating, `StreamBroken`, `UnreadableAnswer`, `PhaseTimeout`.
        """
        body = encoding.chat_body(request)
        return self._stream("/api/chat", request, body, decoding.chat_chunk, phases, on_phase)

    def generate(
        self,
        request: GenerateRequest,
        *,
        phases: PhaseLimits | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> AbstractAsyncContextManager[Answer]:
        """Complete a prompt; everything else is as for `chat`."""
        body = encoding.generate_body(request)
        return self._stream("/api/generate", request, body, decoding.generate_chunk, phases, on_phase)

    async def embed(
        self,
        request: EmbedRequest,
        *,
        phases: PhaseLimits | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> Embeddings:
        """Turn texts into vectors, one for each in their order."""
        body, read = encoding.embed_body(request), partial(decoding.embeddings, texts=len(request.input))
        return await self._ask("POST", "/api/embed", read, body, request.model, phases, on_phase)

    # -- models ---------------------------------------------------------------------------------------
    async def load(
        self,
        model: str,
        options: Options | None = None,
        keep_alive: KeepAlive | None = None,
        *,
        shift: bool | None = None,
        phases: PhaseLimits | None = None,
    ) -> None:
        """Have the model in memory with these load-time options; with `keep_alive` 0, out of it.

        Takes no slot and generates nothing. Leaving early aborts the load.
        """
        body = encoding.load_body(model, options or {}, keep_alive, shift)
        await self._ask("POST", "/api/generate", decoding.generate_chunk, body, model, phases)

    async def tags(self, *, seconds: float = QUICK_SECONDS) -> tuple[LocalModel, ...]:
        """The models on the server's disk."""
        return await self._quick("GET", "/api/tags", decoding.local_models, seconds)

    async def ps(self, *, seconds: float = QUICK_SECONDS) -> tuple[LoadedModel, ...]:
        """The models in the server's memory."""
        return await self._quick("GET", "/api/ps", decoding.loaded_models, seconds)

    async def show(self, model: str, *, seconds: float = QUICK_SECONDS) -> ModelInfo:
        """What the server knows of a model."""
        return await self._quick("POST", "/api/show", decoding.model_info, seconds, {"model": model}, model)

    async def version(self, *, seconds: float = QUICK_SECONDS) -> str:
        """The server's version; the cheapest sign of life."""
        return await self._quick("GET", "/api/version", decoding.version, seconds)

    async def pull(self, model: str) -> AsyncGenerator[PullProgress]:
        """Have the server download a model; wrap it in `contextlib.aclosing` when leaving early.

        Raises:
            PullFailed: with the server's words, or because it ended without saying "success".
        """
        limits = self._limits.model_copy(
            update={"between_tokens": self._limits.first_byte, "total": PULL_SECONDS}  # a checksum is long and silent
        )
        body: encoding.JsonBody = {"model": model, "stream": True}
        async with self._exchange("POST", "/api/pull", body, model, limits) as exchange:
            reader = LineReader(exchange, self._line_bytes)
            last = ""
            while (progress := await self._progress(reader, model)) is not None:
                last = progress.status
                yield progress
            if last != "success":
                raise PullFailed(model, "the download ended early", server=self._label)

    async def retire(self) -> None:
        """Close every connection as soon as the calls under way are over; at once when cancelled."""
        try:
            await self._under_way.over()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; calls under way fail. Safe to repeat, and finishes even when cancelled."""
        self._closed = True
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()

    # -- pieces ---------------------------------------------------------------------------------------
    def _stream(
        self,
        path: str,
        request: ChatRequest | GenerateRequest,
        body: JsonObject,
        parse: Callable[[decoding.Line], Chunk],
        phases: PhaseLimits | None,
        on_phase: Callable[[Phase], None] | None,
    ) -> Streamed:
        return Streamed(
            lambda: self._exchange("POST", path, body, request.model, phases or self._limits, on_phase),
            lambda exchange: Answer(exchange, parse, self._line_bytes, most_characters(request.options)),
        )

    async def _quick(
        self,
        method: str,
        path: str,
        read: Callable[[decoding.Line], T],
        seconds: float,
        body: JsonObject | None = None,
        model: str = "",
    ) -> T:
        limits = self._limits.model_copy(update={"first_byte": seconds, "total": seconds})
        return await self._ask(method, path, read, body, model, limits)

    async def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[decoding.Line], T],
        body: JsonObject | None = None,
        model: str = "",
        phases: PhaseLimits | None = None,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> T:
        async with self._exchange(method, path, body, model, phases or self._limits, on_phase) as exchange:
            data = await exchange.whole(ANSWER_BYTES)
        try:
            answer = decoding.parse_object(data)
        except decoding.BadShape as error:
            raise UnreadableAnswer(str(error), foreign=True, server=self._label) from None
        if answer.get("error"):
            raise ServerFailed(200, error_text(answer["error"]), server=self._label)
        try:
            return read(answer)
        except decoding.BadShape as error:
            raise UnreadableAnswer(str(error), server=self._label) from None

    def _exchange(
        self,
        method: str,
        path: str,
        body: JsonObject | None,
        model: str,
        limits: PhaseLimits,
        on_phase: Callable[[Phase], None] | None = None,
    ) -> Exchange:
        """The call, which nothing has been sent of yet: entering it does that."""
        if model and not self._allow_cloud and encoding.is_cloud(model):
            raise CloudModelRefused(model, server=self._label)
        data = None if body is None else encoding.dump(body)
        return Exchange(
            self._opened(),
            method,
            path,
            data,
            limits,
            server=self._label,
            under_way=self._under_way,
            model=model,
            on_phase=on_phase,
        )

    async def _progress(self, reader: LineReader, model: str) -> PullProgress | None:
        try:
            line = await reader.next()
            if line is None:
                return None
            if not line.get("error"):
                return decoding.pull_progress(line)
        except decoding.BadShape as error:
            raise UnreadableAnswer(str(error), server=self._label) from None
        except StreamBroken as broken:
            raise PullFailed(model, broken.message, server=self._label) from broken
        raise PullFailed(model, error_text(line["error"]), server=self._label)

    def _opened(self) -> Wire:
        if self._closed:
            raise ClientClosed(server=self._label)
        if self._wire is None:
            try:
                self._wire = open_wire(self.server, self._limits, self._transport)
            except (OSError, ssl.SSLError) as error:
                raise ServerUnreachable(str(error), server=self._label, hint="check ca_file of this server") from error
            except (ImportError, ValueError) as error:
                raise ServerUnreachable(
                    str(error), server=self._label, hint="check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
                ) from error
        return self._wire
