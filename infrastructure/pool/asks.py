"""What is asked of a server, apart from where and when.

Owns the three kinds of question (conversation, prompt, texts to embed) and how each is sent once a slot is given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from infrastructure.transport import encoding
from infrastructure.transport.errors import Phase
from infrastructure.transport.gathering import Gathered
from infrastructure.transport.messages import ChatRequest, Chunk, EmbedRequest, Final, GenerateRequest
from infrastructure.transport.window import MESSAGE_TOKENS, estimate_tokens, weight

if TYPE_CHECKING:
    from types import TracebackType

    from agents.model import Options
    from infrastructure.config.settings import LaneSettings, PhaseLimits
    from infrastructure.pool.states import Band
    from infrastructure.transport.client import OllamaClient


class ChunkReader(Protocol):
    """The chunks of an answer, and all of it that has come."""

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """To be read once."""
        ...

    async def __anext__(self) -> Chunk:
        """The next chunk."""
        ...

    @property
    def gathered(self) -> Gathered:
        """What has come so far."""
        ...


Chunks = AbstractAsyncContextManager[ChunkReader]
OnPhase = Callable[[Phase], None]


class Ask(Protocol):
    """A question that can be sent to any server, more than once."""

    @property
    def turns(self) -> int:
        """Messages in the prompt: each costs what the template puts around it."""
        ...

    @property
    def size(self) -> int:
        """What the prompt weighs in bytes, without the template; 0 where no window has to be minded."""
        ...

    @property
    def text(self) -> str:
        """What the prompt says, so that two of them can be compared."""
        ...

    def question(self, options: Options, band: Band) -> Hashable:
        """What tells this question from others, asked with these options and so urgent."""
        ...

    @property
    def embeds(self) -> bool:
        """Whether it wants vectors instead of an answer."""
        ...

    @property
    def holds_back(self) -> bool:
        """Whether a server may keep what it makes to itself until it is whole: it sends no part of a tool call."""
        ...

    def send(
        self, client: OllamaClient, lane: LaneSettings, options: Options, phases: PhaseLimits, on_phase: OnPhase
    ) -> Chunks:
        """The stream of the answer of the lane's model, with what the lane says besides options; leaving it cancels."""
        ...


@dataclass(slots=True)
class ChatAsk:
    """A conversation to go on with."""

    request: ChatRequest

    @property
    def turns(self) -> int:
        """One for each message."""
        return len(self.request.messages)

    @property
    def size(self) -> int:
        """Messages and tools. The format is a grammar for the answer, which no prompt has in it.

        0 with images: how many tokens one takes only its model knows, so such a prompt is not weighed.
        """
        if any(message.images for message in self.request.messages):
            return 0
        whole = estimate_tokens(messages=self.request.messages, tools=self.request.tools, ratio=1)
        return whole - MESSAGE_TOKENS * self.turns

    @property
    def text(self) -> str:
        """The messages, one after the other."""
        return "\n".join(message.content for message in self.request.messages)

    def question(self, options: Options, band: Band) -> Hashable:
        """The body that would be sent."""
        return band, encoding.dump(encoding.chat_body(replace(self.request, options=options)))

    @property
    def embeds(self) -> bool:
        """No."""
        return False

    @property
    def holds_back(self) -> bool:
        """With tools."""
        return bool(self.request.tools)

    def send(
        self, client: OllamaClient, lane: LaneSettings, options: Options, phases: PhaseLimits, on_phase: OnPhase
    ) -> Chunks:
        """By `POST /api/chat`."""
        request = self.request.to(lane.model, options, lane.keep_alive, lane.shift)
        return client.chat(request, phases=phases, on_phase=on_phase)


@dataclass(slots=True)
class GenerateAsk:
    """A prompt to complete."""

    request: GenerateRequest

    @property
    def turns(self) -> int:
        """The system text and the prompt."""
        return 2 if self.request.system else 1

    @property
    def size(self) -> int:
        """Prompt, system text and suffix."""
        request = self.request
        size = weight(request.prompt)
        if request.system:
            size += weight(request.system)
        return size + weight(request.suffix) if request.suffix else size

    @property
    def text(self) -> str:
        """System text, prompt and suffix."""
        return "".join(filter(None, (self.request.system, self.request.prompt, self.request.suffix)))

    def question(self, options: Options, band: Band) -> Hashable:
        """The body that would be sent."""
        return band, encoding.dump(encoding.generate_body(replace(self.request, options=options)))

    @property
    def embeds(self) -> bool:
        """No."""
        return False

    @property
    def holds_back(self) -> bool:
        """No."""
        return False

    def send(
        self, client: OllamaClient, lane: LaneSettings, options: Options, phases: PhaseLimits, on_phase: OnPhase
    ) -> Chunks:
        """By `POST /api/generate`."""
        request = self.request.to(lane.model, options, lane.keep_alive, lane.shift)
        return client.generate(request, phases=phases, on_phase=on_phase)


@dataclass(slots=True)
class EmbedAsk:
    """Texts to turn into vectors, which are put into `vectors`."""

    request: EmbedRequest
    vectors: list[tuple[float, ...]] = field(default_factory=list[tuple[float, ...]])

    @property
    def turns(self) -> int:
        """None: there is no template."""
        return 0

    @property
    def size(self) -> int:
        """0: each text has the window to itself, and the server refuses one that is too long."""
        return 0

    @property
    def text(self) -> str:
        """Nothing: there is no one prompt."""
        return ""

    def question(self, options: Options, band: Band) -> Hashable:
        """Its parts: cheaper than the body."""
        request = self.request
        return band, request.model, request.input, request.dimensions, request.truncate, repr(options)

    @property
    def embeds(self) -> bool:
        """Yes."""
        return True

    @property
    def holds_back(self) -> bool:
        """Yes: all vectors come at once."""
        return True

    def send(
        self, client: OllamaClient, lane: LaneSettings, options: Options, phases: PhaseLimits, on_phase: OnPhase
    ) -> Chunks:
        """By `POST /api/embed`, as a stream of one chunk, so that it lives like every other call."""
        request = replace(self.request, model=lane.model, keep_alive=lane.keep_alive, options=options)
        return _Embedding(self, client, request, phases, on_phase)


class _Embedding(AbstractAsyncContextManager[ChunkReader]):
    """An answer that comes at once, as a stream of one chunk."""

    def __init__(
        self, ask: EmbedAsk, client: OllamaClient, request: EmbedRequest, phases: PhaseLimits, on_phase: OnPhase
    ) -> None:
        self._ask = ask
        self._client = client
        self._request = request
        self._phases = phases
        self._on_phase = on_phase

    async def __aenter__(self) -> ChunkReader:
        answer = await self._client.embed(self._request, phases=self._phases, on_phase=self._on_phase)
        self._ask.vectors[:] = answer.vectors
        return _Only(Chunk(final=Final("stop", answer.metrics)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""


class _Only(AsyncIterator[Chunk]):
    def __init__(self, chunk: Chunk) -> None:
        self._chunk: Chunk | None = chunk
        self.gathered = Gathered()

    async def __anext__(self) -> Chunk:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            raise StopAsyncIteration
        return chunk
