"""Owns counting and cutting text into tokens, in the two ways that simulated models do it.

`bytes` imitates the tokenizer of the recorded models: a byte a token, but `th` and whole known words are
one each. `words` is near what a large model's tokenizer makes of English and code: about four bytes.
"""

import re
from collections.abc import Sequence
from typing import Protocol

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CONTROL = re.compile("(" + "|".join(re.escape(token) for token in CONTROL) + ")")
# What the llama-bpe pre-tokenizer cuts a text into before it merges.
_WORD = re.compile(
    r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|(?:[^\r\n\w]|_)?[^\W\d_]+|\d{1,3}"
    r"| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PIECE = re.compile(r" ?[A-Za-z]{1,7}|\d{1,3}|\n+| {2,}|[^\x00-\x7f]{1,2}|.", re.DOTALL)
_FIRST_KNOWN = 257
_TH = 256


class Tokenizer(Protocol):
    """Turns text into token ids and back."""

    def count(self, text: str) -> int:
        """How many tokens the text is."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of the text's tokens."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; unknown ones are left out."""
        ...

    def pieces(self, text: str) -> list[str]:
        """The text, cut where a model that says it would send its tokens."""
        ...


class ByteTokenizer:
    """Byte by byte, as in the recorded models, whose own words are one token each."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        self._known = {text: _FIRST_KNOWN + index for index, text in enumerate(known)}
        first_control = _FIRST_KNOWN + len(known)
        self._control = {text: first_control + index for index, text in enumerate(CONTROL)}
        self._texts = {number: text for text, number in (self._known | self._control).items()}

    def count(self, text: str) -> int:
        """How many tokens the text is."""
        if any(word in text for word in self._known):
            return len(self.encode(text))
        shorter = sum(text.count(token) * (len(token) - 1) for token in CONTROL)
        length = len(text) if text.isascii() else len(text.encode())
        return length - shorter - text.count("th")

    def encode(self, text: str) -> list[int]:
        """The ids of the text's tokens."""
        ids: list[int] = []
        for part in _CONTROL.split(text):
            if part in self._control:
                ids.append(self._control[part])
                continue
            for word in _WORD.findall(part):
                if word in self._known:
                    ids.append(self._known[word])
                else:
                    ids.extend(_with_merge(word.encode()))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; unknown ones are left out."""
        raw = b"".join(
            bytes([number]) if 0 <= number < _TH else b"th" if number == _TH else self._texts.get(number, "").encode()
            for number in ids
        )
        return raw.decode("utf-8", "replace")

    def pieces(self, text: str) -> list[str]:
        """The text, cut where a model that says it would send its tokens."""
        return list(text)


class WordTokenizer:
    """Short words with the space before them, numbers by three digits, the rest by characters."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._texts: list[str] = []

    def count(self, text: str) -> int:
        """How many tokens the text is."""
        return sum(1 for _ in _PIECE.finditer(text))

    def encode(self, text: str) -> list[int]:
        """The ids of the text's tokens."""
        return [self._id(piece) for piece in self.pieces(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; unknown ones are left out."""
        return "".join(self._texts[number] for number in ids if 0 <= number < len(self._texts))

    def pieces(self, text: str) -> list[str]:
        """The text, cut where a model that says it would send its tokens."""
        return _PIECE.findall(text)

    def _id(self, piece: str) -> int:
        number = self._ids.setdefault(piece, len(self._texts))
        if number == len(self._texts):
            self._texts.append(piece)
        return number


def _with_merge(word: bytes) -> list[int]:
    ids: list[int] = []
    position = 0
    while position < len(word):
        if word[position : position + 2] == b"th":
            ids.append(_TH)
            position += 2
        else:
            ids.append(word[position])
            position += 1
    return ids
