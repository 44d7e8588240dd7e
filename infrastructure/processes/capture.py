"""The bounded memory of a stream: its head, its tail, and how much lay between."""

FLOOD_FACTOR = 16
"""A stream may be this many times as long as what is kept of it before it counts as a flood."""


class Capture:
    """The head and the tail of a stream, in memory bounded whatever is written."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head_room = limit // 2
        self._tail_room = limit - self._head_room
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    @property
    def cut(self) -> bool:
        """Whether the middle was left out."""
        return self._total > self._limit

    @property
    def flooded(self) -> bool:
        """Whether nobody writes that much on purpose."""
        return self._total > self._limit * FLOOD_FACTOR

    def add(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self._total += len(data)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._tail_room:
            del self._tail[: -self._tail_room or None]

    def render(self) -> bytes:
        """All of it, or head, a line saying how much was left out, and tail."""
        if not self.cut:
            return bytes(self._head + self._tail)
        tail = self._tail[-self._tail_room :] if self._tail_room else b""
        left_out = self._total - len(self._head) - len(tail)
        return bytes(self._head) + b"\n[... %d bytes left out ...]\n" % left_out + bytes(tail)
