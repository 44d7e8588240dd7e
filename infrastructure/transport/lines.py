r"""NDJSON framing: bytes in, lines out.

Owns the splitter. It splits on the byte `\n` and nothing else: a token may hold U+0085 or U+2028 as they are, where
text-mode line readers would cut.
"""

from __future__ import annotations


class LineTooLong(ValueError):
    """A line outgrew the limit before it ended."""


class LineSplitter:
    """Cuts a byte stream into lines, in time linear in its length however it is cut into pieces.

    An unfinished line is kept as the list of its pieces, so a long line is joined once, when it ends.
    """

    __slots__ = ("_held", "_limit", "_pieces")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends; empty lines are left out.

        Raises:
            LineTooLong: a line is longer than the limit, ended or not.
        """
        end = data.find(b"\n")
        if end < 0:
            self._hold(data)
            return []
        if end == len(data) - 1 and not self._pieces and end <= self._limit and data.startswith(b"{"):
            return [data[:end]]  # a token's own segment, as nearly always
        first, *rest = data.split(b"\n")
        if self._pieces:
            self._hold(first)
            first = self.flush()
        lines = [first, *rest[:-1]]
        if len(data) > self._limit and any(len(line) > self._limit for line in lines):
            raise LineTooLong
        self._hold(rest[-1])
        return [line for line in lines if line and not line.isspace()]

    def flush(self) -> bytes:
        """The last line, which nothing ended; empty when there is none."""
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return line

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held += len(piece)
        if self._held > self._limit:
            raise LineTooLong
        self._pieces.append(piece)
