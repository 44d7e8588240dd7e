"""One HTTP/2 connection.

Owns the protocol state (`h2`), flow control both ways, and which streams there are. Bytes are read the moment
they arrive and handed to the stream they belong to, so that no stream waits for another's reader.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.trsock import TransportSocket
from typing import TYPE_CHECKING, cast

import httpx
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from infrastructure.transport.http2_frames import BadFrame, Data, FrameCutter, GoAway
from infrastructure.transport.http2_liveness import Liveness
from infrastructure.transport.http2_state import ClientState, Malformed
from infrastructure.transport.http2_stream import Header, Stream, StreamFailed, StreamRefused, code_name
from infrastructure.transport.http2_windows import CONNECTION_WINDOW, STREAM_WINDOW, Windows
from infrastructure.transport.waiting import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STREAMS = 100
"""The most streams at once, whatever the server would allow."""
_LAST_STREAM = 1 << 29
_READ = 1 << 16
_OF_A_STREAM = (ResponseReceived, StreamEnded, StreamReset)
_PING = b"corral\x00\x00"
# What is sent has been looked at before a connection was taken (`http2_connections.head`).
_CONFIG = H2Configuration(
    client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
)


class Http2Connection(asyncio.Protocol):
    """A connection as the client sees it.

    `on_gone` is told once, when it takes no new stream any more. It is among the `sockets` as long as it has one.
    """

    def __init__(
        self, on_gone: Callable[[Http2Connection], None], sockets: dict[Http2Connection, asyncio.Future[None]]
    ) -> None:
        self._on_gone = on_gone
        self._sockets = sockets
        self._loop = asyncio.get_running_loop()
        self._h2 = ClientState(_CONFIG)
        self._cutter = FrameCutter()
        self._transport: asyncio.Transport | None = None
        self._streams: dict[int, Stream] = {}
        self._alarm = Alarm(self._loop, self._overdue_at)
        self._windows = Windows(self._h2, self._write)
        self._paused = False
        self._gone = False
        self._liveness = Liveness(self._loop, self._ping, self._dead)
        self.opened_at = self.idle_since = self._loop.time()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        """Done when the peer's settings are here, so that its limits are known and it does speak HTTP/2."""

    # -- for the transport --------------------------------------------------------------------------
    @property
    def room(self) -> int:
        """How many more streams may be opened now."""
        if self._gone:
            return 0
        allowed = min(STREAMS, self._h2.remote_settings.max_concurrent_streams)
        return max(0, allowed - len(self._streams))

    @property
    def gone(self) -> bool:
        """Whether it takes no new stream any more."""
        return self._gone

    @property
    def idle(self) -> bool:
        """Whether no stream is open."""
        return not self._streams

    async def ask(self, headers: Iterable[Header], body: bytes, until: float | None = None) -> Stream:
        """Send a request and wait for the head of its answer. Cancelled or failed, nothing of it goes on.

        Raises:
            TimeoutError: it did not come until then.
            StreamRefused: the peer did nothing with it.
            StreamFailed: the peer gave it up alone, and may have worked on it.
            h2.exceptions.ProtocolError, httpx.TransportError: it broke, or cannot be sent.
        """
        stream = self._open(headers, body=bool(body))
        try:
            await self._send(stream, body, until)
            while stream.response is None:
                if stream.error is not None:
                    raise stream.error
                if stream.ended:
                    raise StreamFailed("the stream ended without an answer")
                await stream.changed(until)
        except BaseException:
            self.release(stream)
            raise
        return stream

    def _open(self, headers: Iterable[Header], *, body: bool) -> Stream:
        """Begin a request. Its head waits for the body, so that a small one goes out in one write."""
        stream = Stream(self._h2.get_next_available_stream_id(), self, self._loop, self._alarm)
        self._h2.send_headers(stream.id, headers, end_stream=not body)
        stream.sent = not body
        self._streams[stream.id] = stream
        self._liveness.watch()
        if not body:
            self._flush()
        if stream.id > _LAST_STREAM:
            self._retire()
        return stream

    async def _send(self, stream: Stream, body: bytes, until: float | None) -> None:
        """Send the whole body, as the peer's windows allow; stops early when the answer is complete before it."""
        rest = memoryview(body)
        while not (stream.sent or stream.ended or stream.error):
            room = self._send_room(stream)
            if room > 0:
                part, rest = rest[:room], rest[room:]
                self._h2.send_data(stream.id, bytes(part), end_stream=not rest)
                stream.sent = not rest
            self._flush()
            if room <= 0:
                await stream.changed(until)

    def read_on(self, stream: Stream) -> None:
        """What had arrived of a stream has been read: the peer may send so much more."""
        if stream.ended or stream.error is not None:
            return
        if self._windows.read(stream):
            self._flush()

    def release(self, stream: Stream) -> None:
        """Forget a stream; if it is not complete, tell the peer to stop (RST_STREAM), so that generation ends."""
        if self._streams.pop(stream.id, None) is None:
            return
        if not (stream.ended and stream.sent) and stream.error is None and self._alive():
            self._h2.reset_stream(stream.id, ErrorCodes.CANCEL)
            self._flush()
        stream.fail(httpx.ReadError("the answer was closed"))
        if not self._streams:
            self._liveness.rest()  # its timer and the alarm's stay: the next stream finds them
            self.idle_since = self._loop.time()
            if self._gone:
                self.close()

    def close(self) -> None:
        """Close the connection; open streams fail. A peer that does not read what is sent is not waited for."""
        self._retire()
        if self._alive() and self._transport is not None:
            self._h2.close_connection()
            self._flush()
            if self._transport.get_write_buffer_size():
                self._transport.abort()
            else:
                self._transport.close()
        self._fail_all(httpx.ReadError("connection closed"))

    def abort(self) -> None:
        """Let its socket be closed now, whatever the peer may still have to say; it has been closed before."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -----------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it
        self._sockets[self] = self._loop.create_future()
        self._h2.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16,
            },
        )
        del self._h2.local_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL]  # a server's to say; some refuse it of us
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._liveness.heard()
        try:
            pieces = self._cutter.feed(data)
            for piece in pieces:
                if isinstance(piece, GoAway):
                    continue  # the last thing to be looked at: what comes with it still counts
                if isinstance(piece, bytes):
                    self._take(piece)
                elif not self._take_data(piece):
                    self._take(piece.frame)
            for goaway in (each for each in pieces if isinstance(each, GoAway)):
                self._on_goaway(goaway)
            self._flush()
        except (BadFrame, ProtocolError) as error:
            self._retire()
            self._fail_all(httpx.RemoteProtocolError(f"HTTP/2: {error}"))
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let every stream know."""
        if exc is not None:
            self._read_rest()
        self._liveness.stop()
        self._alarm.stop()
        self._retire()
        self._fail_all(httpx.ReadError(str(exc) if exc else "the server closed the connection"))
        lost = self._sockets.pop(self, None)
        if lost is not None:
            lost.set_result(None)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket has room again."""
        self._paused = False
        self._wake_all()

    def _take(self, frames: bytes) -> None:
        for event in self._h2.receive_data(frames):
            self._on_event(event)

    def _take_data(self, data: Data) -> bool:
        """Hand on a piece of an answer past `h2`, which would count it; whether that may be.

        Not where the length of the answer is told: `h2` compares it. Its windows only shrink by what it sees, so what
        it does not see is given back by frames of our own.
        """
        stream = self._streams.get(data.stream_id)
        if stream is None or stream.response is None or stream.ended or stream.has_length:
            return False
        payload = data.payload
        self._windows.passed(stream, len(payload))
        if payload:
            stream.pieces.append(payload)
            stream.wake()
        return True

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._on_data(event)
        elif isinstance(event, RemoteSettingsChanged):
            if not self.ready.done():
                self.ready.set_result(None)
            self._wake_all()
        elif isinstance(event, WindowUpdated):
            self._wake_all()
        elif isinstance(event, _OF_A_STREAM):
            self._on_stream_event(event)
        elif isinstance(event, Malformed):
            self._windows.seen(event.size)
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.fail(StreamFailed(f"no answer: {event.error}"))

    def _on_data(self, event: DataReceived) -> None:
        size = event.flow_controlled_length or 0
        self._windows.seen(size)
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        stream.uncredited += size
        if event.data:
            stream.pieces.append(event.data)
            stream.wake()

    def _on_stream_event(self, event: ResponseReceived | StreamEnded | StreamReset) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        if isinstance(event, ResponseReceived):
            if not stream.begin([(bytes(name), bytes(value)) for name, value in event.headers or ()]):
                with contextlib.suppress(ProtocolError):  # it may be over already
                    self._h2.reset_stream(stream.id, ErrorCodes.PROTOCOL_ERROR)
        elif isinstance(event, StreamEnded):
            stream.ended = True
        else:
            self._on_reset(stream, event.error_code)
        stream.wake()

    def _on_reset(self, stream: Stream, code: int | None) -> None:
        stream.sent = True  # or as good as: the peer wants no more of it, and there is nothing left to be reset
        reset = StreamFailed(f"the server reset the stream ({code_name(code)})")
        stream.fail(StreamRefused() if code == ErrorCodes.REFUSED_STREAM else reset)

    def _on_goaway(self, goaway: GoAway) -> None:
        self._retire()
        for stream in list(self._streams.values()):
            if stream.id > goaway.last_stream_id:
                stream.fail(StreamRefused(others_taken=goaway.last_stream_id > 0))
        if not self._streams:
            self.close()

    def _ping(self) -> None:
        self._h2.ping(_PING)
        self._flush()

    def _dead(self) -> None:
        """The peer answered no PING: there is nobody to say goodbye to."""
        self._retire()
        self._fail_all(httpx.ReadError("the server is gone: it answered no PING"))
        if self._transport is not None:
            self._transport.abort()

    def _read_rest(self) -> None:
        """Read what the peer said last: after a failed write asyncio reads no more, and whole answers may lie there."""
        if self._transport is None or self._transport.get_extra_info("ssl_object") is not None:
            return
        socket = self._transport.get_extra_info("socket")
        if not isinstance(socket, TransportSocket):  # of another loop, which may have closed it already
            return
        with contextlib.suppress(OSError), socket.dup() as rest:
            while data := rest.recv(_READ):
                self.data_received(data)

    def _send_room(self, stream: Stream) -> int:
        if self._paused:
            return 0
        return min(self._h2.local_flow_control_window(stream.id), self._h2.max_outbound_frame_size)

    def _alive(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _flush(self) -> None:
        self._write(self._h2.data_to_send())

    def _write(self, data: bytes) -> None:
        if data and self._alive() and self._transport is not None:
            self._transport.write(data)

    def _overdue_at(self, now: float) -> float | None:
        """Wake whoever waits in vain; when the next one's time is up."""
        waits = (stream.overdue_at(now) for stream in list(self._streams.values()))
        return min((until for until in waits if until is not None), default=None)

    def _retire(self) -> None:
        if not self._gone:
            self._gone = True
            self._on_gone(self)

    def _wake_all(self) -> None:
        for stream in self._streams.values():
            stream.wake()

    def _fail_all(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # retrieved: whoever waits sees it, and nobody is warned when no one does
        for stream in list(self._streams.values()):
            stream.fail(error)
