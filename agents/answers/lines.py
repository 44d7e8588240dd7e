"""Where lines stand in a file, without loss of how the file writes its line ends.

Owns `Lines` (a file as texts and ends apart) and the linear search of one run of lines in another.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Lines:
    r"""A text taken apart: `str(Lines.of(text)) == text` for every text.

    Attributes:
        bom: The byte order mark or nothing.
        texts: The lines without their ends.
        ends: `\\n` or `\\r\\n` for each line; empty for a last line that has none.
    """

    bom: str
    texts: tuple[str, ...]
    ends: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Lines:
        """Take a text apart."""
        bom = _BOM if text.startswith(_BOM) else ""
        pieces = text.removeprefix(_BOM).split("\n")
        last = pieces.pop()
        texts = [piece.removesuffix("\r") for piece in pieces]
        ends = ["\r\n" if piece.endswith("\r") else "\n" for piece in pieces]
        if last:
            texts.append(last)
            ends.append("")
        return cls(bom, tuple(texts), tuple(ends))

    def __str__(self) -> str:
        return self.bom + "".join(text + end for text, end in zip(self.texts, self.ends, strict=True))

    @property
    def newline(self) -> str:
        """The line end that most lines have."""
        return "\r\n" if 2 * self.ends.count("\r\n") > len(self.ends) else "\n"

    def replaced(self, start: int, stop: int, new: Sequence[str]) -> Lines:
        """Return the text with lines `start` to `stop` (excluded) replaced; all other lines keep their ends."""
        ends = [self.newline] * len(new)
        tail = self.ends[stop:]
        if stop == len(self.texts) and stop > start and self.ends[-1] == "" and ends:
            ends[-1] = ""
        head = list(self.ends[:start])
        if start == len(head) and head and head[-1] == "" and new:
            head[-1] = self.newline  # lines added behind a last line without an end
        return Lines(self.bom, (*self.texts[:start], *new, *self.texts[stop:]), (*head, *ends, *tail))

    def rewritten(self, content: str) -> Lines:
        """Return other content in the manner of this text: its byte order mark, its line ends."""
        if not self.texts:
            return Lines.of(content)
        new, newline = Lines.of(content), self.newline
        ends = tuple(newline if end else "" for end in new.ends)
        return Lines(self.bom, new.texts, ends)


def occurrences(needle: Sequence[str], hay: Sequence[str], key: Callable[[str], str] = str) -> Iterator[int]:
    """Yield each index at which the lines `needle` stand in the lines `hay`, compared by `key`. Needle is not empty.

    The search is one of text, which CPython does in linear time; comparing line by line at every index is not.
    """
    keyed = [key(line) for line in hay]
    text = "\n" + "".join(f"{line}\n" for line in keyed)
    wanted = "\n" + "".join(f"{key(line)}\n" for line in needle)
    starts = list(accumulate((len(line) + 1 for line in keyed), initial=0))
    position = text.find(wanted)
    while position >= 0:
        yield bisect_right(starts, position) - 1
        position = text.find(wanted, position + 1)
