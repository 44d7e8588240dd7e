"""Owns one request and the way to answer it, whatever the version of HTTP, with the toxics that hit it."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from infrastructure.simulator.golang import dump
from infrastructure.simulator.toxics import WIRE, Fault, FaultKind, Toxic, ToxicKind
from infrastructure.simulator.wire import Pace, Wire

Header = tuple[str, str]
_BLANKS = b" " * 1024
_AGAIN_SECONDS = 0.02
"""Between the lines of a stream that never ends."""


@dataclass(slots=True)
class Request:
    """One HTTP request, whole."""

    method: str = ""
    path: str = ""
    query: str = ""
    """With its question mark; empty where there is none."""
    version: str = "1.1"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """By lower-case name."""
    body: bytes = b""
    keep_alive: bool = True
    reused: bool = False
    """Whether its connection has carried another request."""


class Framing(Protocol):
    """How a connection carries one answer. Nothing that it is told fails when the client has gone."""

    wire: Wire | None
    """Where bytes go that toxics hit; None: straight on."""

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly."""
        ...

    def whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """The whole answer but for its end."""
        ...

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        """The head of an answer of unknown length."""
        ...

    def piece(self, data: bytes) -> None:
        """A piece of its body."""
        ...

    def end(self) -> None:
        """The answer is complete."""
        ...

    def break_off(self, reset: bool) -> None:
        """End it out of order: a reset, or merely no more bytes."""
        ...

    def refuse(self) -> None:
        """Say that nothing was done with the request."""
        ...


class Exchange:
    """A request and the way to answer it."""

    def __init__(self, request: Request, framing: Framing, fixed: Sequence[Header]) -> None:
        self.request = request
        self.extra: list[Header] = list(fixed)
        """Headers that go with every answer."""
        self.on_pause: Callable[[bool], None] | None = None
        """Told when the client reads too slowly (True) and when it has caught up (False)."""
        self.on_leave: Callable[[], None] | None = None
        """Told when the client has gone, before the request is cancelled."""
        self.left = False
        self.status: int | None = None
        self.fault: Fault | None = None
        """Spoils what is said; whoever makes the answer may take it and do it better."""
        self._framing = framing
        self._pieces = 0
        self._spoiled = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly."""
        wire = self._framing.wire
        return self._framing.paused or (wire is not None and wire.full)

    @property
    def begun(self) -> bool:
        """Whether anything was sent."""
        return self.status is not None

    def catch(self, toxics: Mapping[ToxicKind, Toxic], rng: random.Random) -> None:
        """Be hit by toxics."""
        if not WIRE.isdisjoint(toxics):
            timers = asyncio.get_running_loop()
            self._framing.wire = Wire(timers, Pace(toxics, rng), self._framing.break_off, self.pause)
        self.fault = next((fault for toxic in toxics.values() if (fault := toxic.fault())), None)

    def answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Send a whole answer."""
        fault, self.fault = self.fault, None
        if fault is None:
            self._whole(status, headers, body)
        elif fault.kind is FaultKind.ERROR:
            self._whole(500, headers, dump({"error": fault.message}))
        elif fault.kind is FaultKind.HALF_LINE:
            self._whole(status, headers, body[: len(body) // 2])
        else:
            self.begin(status, headers)
            self.send(body)
            self.repeat(_BLANKS)

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Start an answer of unknown length."""
        self.status = status
        if not self.left:
            self._framing.begin(status, [*headers, *self.extra])

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        if self.left or self._spoiled or (self.fault is not None and self._spoils(self.fault, data)):
            return
        self._framing.piece(data)

    def end(self) -> None:
        """Finish the answer in order."""
        if not self.left and not self._spoiled:
            self._framing.end()

    def repeat(self, data: bytes) -> None:
        """Send this until the client leaves."""
        if not self.paused:
            self._framing.piece(data)
        if not self.left:
            self._timer = asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self.repeat, data)

    def drop(self, *, reset: bool = False) -> None:
        """Break the connection off."""
        if self._framing.wire is not None:
            self._framing.wire.close()
        self._framing.break_off(reset)

    def refuse(self) -> None:
        """Say that nothing was done with the request, so that it may be sent again."""
        self._framing.refuse()

    # ------------------------------------------------------------------------ for the connection

    def leave(self) -> None:
        """The client has gone, or the answer is over."""
        if self.left:
            return
        self.left = True
        if self._timer is not None:
            self._timer.cancel()
        if self._framing.wire is not None:
            self._framing.wire.close()
        if self.on_leave is not None:
            self.on_leave()

    def pause(self, _: bool) -> None:
        """The client, or a toxic before it, takes bytes too slowly now, or no longer."""
        if self.on_pause is not None:
            self.on_pause(self.paused)

    def _whole(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        self.status = status
        if not self.left:
            self._framing.whole(status, [*headers, *self.extra], body)
            self._framing.end()

    def _spoils(self, fault: Fault, data: bytes) -> bool:
        """Spoil the stream of a route without a model; whatever it says afterwards is lost."""
        self._pieces += 1
        if self._pieces <= fault.after_chunks:
            return False
        self._spoiled = True
        if fault.kind is FaultKind.ENDLESS:
            self.repeat(data)
        else:
            error = fault.kind is FaultKind.ERROR
            self._framing.piece(dump({"error": fault.message}) + b"\n" if error else data[: len(data) // 2])
            self._framing.end()
        return True


Handler = Callable[[Exchange], Coroutine[None, None, None] | None]
"""Answers an exchange at once, or returns the work that will."""
