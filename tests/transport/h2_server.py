"""An HTTP/2 server (h2c) that does to its streams what a test tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame


class ServerConnection(asyncio.Protocol):
    """One accepted connection; `received` holds its events, in order."""

    def __init__(self, server: H2Server) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.received: list[Event] = []
        self.closed = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.append(self)
        self.server.changed.set()
        if self.server.greets:
            self.greet()

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except ProtocolError as error:
            self.server.errors.append(error)
            self.transport.abort()
            return
        for event in events:
            self.received.append(event)
            if isinstance(event, DataReceived) and self.server.takes_bodies:
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            self.server.on_event(self, event)
        self.flush()
        self.server.changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self.server.changed.set()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    # -- what a script says
    def greet(self) -> None:
        settings = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self.server.max_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: self.server.window,
        }
        self.h2.local_settings = Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        if self.server.window > 65535:
            self.h2.increment_flow_control_window(self.server.window)
        self.flush()

    def headers(self, stream: int, status: int = 200, *, end: bool = False) -> None:
        self.h2.send_headers(stream, [(":status", str(status))], end_stream=end)
        self.flush()

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def reset(self, stream: int, code: ErrorCodes) -> None:
        self.h2.reset_stream(stream, code)
        self.flush()

    def goaway(self, last: int) -> None:
        """A graceful GOAWAY, past h2, which would take the connection for closed."""
        self.transport.write(GoAwayFrame(0, last_stream_id=last, error_code=0).serialize())

    def streams(self) -> list[int]:
        return [event.stream_id or 0 for event in self.received if isinstance(event, RequestReceived)]

    def resets(self) -> list[int]:
        return [event.stream_id or 0 for event in self.received if isinstance(event, StreamReset)]

    def acknowledged(self) -> int:
        """How many of our settings the client has taken on."""
        return sum(isinstance(event, SettingsAcknowledged) for event in self.received)

    def body_bytes(self, stream: int) -> int:
        return sum(
            len(event.data or b"")
            for event in self.received
            if isinstance(event, DataReceived) and event.stream_id == stream
        )

    def credit(self, stream: int) -> int:
        return sum(
            event.delta or 0
            for event in self.received
            if isinstance(event, WindowUpdated) and event.stream_id == stream
        )


def nothing(connection: ServerConnection, event: Event) -> None:
    """The script that only listens."""


@dataclass
class H2Server:
    on_event: Callable[[ServerConnection, Event], None] = nothing
    max_streams: int = 100
    takes_bodies: bool = True
    greets: bool = True
    window: int = 65535
    port: int = 0
    errors: list[ProtocolError] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"h2c://127.0.0.1:{self.port}"

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds, looked at whenever anything happened."""
        while not true():
            self.changed.clear()
            await self.changed.wait()


def answered(connection: ServerConnection, event: Event) -> None:
    """The script that answers every request with one finished line."""
    if isinstance(event, StreamEnded):
        connection.headers(event.stream_id or 0)
        connection.data(event.stream_id or 0, b'{"message":{"content":"ok"},"done":true,"version":"1"}\n', end=True)


@asynccontextmanager
async def h2_server(
    on_event: Callable[[ServerConnection, Event], None] = nothing,
    *,
    max_streams: int = 100,
    takes_bodies: bool = True,
    greets: bool = True,
    window: int = 65535,
) -> AsyncIterator[H2Server]:
    state = H2Server(on_event, max_streams, takes_bodies, greets, window)
    server = await asyncio.get_running_loop().create_server(lambda: ServerConnection(state), "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        for connection in state.connections:
            connection.transport.abort()
            await connection.closed.wait()
    assert state.errors == [], "the client broke the protocol"
