"""Cutting HTTP/2 bytes into frames, to take some past `h2`.

Owns two workarounds. `h2` takes a connection for closed at GOAWAY, though RFC 9113 (6.8) lets the streams up to the
named one finish: so GOAWAY never reaches it; the connection acts on it itself. And it needs as much time for a frame of
DATA as all else that becomes of a token (measured): so a plain one, which changes nothing but a window, is handed over
as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEADER = 9
_DATA = 0
_GOAWAY = 7
_STREAM = 0x7FFFFFFF
_LONGEST = 1 << 14
"""The longest frame a peer may send us (SETTINGS_MAX_FRAME_SIZE is left at its default)."""


class BadFrame(ValueError):
    """The peer does not speak HTTP/2."""


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer takes no new streams; those up to `last_stream_id` may still be answered."""

    last_stream_id: int
    error_code: int


@dataclass(slots=True)
class Data:
    """A frame of DATA without padding, which does not end its stream."""

    stream_id: int
    frame: bytes
    """All of it."""

    @property
    def payload(self) -> bytes:
        """What it brings."""
        return self.frame[_HEADER:]


class FrameCutter:
    """Splits what arrives into frames of DATA, GOAWAY, and runs of all others for `h2`."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes | Data | GoAway]:
        """The whole frames so far, in their order.

        Raises:
            BadFrame: a frame is longer than any may be, as when the peer speaks HTTP/1.1.
        """
        held = self._held + data if self._held else data
        found: list[bytes | Data | GoAway] = []
        start = run = 0
        while len(held) - start >= _HEADER:
            length = int.from_bytes(held[start : start + 3], "big")
            if length > _LONGEST:
                raise BadFrame(_what(held[start : start + 16]))
            end = start + _HEADER + length
            if end > len(held):
                break
            special = _special(held, start, end)
            if special is not None:
                if run < start:
                    found.append(held[run:start])
                found.append(special)
                run = end
            start = end
        if run < start:
            found.append(held[run:start])
        self._held = held[start:]
        return found


def _special(held: bytes, start: int, end: int) -> Data | GoAway | None:
    """The frame, if it is one that goes past `h2`."""
    kind = held[start + 3]
    if kind == _DATA and not held[start + 4]:
        return Data(int.from_bytes(held[start + 5 : start + 9], "big") & _STREAM, held[start:end])
    if kind == _GOAWAY and end - start >= _HEADER + 8:
        return _goaway(held[start + _HEADER : end])
    return None


def _goaway(payload: bytes) -> GoAway:
    return GoAway(int.from_bytes(payload[:4], "big") & _STREAM, int.from_bytes(payload[4:8], "big"))


def _what(start: bytes) -> str:
    return "the server speaks HTTP/1.1, not HTTP/2" if start.startswith(b"HTTP/1") else f"not HTTP/2: {start!r}"
