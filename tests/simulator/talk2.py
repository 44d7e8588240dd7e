"""A bare HTTP/2 client for the simulator: frames are sent when the test says so, events are kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from infrastructure.simulator import Simulator
from tests.simulator.talk import HI

_HEADER = 9


class Talk2(asyncio.Protocol):
    """One connection. GOAWAY is kept from h2, which would close the connection on it."""

    def __init__(self, window: int, *, credits: bool) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.credits = credits
        self.events: list[Event] = []
        self.goaways: list[tuple[int, int]] = []
        self.closed = False
        self.transport: asyncio.Transport
        self._buffer = bytearray()
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            end = _HEADER + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < end:
                break
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            if frame[3] == GoAwayFrame.type:
                self.goaways.append((int.from_bytes(frame[9:13], "big"), int.from_bytes(frame[13:17], "big")))
            else:
                self._take(self.h2.receive_data(frame))
        self.flush()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._changed.set()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def post(self, path: str, body: dict, name: str = "", *, end: bool = True) -> int:
        """Send a request; without `end` its body stays unfinished."""
        stream = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        self.h2.send_headers(stream, [*headers, *([("x-request-id", name)] if name else [])])
        self.h2.send_data(stream, json.dumps(body).encode(), end_stream=end)
        self.flush()
        return stream

    def chat(self, model: str, name: str = "", **more: object) -> int:
        return self.post("/api/chat", {"model": model, "messages": HI, **more}, name)

    def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream, 8)
        self.flush()

    def status(self, stream: int) -> str:
        (head,) = [event for event in self.of(stream) if isinstance(event, ResponseReceived)]
        return dict(head.headers or ())[":status"]

    def data(self, stream: int) -> bytes:
        return b"".join(event.data or b"" for event in self.of(stream) if isinstance(event, DataReceived))

    def lines(self, stream: int) -> list[dict]:
        return [json.loads(line) for line in self.data(stream).split(b"\n") if line]

    def ended(self, stream: int) -> bool:
        return any(isinstance(event, StreamEnded) for event in self.of(stream))

    def reset_code(self, stream: int) -> int | None:
        return next((event.error_code for event in self.of(stream) if isinstance(event, StreamReset)), None)

    def of(self, stream: int) -> list[Event]:
        return [event for event in self.events if getattr(event, "stream_id", None) == stream]

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def whole(self, stream: int) -> list[dict]:
        await self.until(lambda: self.ended(stream))
        return self.lines(stream)

    def _take(self, events: list[Event]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, DataReceived) and self.credits and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)


@asynccontextmanager
async def talk2(simulator: Simulator, window: int = 65535, *, credits: bool = True) -> AsyncIterator[Talk2]:
    """A connection to the simulator's HTTP/2 face."""
    host, _, port = simulator.http2_url.removeprefix("h2c://").partition(":")
    loop = asyncio.get_running_loop()
    _, talk = await loop.create_connection(lambda: Talk2(window, credits=credits), host, int(port))
    try:
        yield talk
    finally:
        talk.transport.abort()
        await talk.until(lambda: talk.closed)
