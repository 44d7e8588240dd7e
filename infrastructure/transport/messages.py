"""The values that cross the wire, as the rest of Corral sees them.

Owns requests, chunks, figures and model descriptions: plain slotted dataclasses, no validation, no JSON.
`encoding` and `decoding` turn them into the server's form and back. What is made for each call or token is not frozen,
although nobody changes it: making a frozen one costs five to thirty times as much (measured).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agents.model import JsonObject, Message, Options, Think, Tool, ToolCall

Format: TypeAlias = "JsonObject | Literal['json']"
"""A JSON schema that the answer follows, or any JSON."""
KeepAlive: TypeAlias = "str | float"
"""A Go duration ("30m"), or seconds; negative means for ever, 0 unloads."""


def _no_options() -> Options:
    return dict[str, "str | int | float | bool | Sequence[str]"]()


@dataclass(slots=True, kw_only=True)
class ChatRequest:
    """A conversation to continue. `options` is merged and final: what is not in it is not sent."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    format: Format | None = None
    think: Think | None = None
    options: Options = field(default_factory=_no_options)
    keep_alive: KeepAlive | None = None
    shift: bool | None = None
    """Sent only when set: from 0.30 on a change of it reloads the model."""

    def to(self, model: str, options: Options, keep_alive: KeepAlive | None, shift: bool | None) -> ChatRequest:
        """The same question with what a lane says. Field by field: `dataclasses.replace` takes twice as long."""
        return ChatRequest(
            model=model,
            messages=self.messages,
            tools=self.tools,
            format=self.format,
            think=self.think,
            options=options,
            keep_alive=keep_alive,
            shift=shift,
        )


@dataclass(slots=True, kw_only=True)
class GenerateRequest:
    """A prompt to complete. An empty prompt would only load the model: see `OllamaClient.load`."""

    model: str
    prompt: str
    system: str | None = None
    suffix: str | None = None
    raw: bool = False
    format: Format | None = None
    think: Think | None = None
    options: Options = field(default_factory=_no_options)
    keep_alive: KeepAlive | None = None
    shift: bool | None = None

    def to(self, model: str, options: Options, keep_alive: KeepAlive | None, shift: bool | None) -> GenerateRequest:
        """As `ChatRequest.to`."""
        return GenerateRequest(
            model=model,
            prompt=self.prompt,
            system=self.system,
            suffix=self.suffix,
            raw=self.raw,
            format=self.format,
            think=self.think,
            options=options,
            keep_alive=keep_alive,
            shift=shift,
        )


@dataclass(slots=True, kw_only=True)
class EmbedRequest:
    """Texts to turn into vectors. `truncate` lets the server cut what is too long, silently."""

    model: str
    input: tuple[str, ...]
    options: Options = field(default_factory=_no_options)
    keep_alive: KeepAlive | None = None
    dimensions: int | None = None
    truncate: bool = False


@dataclass(slots=True)
class Metrics:
    """The server's own figures, times in nanoseconds; 0 where it said nothing (it leaves zeros out)."""

    total_ns: int = 0
    """From the server's first sight of the request, so its queues and the load are in it."""
    load_ns: int = 0
    """The load, and the wait in the scheduler's queue; not the wait for a slot."""
    prompt_tokens: int = 0
    """Of the whole prompt, a cached prefix included (older than 0.30.1: only what was evaluated)."""
    prompt_ns: int = 0
    completion_tokens: int = 0
    decode_ns: int = 0

    @property
    def slot_wait_ns(self) -> int:
        """How long the call waited for a slot of the loaded model: the rest of the total (measured, right in 10 ms)."""
        return max(0, self.total_ns - self.load_ns - self.prompt_ns - self.decode_ns)


@dataclass(slots=True)
class Final:
    """The end of an answer. `finish` is the server's word: "stop", "length", "load", or one we do not know yet."""

    finish: str
    metrics: Metrics


@dataclass(slots=True)
class Chunk:
    """A piece of an answer: some text, some thinking, whole tool calls, or nothing; `final` is set on the last one."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    final: Final | None = None


@dataclass(frozen=True, slots=True)
class Embeddings:
    """One vector for each input, in its order."""

    vectors: tuple[tuple[float, ...], ...]
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in a server's memory. A model still being loaded is not listed by the server."""

    name: str
    digest: str
    size: int
    """Bytes it takes in all."""
    size_vram: int
    """Bytes of it on the GPU; less than `size` means that a part runs on the CPU."""
    context_length: int | None
    """The window of one slot, in tokens."""
    expires_at: datetime | None
    """When it is unloaded if nobody asks; in the past while it is busy."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on a server's disk."""

    name: str
    digest: str
    size: int
    modified_at: datetime | None
    family: str
    parameter_size: str
    quantization: str
    capabilities: tuple[str, ...] | None
    """None where the server does not list them (before 0.30)."""
    remote_host: str | None = None
    """Where it really runs, for a cloud model under any name."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a server knows of one model."""

    capabilities: tuple[str, ...]
    context_length: int | None
    """The window it was trained for, in tokens."""
    parameters: Options
    """What its Modelfile pins (`num_ctx`, `num_predict`, `stop`, …)."""
    family: str
    parameter_size: str
    quantization: str
    template: str
    system: str
    remote_host: str | None = None
    cache_token_bytes: int | None = None
    """What one token of a window takes in memory, in 16-bit numbers; None where its attention is of another kind."""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a download is. `status` "success" is the last one; sizes in bytes, of the layer `digest`."""

    status: str
    digest: str | None = None
    total: int | None = None
    completed: int = 0
