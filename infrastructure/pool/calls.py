"""What a caller says about a call, and what the pool tells those who watch it.

Owns `Call` (for whom, how urgent), `CallUpdate` (where it stands) and `Reply` (what came of it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agents.model import Completion, ToolCall
from infrastructure.pool.states import Band, CallState

if TYPE_CHECKING:
    from infrastructure.transport.messages import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a call is for. A band may be given by its word."""

    client: str = "default"
    """Who asks; calls of one client are counted together."""
    band: Band = Band.INTERACTIVE
    prefix: str | None = None
    """Names the conversation: calls with the same prefix share the beginning of their prompt."""
    deadline: float | None = None
    """Seconds from now after which the answer is of no use. A stream ends then, also one that is read slowly."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "band", Band(self.band))
        if self.deadline is not None and not self.deadline > 0:
            raise ValueError(f"a deadline is a number of seconds from now, above 0: {self.deadline}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUpdate:
    """Where a call stands now; told at every change of state and when its place in the queue changes."""

    state: CallState
    server: str | None = None
    """The server's label, once there is one."""
    position: int | None = None
    """Calls that go first, while queued."""
    attempt: int = 0
    """How often it has been placed."""
    loaded: bool | None = None
    """Whether the model is in memory there, once placed; False means that most of the wait is the load."""
    seconds: float = 0
    """Since the call was made."""
    reply: Reply | None = None
    """The whole answer, when done."""


Watch: TypeAlias = Callable[[CallUpdate], None]
"""Told of each update, from the event loop; must not block. An error it raises at a change of state fails the call."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """A finished answer with what is known about how it came to be. Not to be changed: equal questions share one."""

    text: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    """The server's word for why it ended ("stop", "length", …)."""
    metrics: Metrics
    model: str
    server: str
    """The label of the server that answered."""
    attempts: int = 1
    queued_seconds: float = 0
    """In the pool's queue, all attempts together."""
    first_byte_seconds: float = 0
    """From sending to the first chunk of the attempt that answered: the server's queue, a load, the prompt."""
    seconds: float = 0
    """From the call to the last chunk."""
    cached_tokens: int = 0
    """How much of the prompt was in the server's cache: what cannot have been evaluated in the time the prompt took.
    An estimate, by the lane's usual speed there; 0 until that is known."""
    window: int | None = None
    """Of the lane on that server, in tokens, as far as it is known."""
    num_predict: int | None = None
    """The most tokens of an answer that were asked for."""
    doubted: bool = False
    """Whether the server's count of the prompt is so small that it cannot have read all of it."""

    @property
    def load_seconds(self) -> float:
        """The load of the model, by the server's word; its own queue for that included."""
        return self.metrics.load_ns / 1e9

    @property
    def prompt_seconds(self) -> float:
        """The evaluation of the prompt, by the server's word."""
        return self.metrics.prompt_ns / 1e9

    @property
    def decode_seconds(self) -> float:
        """The answer itself, by the server's word."""
        return self.metrics.decode_ns / 1e9

    @property
    def completion(self) -> Completion:
        """The answer as a role sees it."""
        return Completion(
            text=self.text,
            thinking=self.thinking,
            tool_calls=self.tool_calls,
            finish=self.finish,
            prompt_tokens=self.metrics.prompt_tokens,
            completion_tokens=self.metrics.completion_tokens,
            model=self.model,
        )
