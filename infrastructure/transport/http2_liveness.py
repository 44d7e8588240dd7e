"""Whether the peer of an HTTP/2 connection still lives.

Owns one timer a connection and the rule: while streams are open and nothing was received for `QUIET_SECONDS`, a PING is
sent; a peer that says nothing for `ANSWER_SECONDS` more is dead. The silence of a model is no sign: its server, or the
proxy before it, answers a PING while the model computes. Any byte counts as an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

QUIET_SECONDS = 15.0
"""Without a byte, while streams are open, before the peer is asked. Above every sensible gap between tokens, so that a
running stream costs no PING; a proxy that counts PINGs as abuse (nginx, Envoy) allows one in some seconds at least."""
ANSWER_SECONDS = 10.0
"""For the answer. A machine that sleeps, or a lost route, is found after both together; TCP alone takes minutes."""


class Timers(Protocol):
    """The part of an event loop that decides when."""

    def time(self) -> float:
        """Now, in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        """Call back at that time."""
        ...


class Liveness:
    """Watches one connection. It is told of bytes and of streams, and tells when to ask and when to give up."""

    __slots__ = ("_ask", "_asked", "_give_up", "_heard", "_loop", "_timer", "_watching")

    def __init__(self, loop: Timers, ask: Callable[[], None], give_up: Callable[[], None]) -> None:
        """A watch that is not running: `ask` sends a PING, `give_up` ends the connection."""
        self._loop = loop
        self._ask = ask
        self._give_up = give_up
        self._heard = 0.0
        self._asked = self._watching = False
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Something was received. Costs a look at the clock: the timer is not moved, it looks when it fires."""
        self._heard = self._loop.time()
        self._asked = False

    def watch(self) -> None:
        """A stream is open: watch, if that is not done already."""
        if self._watching:
            return
        self._watching, self._asked, self._heard = True, False, self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._heard + QUIET_SECONDS, self._look)

    def rest(self) -> None:
        """No stream is open: a peer from which nothing is wanted may be silent.

        The timer looks once more, and is not set again then: a new one for each of many calls would cost more.
        """
        self._watching = False

    def stop(self) -> None:
        """The connection is over."""
        self._watching = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        silent_until = self._heard + QUIET_SECONDS + (ANSWER_SECONDS if self._asked else 0.0)
        self._timer = None
        if not self._watching:
            return
        if now < silent_until:
            self._timer = self._loop.call_at(silent_until, self._look)
        elif self._asked:
            self._give_up()
        else:
            self._asked = True
            self._timer = self._loop.call_at(now + ANSWER_SECONDS, self._look)
            self._ask()
