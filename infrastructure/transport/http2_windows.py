"""What a peer may still send on one HTTP/2 connection.

Owns both accounts of that: `h2`'s, of the frames it sees, and ours, of the DATA that goes past it. Each shrinks by what
it counts and is given back by itself, so that neither is ever larger than what the peer knows of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperframe.frame import WindowUpdateFrame

from infrastructure.transport.http2_frames import BadFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from h2.connection import H2Connection

    from infrastructure.transport.http2_stream import Stream

STREAM_WINDOW = 1 << 20
"""Bytes a stream may hold unread; a slow reader stops its own stream here and nobody else's."""
CONNECTION_WINDOW = 1 << 24
"""Given back as bytes arrive, read or not, so that it limits no one."""


class Windows:
    """Of one connection. `write` sends bytes of our own; what `h2` has to say waits until it is flushed."""

    def __init__(self, h2: H2Connection, write: Callable[[bytes], None]) -> None:
        self._h2 = h2
        self._write = write
        self._uncredited = 0
        self._uncounted = 0

    def seen(self, size: int) -> None:
        """`h2` has counted so many bytes, of whatever stream."""
        self._uncredited += size
        if self._uncredited >= CONNECTION_WINDOW // 8:
            self._h2.increment_flow_control_window(self._uncredited)
            self._uncredited = 0

    def passed(self, stream: Stream, size: int) -> None:
        """So many bytes of a stream have gone past `h2`.

        Raises:
            BadFrame: the stream had no room for them.
        """
        stream.uncounted += size
        if stream.uncounted > STREAM_WINDOW:
            raise BadFrame("the peer sends more than it may")
        self._uncounted += size
        if self._uncounted >= CONNECTION_WINDOW // 8:
            self._credit(0, self._uncounted)
            self._uncounted = 0

    def read(self, stream: Stream) -> bool:
        """What had arrived of a stream has been read: give that back; whether `h2` is to be flushed for it."""
        if stream.uncounted >= STREAM_WINDOW // 4:
            self._credit(stream.id, stream.uncounted)
            stream.uncounted = 0
        if stream.uncredited < STREAM_WINDOW // 4:
            return False
        self._h2.increment_flow_control_window(stream.uncredited, stream.id)
        stream.uncredited = 0
        return True

    def _credit(self, stream_id: int, size: int) -> None:
        self._write(WindowUpdateFrame(stream_id, window_increment=size).serialize())
