"""Owns the log of what really happened inside the simulated server, for tests and benchmarks to ask.

Times are those of the event loop's clock, in seconds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from infrastructure.simulator.toxics import ToxicKind


class Outcome(StrEnum):
    """How a request ended, seen from the server."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(slots=True)
class RequestRecord:
    """One request to a model. Filled in as it goes on; read it, do not write it."""

    number: int
    route: str
    model: str
    received_at: float
    client_id: str | None = None
    """The request's `X-Request-Id`, if the client sent one."""
    outcome: Outcome = Outcome.RUNNING
    status: int | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt, that were known already."""
    restored_tokens: int = 0
    """Of those, that had to be taken back from memory."""
    prefilled_tokens: int = 0
    """Of the prompt, that were evaluated."""
    tokens_made: int = 0
    tokens_after_leaving: int = 0
    slot: int | None = None
    slot_taken_at: float | None = None
    first_token_at: float | None = None
    left_at: float | None = None
    slot_freed_at: float | None = None
    ended_at: float | None = None

    @property
    def cancel_seconds(self) -> float | None:
        """From the client's leaving to the slot being free; None where it did not leave in a slot."""
        if self.left_at is None or self.slot_freed_at is None or self.slot_freed_at < self.left_at:
            return None
        return self.slot_freed_at - self.left_at


@dataclass(frozen=True, slots=True)
class SlotSpan:
    """A slot taken by one request from `start` to `end`."""

    model: str
    slot: int
    request: int
    start: float
    end: float


class LoadOutcome(StrEnum):
    """How a load ended."""

    READY = "ready"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Load:
    """A model brought into memory, or an attempt at it."""

    model: str
    num_ctx: int
    start: float
    end: float
    outcome: LoadOutcome


class UnloadReason(StrEnum):
    """Why a model went out of memory."""

    EXPIRED = "expired"
    ASKED = "asked"
    EVICTED = "evicted"
    RELOAD = "reload"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Unload:
    """A model taken out of memory."""

    model: str
    at: float
    reason: UnloadReason


@dataclass(frozen=True, slots=True)
class Strike:
    """A toxic that hit a request."""

    kind: ToxicKind
    path: str
    at: float


@dataclass(slots=True)
class Truth:
    """Everything that happened, in order."""

    requests: list[RequestRecord] = field(default_factory=list[RequestRecord])
    slots: list[SlotSpan] = field(default_factory=list[SlotSpan])
    loads: list[Load] = field(default_factory=list[Load])
    unloads: list[Unload] = field(default_factory=list[Unload])
    strikes: list[Strike] = field(default_factory=list[Strike])
    connections: int = 0
    """TCP connections accepted so far."""
    open_connections: int = 0
    _waiters: list[tuple[Callable[["Truth"], bool], asyncio.Future[None]]] = field(
        default_factory=list[tuple[Callable[["Truth"], bool], asyncio.Future[None]]]
    )

    def request_of(self, client_id: str) -> RequestRecord:
        """The latest request that carried this `X-Request-Id`.

        Raises:
            LookupError: no such request was seen.
        """
        for record in reversed(self.requests):
            if record.client_id == client_id:
                return record
        raise LookupError(client_id)

    def running(self, model: str | None = None) -> list[RequestRecord]:
        """Requests that are not over, of one model or of all."""
        return [
            record for record in self.requests if record.outcome is Outcome.RUNNING and model in (None, record.model)
        ]

    def in_slots(self, model: str | None = None) -> list[RequestRecord]:
        """Requests that hold a slot at this moment."""
        return [
            record
            for record in self.requests
            if record.slot_taken_at is not None and record.slot_freed_at is None and model in (None, record.model)
        ]

    def most_at_once(self, model: str | None = None) -> int:
        """The largest number of slots that were taken at the same time."""
        spans = [span for span in self.slots if model in (None, span.model)]
        edges = sorted([(span.start, 1) for span in spans] + [(span.end, -1) for span in spans])
        most = now = 0
        for _, step in edges:
            now += step
            most = max(most, now)
        return most

    async def until(self, condition: Callable[["Truth"], bool]) -> None:
        """Wait until the log satisfies a condition; checked whenever something is logged.

        A condition that asks for a request not yet seen (`LookupError`) is not satisfied.
        """
        if self._satisfies(condition):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    def noted(self) -> None:
        """Tell those who wait that something was logged."""
        for entry in list(self._waiters):
            condition, waiter = entry
            if not waiter.done() and self._satisfies(condition):
                self._waiters.remove(entry)
                waiter.set_result(None)

    def _satisfies(self, condition: Callable[["Truth"], bool]) -> bool:
        try:
            return condition(self)
        except LookupError:
            return False
