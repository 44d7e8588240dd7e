"""Owns what can go wrong with a simulated server: faults of its models, and toxics of its connections.

Both strike by share or number, and can be set while the server runs.
"""

import random
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)


class FaultKind(StrEnum):
    """Ways a model can misbehave on the wire."""

    DROP = "drop"
    """The connection breaks off after `after_chunks` chunks, as when the server is killed."""
    ERROR = "error"
    """An `{"error": …}` line ends the stream after `after_chunks` chunks; before the first one a 500."""
    BUSY = "busy"
    """503 with the text of a full queue."""
    HANG = "hang"
    """Nothing more is sent after `after_chunks` chunks, and the slot stays taken."""
    SILENT_END = "silent_end"
    """The stream ends in order after `after_chunks` chunks, without a `done` object."""
    CRASH = "crash"
    """The runner dies after `after_chunks` chunks: an error line, and the model is no longer loaded."""
    HALF_LINE = "half_line"
    """After `after_chunks` chunks comes half a line, and the stream ends in order."""
    ENDLESS = "endless"
    """After `after_chunks` chunks the same line comes again and again, and the slot stays taken."""


class Fault(BaseModel):
    """One fault of one model; it hits a `share` of requests, the first `times` of those (None: every one)."""

    model_config = _STRICT

    kind: FaultKind
    after_chunks: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=0)
    share: float = Field(default=1.0, ge=0, le=1)
    message: str = "simulated failure"


class ToxicKind(StrEnum):
    """What can happen to a request, whatever it asks for."""

    LATENCY = "latency"
    """Everything is sent `seconds` later."""
    JITTER = "jitter"
    """Everything is sent up to `seconds` later, each piece by another random time."""
    BANDWIDTH = "bandwidth"
    """No more than `bytes` are sent a second."""
    SLICER = "slicer"
    """Everything is sent in pieces of `bytes`, `seconds` apart."""
    SLOW_CLOSE = "slow_close"
    """The end of the answer is sent `seconds` after the rest."""
    LIMIT = "limit"
    """The connection is closed after `bytes` of the answer."""
    RESET = "reset"
    """The connection is reset (RST) after `bytes` of the answer."""
    TIMEOUT = "timeout"
    """The request is taken and never answered."""
    STALE = "stale"
    """A connection that has carried a request is closed when the next one comes."""
    REFUSE = "refuse"
    """Nothing is done with the request: REFUSED_STREAM, or over HTTP/1.1 a closed connection."""
    BUSY = "busy"
    """503 with the text of a full queue."""
    ERROR = "error"
    """A stream ends with an error line after `after_chunks` chunks; any other answer is a 500."""
    HALF_LINE = "half_line"
    """A stream ends in order within the line after `after_chunks` chunks, any other answer in its middle."""
    ENDLESS = "endless"
    """A stream repeats the line after `after_chunks` chunks for ever; any other answer ends in blanks without end."""


_NEEDS = {
    "seconds": {ToxicKind.LATENCY, ToxicKind.JITTER, ToxicKind.SLOW_CLOSE},
    "bytes": {ToxicKind.BANDWIDTH, ToxicKind.SLICER},
}
CONTENT = {
    ToxicKind.ERROR: FaultKind.ERROR,
    ToxicKind.HALF_LINE: FaultKind.HALF_LINE,
    ToxicKind.ENDLESS: FaultKind.ENDLESS,
}
"""Toxics that spoil what is said; of a model's answer they do it as a fault of the model does."""
WIRE = {
    *(ToxicKind.LATENCY, ToxicKind.JITTER, ToxicKind.BANDWIDTH, ToxicKind.SLICER),
    *(ToxicKind.SLOW_CLOSE, ToxicKind.LIMIT, ToxicKind.RESET),
}
"""Toxics that spoil how bytes travel."""


class Toxic(BaseModel):
    """One toxic; it hits a `share` of the requests to `path`, the first `times` of those (None: every one)."""

    model_config = _STRICT

    kind: ToxicKind
    path: str = ""
    """Beginning of the routes that it hits; empty for all."""
    seconds: float = Field(default=0.0, ge=0)
    bytes: int = Field(default=0, ge=0)
    after_chunks: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=0)
    share: float = Field(default=1.0, ge=0, le=1)
    message: str = "simulated failure"

    @model_validator(mode="after")
    def _has_its_size(self) -> Self:
        for name, kinds in _NEEDS.items():
            if self.kind in kinds and not getattr(self, name):
                raise ValueError(f"{self.kind} needs {name} above 0")
        return self

    def fault(self) -> Fault | None:
        """The fault that does the same to a model's answer, where there is one."""
        kind = CONTENT.get(self.kind)
        return Fault(kind=kind, after_chunks=self.after_chunks, message=self.message) if kind else None


class Chance:
    """Decides which of the requests that could be hit are: a share of them by a seed, so many and no more."""

    def __init__(self, share: float, times: int | None, seed: str) -> None:
        self._share = share
        self._left = times
        self._rng = random.Random(seed)

    def strikes(self) -> bool:
        """Whether the next request is hit."""
        if self._left == 0 or self._rng.random() >= self._share:
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Faults:
    """The faults of the models."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._by_model: dict[str, tuple[Fault, Chance]] = {}

    def set(self, key: str, fault: Fault | None) -> None:
        """Give a model a fault, or take its fault away."""
        self._by_model.pop(key, None)
        if fault is not None:
            self._by_model[key] = fault, Chance(fault.share, fault.times, f"{self._seed}/fault/{key}")

    def take(self, key: str) -> Fault | None:
        """The fault that strikes the next request, if one does."""
        fault, chance = self._by_model.get(key, (None, None))
        return fault if chance is not None and chance.strikes() else None


class Toxics:
    """The toxics of a server, by name, in the order in which they were added."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._by_name: dict[str, tuple[Toxic, Chance]] = {}

    def add(self, toxic: Toxic, name: str) -> None:
        """Add one, or put it in the place of that of the same name."""
        self._by_name[name] = toxic, Chance(toxic.share, toxic.times, f"{self._seed}/toxic/{name}")

    def remove(self, name: str) -> None:
        """Take one away.

        Raises:
            LookupError: there is none of that name.
        """
        if self._by_name.pop(name, None) is None:
            raise LookupError(name)

    def clear(self) -> None:
        """Take all away."""
        self._by_name.clear()

    def strike(self, path: str, *, reused: bool) -> dict[ToxicKind, Toxic]:
        """Those that hit a request to this path, one of each kind.

        Args:
            path: its route.
            reused: whether its connection has carried another request.
        """
        hit: dict[ToxicKind, Toxic] = {}
        for toxic, chance in self._by_name.values():
            fits = path.startswith(toxic.path) and (reused or toxic.kind is not ToxicKind.STALE)
            if fits and toxic.kind not in hit and chance.strikes():
                hit[toxic.kind] = toxic
        return hit
