"""Owns the HTTP/2 face of a simulated server: h2c with prior knowledge, as a proxy before Ollama speaks it.

Streams are answered side by side; a client that resets one cancels that request and no other. What goes wrong with the
connection is told by `Http2Settings`, what goes wrong with a request by its toxics.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame, PingFrame

from infrastructure.simulator.ending import Endable
from infrastructure.simulator.exchange import Handler, Header
from infrastructure.simulator.http2_stream import Http2Stream
from infrastructure.simulator.settings import Http2Settings

_TEXT = H2Configuration(client_side=False, header_encoding="utf-8")


class _Protocol(H2Connection):
    """h2's state of a connection, which can be told to leave PINGs unanswered."""

    mute = False

    def _receive_ping_frame(self, frame: PingFrame) -> tuple[list[Frame], list[Event]]:
        frames, events = super()._receive_ping_frame(frame)
        return ([] if self.mute else frames), events


class Http2Connection(Endable):
    """One connection and its streams."""

    def __init__(
        self,
        handler: Handler,
        fixed: Sequence[Header],
        tasks: set[asyncio.Task[None]],
        on_change: Callable[["Http2Connection", bool], None],
        settings: Http2Settings,
    ) -> None:
        super().__init__()
        self.paused = False
        self._handler = handler
        self._fixed = fixed
        self._tasks = tasks
        self._on_change = on_change
        self._settings = settings
        self._h2 = _Protocol(_TEXT)
        self._streams: dict[int, Http2Stream] = {}
        self._served = 0
        self._last = 0
        """The highest stream that was taken."""
        self._going = False

    # ------------------------------------------------------------------ asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: greet it."""
        self._transport = cast("asyncio.Transport", transport)
        self._on_change(self, True)
        self._h2.local_settings = Settings(client=False)
        self._h2.initiate_connection()
        self.change(self._settings)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self.flush()
            self.close()
            return
        # What a client has already given up is not begun: h2 lets nothing be said on it any more.
        gone = {event.stream_id for event in events if isinstance(event, StreamReset)}
        for event in events:
            if not (isinstance(event, RequestReceived | StreamEnded) and event.stream_id in gone):
                self._take(event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and every request on it."""
        self._on_change(self, False)
        self._transport = None
        self._leave(list(self._streams.values()))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._pause(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._pause(False)

    # -------------------------------------------------------------------------- what a test says

    def change(self, settings: Http2Settings) -> None:
        """Behave so from now on; limits bind the client once it has acknowledged them."""
        self._settings = settings
        self._h2.mute = not settings.answers_pings
        self._h2.update_settings({**_values(settings)})
        self.flush()

    def go_away(self, *, abrupt: bool) -> None:
        """Take no further streams: those that were taken are answered, or broken off at once."""
        if self._going or self._transport is None:
            return
        self._going = True
        self.flush()
        code = ErrorCodes.INTERNAL_ERROR if abrupt else ErrorCodes.NO_ERROR
        self._transport.write(GoAwayFrame(0, last_stream_id=self._last, error_code=code).serialize())
        if abrupt:
            self.close()
        else:
            self._close_when_done()

    # --------------------------------------------------------------------------- for the streams

    def flush(self) -> None:
        """Send what h2 has made."""
        data = self._h2.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def head(self, stream: Http2Stream, headers: Sequence[Header]) -> None:
        """The head of an answer."""
        if stream.id in self._streams:
            self._h2.send_headers(stream.id, list(headers))
            self.flush()

    def pump(self, stream: Http2Stream) -> None:
        """Send of an answer what the client's windows allow, and its end once all has gone."""
        if stream.id not in self._streams:
            return
        while stream.unsent and (size := self._room(stream)):
            self._h2.send_data(stream.id, bytes(stream.unsent[:size]))
            del stream.unsent[:size]
        if stream.complete and not stream.unsent:
            self._h2.end_stream(stream.id)
            self._finish(stream, ErrorCodes.NO_ERROR if not stream.whole_request else None)
        self.flush()
        stream.check_fullness()

    def reset_stream(self, stream: Http2Stream, code: ErrorCodes) -> None:
        """Break one answer off."""
        if stream.id in self._streams:
            self._finish(stream, code)
            self.flush()
            self._leave([stream])

    # --------------------------------------------------------------------------------- events

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(number)):
                self._begin(number, event)
            case DataReceived(stream_id=int(number)):
                self._take_body(number, event)
            case StreamEnded(stream_id=int(number)):
                self._serve(number)
            case StreamReset(stream_id=int(number)):
                if stream := self._streams.pop(number, None):
                    self._leave([stream])
                    self._close_when_done()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in list(self._streams.values()):
                    self.pump(stream)
            case ConnectionTerminated():
                self.close()
            case _:
                pass

    def _begin(self, number: int, event: RequestReceived) -> None:
        if self._going:
            return  # not taken: GOAWAY named a lower stream
        headers = [(str(name), str(value)) for name, value in event.headers or ()]
        stream = Http2Stream(number, self, headers)
        over = len(self._streams) >= self._settings.max_streams
        self._streams[number], self._last = stream, number
        if over:
            stream.refuse()
            return
        status = self._settings.early_status
        if status is not None and event.stream_ended is None:
            stream.answer_early(status)

    def _take_body(self, number: int, event: DataReceived) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            stream.body += event.data or b""
        if length := event.flow_controlled_length:
            self._h2.acknowledge_received_data(length, number)

    def _serve(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.whole_request = True
        exchange = stream.exchange_for(self._fixed, reused=self._served > 0)
        self._served += 1
        work = self._handler(exchange)
        if work is not None:
            stream.task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(stream.task)
            stream.task.add_done_callback(self._ended)
        every = self._settings.goaway_every
        if every is not None and self._served >= every:
            self.go_away(abrupt=self._settings.abrupt)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A request that ends in an error of the simulator's own must not look like a hang."""
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.abort()
            raise task.exception() or AssertionError

    # --------------------------------------------------------------------------------- streams

    def _room(self, stream: Http2Stream) -> int:
        window = self._h2.local_flow_control_window(stream.id)
        return max(0, min(window, self._h2.max_outbound_frame_size, len(stream.unsent)))

    def _finish(self, stream: Http2Stream, code: ErrorCodes | None) -> None:
        """Forget a stream, reset where its client still sends or must be told."""
        del self._streams[stream.id]
        if code is not None:
            self._h2.reset_stream(stream.id, code)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self._going and not self._streams:
            self.flush()
            self.close()

    def _leave(self, streams: Iterable[Http2Stream]) -> None:
        for stream in streams:
            self._streams.pop(stream.id, None)
            stream.leave()

    def _pause(self, paused: bool) -> None:
        self.paused = paused
        for stream in list(self._streams.values()):
            if stream.exchange is not None:
                stream.exchange.pause(paused)


def _values(settings: Http2Settings) -> dict[SettingCodes, int]:
    return {
        SettingCodes.MAX_CONCURRENT_STREAMS: settings.max_streams,
        SettingCodes.INITIAL_WINDOW_SIZE: settings.window,
    }
