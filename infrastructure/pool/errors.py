"""The errors of the pool itself. What a server or the wire did wrong keeps the transport's own error.

Owns the branch under `PoolError`: refused before sending, given up while waiting, pre-empted, closed. Its root is the
transport's `OllamaError`, so one `except` holds all that can go wrong with a call, each with a hint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.attendance import DRAINED, LEAVING
from infrastructure.transport.errors import ModelNotFound, OllamaError, Partial

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class PoolError(OllamaError):
    """The pool could not carry out the call."""


class PoolSaturated(PoolError):
    """The pool's queue is full."""

    def __init__(self, queued: int, retry_after: float) -> None:
        super().__init__(f"{queued} calls are waiting", hint=f"ask again in {retry_after:.0f} s")
        self.queued = queued
        self.retry_after = retry_after
        """Seconds after which it is worth asking again."""


class DeadlinePassed(PoolError):
    """The call's deadline passed before it was done."""

    default_hint = "give it more time, a higher band, or add a server"

    def __init__(self, waited: float, partial: Partial | None = None) -> None:
        super().__init__(f"after {waited:.1f} s, {'still queued' if partial is None else 'in flight'}")
        self.waited = waited
        """Seconds since the call was made."""
        self.partial = partial
        """What had come by then; None when the call was still queued."""


class QueueTimeout(PoolError):
    """No slot became free within the queue limit."""

    default_hint = "raise the limit `queue` under [pool.phases], or add a server"

    def __init__(self, waited: float, drained: Sequence[str] = ()) -> None:
        why = "which get no new calls" if len(drained) > 1 else "which gets no new calls"
        super().__init__(
            f"after {waited:.1f} s", f"only {' and '.join(drained)} may serve it, {why}" if drained else ""
        )
        self.waited = waited
        """Seconds in the queue."""
        self.drained = tuple(drained)
        """Servers that alone might have served it, had they not been drained."""


class NoServerAvailable(PoolError):
    """No Ollama server is available."""

    def __init__(self, servers: Mapping[str, str], model: str = "") -> None:
        each = "; ".join(f"{label}: {reason}" for label, reason in servers.items())
        super().__init__(each or "none is configured", hint=_how_to_start(servers))
        self.servers = dict(servers)
        """Each server by its label, and what is wrong there."""
        self.model = model


class ModelNowhere(ModelNotFound, PoolError):
    """No server has this model."""

    def __init__(self, model: str, available: Sequence[str], unreachable: Mapping[str, str] | None = None) -> None:
        super().__init__(model)
        self.available = tuple(available)
        """The models that the servers have which could be asked."""
        self.unreachable = dict(unreachable or {})
        """Servers that could not be asked, and why."""

    def __str__(self) -> str:
        """What is missing, what is there, and who could not be asked."""
        there = ", ".join(self.available) or "none"
        unasked = f"; not reachable: {', '.join(self.unreachable)}" if self.unreachable else ""
        return f"No server has {self.model!r} (get it with `{self.hint}`). Models there: {there}{unasked}"


class Preempted(PoolError):
    """A speculative call gave way to a call of a higher band after it had begun to answer."""

    default_hint = "ask again when a slot is free"

    def __init__(self, partial: Partial) -> None:
        super().__init__()
        self.partial = partial
        """What had come by then."""


class PoolDraining(PoolError):
    """The pool finishes the calls it has and takes no new ones."""

    default_hint = "ask again when it is back"


class PoolClosed(PoolError):
    """The pool is closed."""

    default_hint = "open a new one"


class OtherLoop(PoolError):
    """The pool lives in another event loop."""

    default_hint = (
        "a pool belongs to one loop: give this one its own (pool=OllamaConnectionPool([…])), or use LocalLLM from any "
        "thread; where the other loop has ended without being closed, close_ollama_pool() first"
    )


class LoopEnded(PoolError):
    """The event loop in which the pool lives does not run, or was ended while it did the work."""

    default_hint = (
        "a call from a thread is carried out there: keep that loop running as long as it is asked (asyncio.run ends it "
        "with its coroutine), or give LocalLLM or the chat model no pool: then they have a loop of their own"
    )


class OtherProcess(PoolError):
    """The pool lives in the process that this one was forked from."""

    default_hint = "make the pool, and what asks it, in this process"


def _how_to_start(servers: Mapping[str, str]) -> str:
    if servers and all(reason == DRAINED for reason in servers.values()):
        return "let one that is drained have calls again, or add another"
    if all(reason == LEAVING for reason in servers.values()):
        return "name one in the settings, or set OLLAMA_HOST"
    return "start one with `ollama serve`, or correct its address"


class UnknownServer(LookupError):
    """The pool has no server of this label or URL."""

    def __init__(self, server: str, known: tuple[str, ...]) -> None:
        self.server = server
        self.known = known
        super().__init__(f"no server {server!r}; there are: {', '.join(known) or 'none'}")
