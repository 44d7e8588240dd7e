"""Owns the log of what really happened inside the simulated server, for tests and benchmarks to ask.

Times are those of the event loop's clock, in seconds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import orjson

from infrastructure.simulator import timeline
from infrastructure.simulator.records import Load, Outcome, RequestRecord, SlotSpan, Strike, Unload, UnloadReason
from infrastructure.simulator.timeline import Prefill, Steps, Waits


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
        return max((taken for _, taken in self._spans(model, ())), default=0)

    def occupancy(self, model: str | None = None) -> Steps:
        """How many slots were taken, over time."""
        return self._spans(model, self.in_slots(model))

    def waiting(self, model: str | None = None) -> Steps:
        """How many calls were in the server without a slot, over time."""
        return timeline.waiting(self.of(model))

    def waits(self, model: str | None = None) -> Waits:
        """How long calls waited inside the server for their slot, loads included."""
        return timeline.waits(self.of(model))

    def prefill(self, model: str | None = None) -> Prefill:
        """How many prompt tokens were evaluated, known, and restored."""
        return timeline.prefill(self.of(model))

    def wasted_tokens(self, model: str | None = None) -> int:
        """Tokens that were made for clients that had gone."""
        return sum(record.tokens_after_leaving for record in self.of(model))

    def evictions(self) -> list[Unload]:
        """Models that had to go for others."""
        return [unload for unload in self.unloads if unload.reason is UnloadReason.EVICTED]

    def duplicates(self) -> Mapping[str, Sequence[RequestRecord]]:
        """Calls that came more than once, by their `X-Request-Id`."""
        return timeline.duplicates(self.requests)

    def as_json(self) -> bytes:
        """Everything, for whoever asks from another process; its times are this process's."""
        models = {record.model for record in self.requests}
        return orjson.dumps(
            {
                "requests": self.requests,
                "slots": self.slots,
                "loads": self.loads,
                "unloads": self.unloads,
                "strikes": self.strikes,
                "connections": self.connections,
                "open_connections": self.open_connections,
                "models": {name: self._summary(name) for name in sorted(models)},
            }
        )

    def of(self, model: str | None) -> list[RequestRecord]:
        """The requests to a model, or all."""
        return [record for record in self.requests if model in (None, record.model)]

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

    def _spans(self, model: str | None, held: Sequence[RequestRecord]) -> Steps:
        return timeline.occupancy([span for span in self.slots if model in (None, span.model)], held)

    def _summary(self, model: str) -> Mapping[str, object]:
        return {
            "waits": asdict(self.waits(model)),
            "prefill": asdict(self.prefill(model)),
            "wasted_tokens": self.wasted_tokens(model),
            "most_at_once": self.most_at_once(model),
        }

    def _satisfies(self, condition: Callable[["Truth"], bool]) -> bool:
        try:
            return condition(self)
        except LookupError:
            return False
