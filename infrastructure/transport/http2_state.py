"""What `h2` knows of a connection, but that a malformed answer ends its own stream only.

Owns one correction. To `h2` any defect of a peer's ends the connection, and with it every other stream; RFC 9113
(8.1.1) has a malformed message end its stream. So an answer that is not as long as it says, or whose head is none, is
taken for that; what upsets the connection itself (compression, flow control, frames of no stream) still ends it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import InvalidBodyLengthError, ProtocolError
from hpack.exceptions import HPACKError
from hyperframe.frame import DataFrame, HeadersFrame

if TYPE_CHECKING:
    from hyperframe.frame import Frame


class Malformed(Event):
    """An answer is none; its stream is reset."""

    def __init__(self, stream_id: int, size: int, error: ProtocolError) -> None:
        self.stream_id = stream_id
        self.size = size
        """Bytes that the frame took from the connection's window."""
        self.error = error


class ClientState(H2Connection):
    """As its base, with the correction."""

    def _receive_frame(self, frame: Frame) -> list[Event]:
        try:
            return super()._receive_frame(frame)
        except ProtocolError as error:
            if not self._is_of_its_stream(frame, error):
                raise
            with contextlib.suppress(ProtocolError):  # the frame may have ended it, and then there is nothing to reset
                self.reset_stream(frame.stream_id, ErrorCodes.PROTOCOL_ERROR)
            size = frame.flow_controlled_length if isinstance(frame, DataFrame) else 0
            return [Malformed(frame.stream_id, size, error)]

    def _is_of_its_stream(self, frame: Frame, error: ProtocolError) -> bool:
        if self.state_machine.state is ConnectionState.CLOSED:
            return False
        if isinstance(error, InvalidBodyLengthError):
            return True
        # Its own class for what is wrong with a head, and subclasses for all else; but for compression, by the cause.
        is_head = isinstance(frame, HeadersFrame) and frame.stream_id in self.streams
        return is_head and type(error) is ProtocolError and not isinstance(error.__cause__, HPACKError)
