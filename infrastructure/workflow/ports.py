"""What the graph's steps need of the world, as ports, and the values that cross them.

Owns `ModelSource` (who answers a role), `CallRecorder` (what was answered before) and `ToolRecorder` (what tools said
before). The sandbox, the content store and the workspace have their own seams in their own rooms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from agents.fitting import Fitted, Room
from agents.model import Completion, Question
from infrastructure.local_llm import Delta
from infrastructure.pool.calls import Call, Watch

OnDelta: TypeAlias = Callable[[Delta], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A question as it was sent, and the room it was made to fit; `refusals` of servers made it smaller still."""

    fitted: Fitted
    room: Room | None = None
    """None for a question that nobody can make smaller: it was sent as it is."""
    refusals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A completion and what it took; seconds, tokens."""

    completion: Completion
    server: str = ""
    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    started: datetime | None = None
    cached_tokens: int = 0
    """Of the prompt, that the server had in its cache; an estimate."""
    window: int | None = None
    """As it was known of the server that answered."""
    num_predict: int | None = None
    """The most tokens of the answer, as they were asked for."""
    doubted: bool = False
    """Whether the server's own count says that it cannot have read the whole prompt."""
    sent: Sent | None = None
    """What was sent; put there by the step that asks."""

    @property
    def gpu_seconds(self) -> float:
        """How long the server worked for it: loading, reading, writing."""
        return self.load_seconds + self.prompt_seconds + self.decode_seconds


class ModelSource(Protocol):
    """Answers for every role. Cancelling `ask` stops the generation; errors are the pool's and the wire's own."""

    def model_of(self, role: str) -> str:
        """The model that answers for a role."""
        ...

    async def room(self, role: str) -> Room:
        """The window of the role's model and how its tokens are counted, as far as is known now."""
        ...

    async def ask(self, role: str, question: Question, call: Call, on_delta: OnDelta, watch: Watch) -> Answered:
        """Ask the role's model. Deltas and states are told while it goes on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKey:
    """Which question of a run: the step that asks (`planner:1`, `write:2:1`), and its number in that step."""

    step: str
    ordinal: int
    request_sha: str


class CallRecorder(Protocol):
    """Remembers answers, so that a step that runs again after a crash takes them instead of asking anew.

    `record` returns only when the answer is safe; if it fails, the answer must not be used.
    """

    async def recall(self, key: StepKey) -> Completion | None:
        """The recorded answer to exactly this question of this step, if there is one."""
        ...

    async def record(self, key: StepKey, role: str, question: Question, answered: Answered) -> None:
        """Keep an answer."""
        ...


class ForgetfulRecorder(CallRecorder):
    """Keeps nothing: for a graph that runs without the engine."""

    async def recall(self, key: StepKey) -> Completion | None:
        """Nothing is ever known."""
        return None

    async def record(self, key: StepKey, role: str, question: Question, answered: Answered) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolKey:
    """Which use of a tool in a run: the step that uses it (`run_tests:2:1`), and which of its uses it is."""

    step: str
    name: str
    request_sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """What a tool said, and when; `sandbox` is the level that held it, empty where nothing was run."""

    content: bytes
    started: datetime
    ended: datetime
    sandbox: str = ""


class ToolRecorder(Protocol):
    """Remembers what tools said, so that a step that runs again takes it.

    `record` returns only when the answer is safe; if it fails, the answer must not be used.
    """

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        """What was said to exactly this request of this step, if it was asked before; `request` is JSON."""
        ...

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        """Keep what was said."""
        ...


class ForgetfulTools(ToolRecorder):
    """Keeps nothing: for a graph that runs without the engine."""

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        """Nothing is ever known."""
        return None

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        """Nothing is kept."""
