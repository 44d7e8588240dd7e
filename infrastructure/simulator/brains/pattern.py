"""Owns strings that match a simple regular expression: literals, classes, groups, choices, repeats.

A string matches by the way it is made, so it is never searched: that can take for ever. What is not understood is
refused.
"""

import functools
import random
import re
import string

_TRIES = 200
_MORE = 3
"""How many times beyond the least an open repeat (`*`, `+`, `{2,}`) is taken."""
_MOST_ATOMS = 100_000
"""Of all tries together: what takes more is refused, since nobody else is served meanwhile."""
_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " "}
_REPEAT = re.compile(r"\{(?=[\d,])(\d*)(,?)(\d*)\}")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_MARKS = {"^": "the beginning", "$": "the end"}
"""What stands among the letters of a string for an anchor, where the string has to begin or end."""


class SchemaError(Exception):
    """A schema has no instance, or says what is not understood here."""


class PatternError(SchemaError):
    """The pattern has what is not understood here, or no string of that length was found."""


def matching(pattern: str, rng: random.Random, least: int, most: int) -> str:
    """A string that the pattern matches, of `least` to `most` characters.

    Raises:
        PatternError: none was found.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise PatternError(str(error)) from error
    left = _MOST_ATOMS
    for attempt in range(_TRIES):
        reader = _Reader(pattern, rng, more=_MORE + attempt * least // 16, most=left)
        letters = reader.choice()
        left = reader.left
        text = _text(letters)
        if text is not None and least <= len(text) <= most:
            return text
    raise PatternError(f"no string of {least} to {most} characters found for {pattern!r}")


def _text(letters: list[str]) -> str | None:
    """The string; None if it does not begin and end where its marks say."""
    begin, end = _MARKS["^"], _MARKS["$"]
    text = "".join(letter for letter in letters if letter not in (begin, end))
    at = 0
    for letter in letters:
        if (letter == begin and at) or (letter == end and at < len(text)):
            return None
        at += letter not in (begin, end)
    return text


@functools.lru_cache(64)
def _outside(negated: str) -> str:
    """Letters and digits that a negated class matches."""
    return "".join(letter for letter in string.ascii_letters + string.digits if re.match(negated, letter))


class _Reader:
    """Reads a pattern from left to right and writes a match as it goes."""

    def __init__(self, pattern: str, rng: random.Random, more: int, most: int) -> None:
        self.left = most
        """Atoms that may still be written."""
        self._pattern = pattern
        self._rng = rng
        self._more = more
        self._at = 0

    def choice(self) -> list[str]:
        """Alternatives up to the end or a closing bracket: one of them."""
        options = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence())
        return self._rng.choice(options)

    def _sequence(self) -> list[str]:
        out: list[str] = []
        while self._peek() not in ("", "|", ")"):
            start = self._at
            text = self._atom()
            end = self._at
            times = self._times()
            after = self._at
            if times == 0:
                continue
            out += text
            for _ in range(times - 1):
                self._at = start
                out += self._atom()
                if self._at != end:
                    raise PatternError(self._pattern)
            self._at = after
        return out

    def _atom(self) -> list[str]:
        self.left -= 1
        if self.left < 0:
            raise PatternError(f"takes too long: {self._pattern!r}")
        letter = self._next()
        if letter in _MARKS:
            return [_MARKS[letter]]
        if letter == "(":
            return self._group()
        return [self._letter(letter)]

    def _letter(self, letter: str) -> str:
        if letter in "*+?":  # behind a repeat: it gives nothing back
            raise PatternError(f"possessive repeats are not understood: {self._pattern!r}")
        if letter == ".":
            return self._rng.choice(string.ascii_lowercase)
        if letter == "[":
            return self._rng.choice(self._class())
        if letter == "\\":
            return self._rng.choice(self._escaped())
        return letter

    def _group(self) -> list[str]:
        if self._pattern.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise PatternError(f"look-arounds are not understood: {self._pattern!r}")
        text = self.choice()
        if self._next() != ")":
            raise PatternError(self._pattern)
        return text

    def _escaped(self) -> str:
        letter = self._next()
        if letter in "bB":
            raise PatternError(f"word boundaries are not understood: {self._pattern!r}")
        if letter in ("D", "W", "S"):
            return "".join(c for c in string.ascii_letters + "-" if c not in _CLASSES[letter.lower()]) or "-"
        if letter not in _CLASSES and letter not in _CONTROLS and letter.isalnum() and letter.isascii():
            raise PatternError(f"\\{letter} is not understood: {self._pattern!r}")
        return _CLASSES.get(letter, _CONTROLS.get(letter, letter))

    def _class(self) -> str:
        start = self._at - 1
        negated = self._peek() == "^"
        self._at += negated
        letters: list[str] = []
        while self._peek() != "]" or not letters:
            letter = self._next()
            members = self._escaped() if letter == "\\" else letter
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._next()
                last = self._escaped() if last == "\\" else last
                members = "".join(map(chr, range(ord(members), ord(last) + 1)))
            letters.append(members)
        self._at += 1
        chosen = _outside(self._pattern[start : self._at]) if negated else "".join(letters)
        if not chosen:
            raise PatternError(f"an empty class in {self._pattern!r}")
        return chosen

    def _times(self) -> int:
        mark = self._peek()
        repeat = _REPEAT.match(self._pattern, self._at)
        if mark and mark in "*+?":
            self._at += 1
            least, most = {"*": (0, self._more), "+": (1, 1 + self._more), "?": (0, 1)}[mark]
        elif repeat:
            self._at = repeat.end()
            least = int(repeat[1] or 0)
            most = int(repeat[3]) if repeat[3] else least + (self._more if repeat[2] else 0)
        else:
            return 1
        self._at += self._peek() == "?"
        return self._rng.randint(least, most)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._peek()
        if not letter:
            raise PatternError(f"the pattern ends early: {self._pattern!r}")
        self._at += 1
        return letter
