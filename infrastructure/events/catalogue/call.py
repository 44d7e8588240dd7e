"""Calls to a model, from the queue to the last token."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class CallEvent(Event):
    """`call` is unique in the run: the step that asked, and the number of the question in it."""

    call: str
    role: str


class CallQueued(CallEvent):
    """The call waits for a slot, with `ahead` calls before it."""

    kind: Literal["call.queued"] = "call.queued"
    model: str
    ahead: int = 0


class CallPlaced(CallEvent):
    """A slot was given."""

    kind: Literal["call.placed"] = "call.placed"
    server: str


class CallWaiting(CallEvent):
    """Sent; the server loads the model or reads the prompt."""

    kind: Literal["call.waiting"] = "call.waiting"
    server: str
    loading: bool = False
    """The model was not in memory there, so most of the wait is the load."""


class CallBegan(CallEvent):
    """The first byte of the answer is here."""

    kind: Literal["call.began"] = "call.began"
    server: str
    seconds: float = 0.0
    """Since the call was made, its wait for a slot included."""


class TextStreamed(CallEvent):
    """Text arrived, pieces within 50 ms merged. For display: may be pruned; the completed call is the record."""

    kind: Literal["call.text"] = "call.text"
    text: str
    thinking: bool = False


class CallRestarted(CallEvent):
    """The stream broke and is asked again: drop what was streamed of this call."""

    kind: Literal["call.restarted"] = "call.restarted"
    reason: str


class CallCompleted(CallEvent):
    """The whole answer is there, and recorded."""

    kind: Literal["call.completed"] = "call.completed"
    model: str
    server: str
    prompt_sha: str
    answer_sha: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0


class CallFailed(CallEvent):
    """The call ended without an answer."""

    kind: Literal["call.failed"] = "call.failed"
    error_class: str
    error_message: str


class PromptTrimmed(CallEvent):
    """The prompt did not fit, or a part was longer than is ever shown: what was cut, by which rule, before it was sent.

    After a server's refusal it comes again, with what is cut then.
    """

    kind: Literal["call.trimmed"] = "call.trimmed"
    cuts: tuple[str, ...]
    tokens: int
    """How long the prompt is thought to be now."""


class CallDoubted(CallEvent):
    """The server counted so few tokens that it cannot have read the whole prompt."""

    kind: Literal["call.doubted"] = "call.doubted"
    server: str
    estimated_tokens: int
    prompt_tokens: int


class CallReplayed(CallEvent):
    """The recorded answer of an earlier execution was taken; no model was asked."""

    kind: Literal["call.replayed"] = "call.replayed"
    answer_sha: str
