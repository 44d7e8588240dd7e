"""What a person sees of the pool.

Owns the shape only: frozen values without references into the pool, safe to keep, compare and send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infrastructure.pool.figures import LaneFigures
from infrastructure.pool.states import Band, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSnapshot:
    """One lane on one server."""

    lane: str
    """Model and load-time options, as people read them."""
    model: str
    free: int
    busy: int
    cancelling: int
    figures: LaneFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSnapshot:
    """A model in a server's memory."""

    model: str
    size: int
    """Bytes."""
    size_vram: int
    """Bytes of it on the GPU: less than `size` means that a part runs on the CPU."""
    context_length: int | None
    """Tokens of one slot's window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSnapshot:
    """One server."""

    label: str
    url: str
    health: Health
    reason: str
    """Why it is down."""
    slots: int
    """Of each lane."""
    in_flight: int
    models: tuple[str, ...] | None
    """What it holds; None if that is not known."""
    loaded: tuple[LoadedSnapshot, ...]
    lanes: tuple[LaneSnapshot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """Calls since the pool was made."""

    done: int = 0
    failed: int = 0
    """Refused ones included."""
    cancelled: int = 0
    preempted: int = 0
    """Times a slot was taken from a speculative call."""
    moved: int = 0
    """Times a call went to another server after a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSnapshot:
    """The whole pool at one moment."""

    servers: tuple[ServerSnapshot, ...]
    queued: Mapping[Band, int]
    in_flight: Mapping[Band, int]
    clients: Mapping[str, int]
    """Calls queued or in flight, by client."""
    calls: CallCounts
    draining: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolModel:
    """A model that at least one server holds."""

    name: str
    size: int
    """Bytes on disk."""
    family: str
    parameter_size: str
    quantization: str
    capabilities: tuple[str, ...] | None
    """None where no server lists them (before 0.30)."""
    servers: tuple[str, ...]
    """Labels of the servers that hold it."""
    loaded_on: tuple[str, ...]
    """Labels of those that have it in memory."""
    remote_host: str | None = None
    """Where it really runs, for a cloud model."""
