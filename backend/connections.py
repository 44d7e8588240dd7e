"""A connection until its request is known: how much it may send before that, how long it may take, how many there are.

Owns what uvicorn's protocol leaves open. The guard sees a request when its headers are whole; who never finishes them
is a stranger, and must cost next to nothing. Header bytes are limited here since the parser joins an unfinished header
anew with each piece, in quadratic time; trailers behind a body are the same to it.
"""

from __future__ import annotations

import asyncio
import itertools
import resource
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from backend.problems import answer_to
from backend.security.errors import Crowded, EntryRefused, HeadersTooLarge
from backend.security.headers import HEADERS

HEAD_BYTES = 65_536
"""Of all that is no body: the request's line, its headers, what stands between chunks, trailers."""
HEAD_SECONDS = 10.0
"""For the headers of a request, and for the first byte of a new connection."""
MOST_CONNECTIONS = 2_000
"""Twice the streams: `backend.stopping.STREAMS`."""
FILES = 4_096
"""Open at once, where the system lets a process have as many: connections, databases, servers, programs."""
OWN_FILES = 64
"""Of these for ourselves, where there are so few: 23 are open when nothing happens, and each test run opens some."""
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take.

    Attributes:
        connections: Open at once.
        seconds: For the headers of a request.
    """

    connections: int
    seconds: float = HEAD_SECONDS

    def protocol(self) -> type[asyncio.Protocol]:
        """What uvicorn is to make of each connection."""
        return cast("type[asyncio.Protocol]", partial(Connection, limits=self))


class Connection(HttpToolsProtocol):
    """uvicorn's, with limits. It is idle while no request of its is being answered.

    Over the limit of connections the oldest idle one makes room, so that strangers who open connections and say
    nothing keep nobody out; where none is idle, the new one is refused.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._number = next(_numbers)
        self._unknown = 0
        """Bytes since the last that were known to be the end of headers or a piece of a body."""
        self._patience: asyncio.TimerHandle | None = None
        self._upgraded = False

    @property
    def idle(self) -> bool:
        """Whether nothing is being answered."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return not self._upgraded and (cycle is None or cycle.response_complete)

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a request, if there is room."""
        super().connection_made(transport)
        if len(self.connections) <= self._limits.connections or self._made_room():
            self._be_patient()
        else:
            self._refuse(Crowded())

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._end_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse it, at most as much at once as may be no body."""
        rest = memoryview(data)
        while rest and not self.transport.is_closing() and not self._upgraded:
            piece = rest[: HEAD_BYTES - self._unknown]
            rest = rest[len(piece) :]
            self._unknown += len(piece)
            super().data_received(cast("bytes", piece))  # the parser takes any buffer
            if self._unknown >= HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HeadersTooLarge())
        if not self.idle or self.transport.is_closing():
            self._end_patience()
        elif self._patience is None:
            self._be_patient()

    def on_headers_complete(self) -> None:
        """A request is known."""
        self._unknown = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body, which others count."""
        self._unknown = 0
        super().on_body(body)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; it is read by another protocol from now on."""
        self._upgraded = True
        self._end_patience()
        super().handle_websocket_upgrade()

    def _made_room(self) -> bool:
        others = (each for each in self.connections if isinstance(each, Connection) and each is not self)
        idle = [each for each in others if each.idle and not each.transport.is_closing()]
        if idle:
            min(idle, key=lambda each: each._number).transport.close()
        return bool(idle)

    def _be_patient(self) -> None:
        self._patience = self.loop.call_later(self._limits.seconds, self._lose_patience)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._patience = None
        if self.idle:
            self.transport.close()

    def _refuse(self, error: EntryRefused) -> None:
        """Say why, and close. If something is being answered, that is cut off: what comes after it makes no sense."""
        if self.idle:
            answer = answer_to(error)
            given = {**{name.encode(): value.encode() for name, value in HEADERS.items()}, **dict(answer.raw_headers)}
            lines = (b"%b: %b\r\n" % pair for pair in (*self.server_state.default_headers, *given.items()))
            phrase = HTTPStatus(answer.status_code).phrase.encode()
            head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (answer.status_code, phrase, b"".join(lines))
            self.transport.write(head + bytes(answer.body))
        self.transport.close()


def connections_for(files: int) -> int:
    """How many connections there may be where so many files may be open: the rest is for our own."""
    return min(MOST_CONNECTIONS, files * 3 // 4, max(files - OWN_FILES, files // 4))


def open_files() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES if soft == resource.RLIM_INFINITY else soft


def allow_files() -> None:
    """Let this process have as many files open as it may want, where its limit is lower and may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
