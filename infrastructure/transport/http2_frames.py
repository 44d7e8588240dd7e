"""Cutting HTTP/2 bytes into frames, to take GOAWAY out.

Owns one workaround: `h2` takes a connection for closed at GOAWAY, though RFC 9113 (6.8) lets the streams up to the
named one finish. So GOAWAY never reaches it; the connection acts on it itself.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEADER = 9
_GOAWAY = 7
_LONGEST = 1 << 14
"""The longest frame a peer may send us (SETTINGS_MAX_FRAME_SIZE is left at its default)."""


class BadFrame(ValueError):
    """The peer does not speak HTTP/2."""


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer takes no new streams; those up to `last_stream_id` may still be answered."""

    last_stream_id: int
    error_code: int


class FrameCutter:
    """Splits what arrives into whole frames for `h2`, and GOAWAY frames for us."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> tuple[bytes, list[GoAway]]:
        """The whole frames so far without GOAWAY, and the GOAWAY frames.

        Raises:
            BadFrame: a frame is longer than any may be, as when the peer speaks HTTP/1.1.
        """
        buffer = self._buffer
        buffer += data
        kept = bytearray()
        goaways: list[GoAway] = []
        start = 0
        while len(buffer) - start >= _HEADER:
            length = int.from_bytes(buffer[start : start + 3], "big")
            if length > _LONGEST:
                raise BadFrame(_what(bytes(buffer[start : start + 16])))
            end = start + _HEADER + length
            if end > len(buffer):
                break
            if buffer[start + 3] == _GOAWAY and length >= 8:
                goaways.append(_goaway(buffer[start + _HEADER : end]))
            else:
                kept += buffer[start:end]
            start = end
        del buffer[:start]
        return bytes(kept), goaways


def _goaway(payload: bytearray) -> GoAway:
    return GoAway(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF, int.from_bytes(payload[4:8], "big"))


def _what(start: bytes) -> str:
    return "the server speaks HTTP/1.1, not HTTP/2" if start.startswith(b"HTTP/1") else f"not HTTP/2: {start!r}"
