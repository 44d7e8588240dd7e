"""What a person sees of the pool.

Owns the shape only: frozen values without references into the pool, safe to keep, compare and send.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.figures import LaneFigures
from infrastructure.pool.states import Band, CallState, Health


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
    slots: int = 1
    """Calls that are known to run side by side: as the settings say, or as answers have shown."""
    settled: bool = False
    """Whether that number is final: given, or one call more was seen to wait. Else one more is tried when it may be."""
    resident: bool = False
    """Whether the model is in memory there with the lane's own options, as far as is known."""
    loading: bool = False
    """Whether a call was sent there to load it."""
    prompt_tokens_per_second: float | None = None
    """The usual speed with prompts that were in no cache; None until it is known."""
    breaker: BreakerState = BreakerState.CLOSED
    """Open while its calls fail there, so that it gets none for a while; half open when one may try."""
    load_seconds: float = 0
    """What a load is thought to take: as the last ones did, or by the model's size."""


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
    draining: bool = False
    """Whether it gets no new calls, since it is to go."""
    places: int | None = None
    """Models that it holds in memory at once; None until a load has shown it."""
    places_given: bool = False
    """Whether the settings say so; else it was learned."""
    loading: str | None = None
    """The lane that is on its way into memory."""
    leaving: tuple[str, ...] = ()
    """Models that get no new calls meanwhile, since they have to go for it."""


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
    hedged: int = 0
    """Times a second server was asked too, since the first was late with its first byte."""
    hedges_won: int = 0
    """Times the second one answered first."""
    tripped: int = 0
    """Times a breaker opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSnapshot:
    """One call that is not over."""

    number: int
    """In order of arrival."""
    client: str
    band: Band
    lane: str
    model: str
    state: CallState
    server: str | None
    """The label of the server that has given it a slot."""
    seconds: float
    """Since it was made."""
    attempt: int
    prompt_tokens: int
    """Estimated."""
    answer_tokens: int
    """What has come so far, estimated from its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSnapshot:
    """The whole pool at one moment."""

    servers: tuple[ServerSnapshot, ...]
    queued: Mapping[Band, int]
    in_flight: Mapping[Band, int]
    clients: Mapping[str, int]
    """Calls queued or in flight, by client."""
    calls: CallCounts
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    """Calls that wait, by lane."""
    oldest_wait_seconds: float = 0
    """How long the call that was made first, of those that wait, has been there."""
    loads: int = 0
    """Calls that were sent where their model had to be loaded, since the pool was made."""
    reloads: int = 0
    """Times a server loaded a model that was taken for loaded: somebody else's doing, or a full memory."""
    shares: Mapping[Band, Mapping[str, float]] = field(default_factory=dict[Band, Mapping[str, float]])
    """What each client with calls has had: tokens, those of answers twice. Who has had least goes first in a band;
    whoever comes new, or comes back, starts beside the others."""
    in_hand: tuple[CallSnapshot, ...] = ()
    """Calls in flight, then those that wait, oldest first; a hundred at most."""
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
    digests: tuple[str, ...] = ()
    """What the servers have under that name, each once: more than one where they differ."""
