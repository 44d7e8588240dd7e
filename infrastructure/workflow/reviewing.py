"""What is kept of a review: a sentence for each file that the patch has, and a few risks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from agents.codegen import Review

MOST_RISKS = 5
_SENTENCE = 300


def notes_of(review: Review, paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """What changes in each file, in the order of the patch.

    A file that is not in the patch is left out, and so is one that nothing was said of.
    """
    said: dict[str, str] = {}
    for line in review.files:
        for path in sorted(paths, key=len, reverse=True):
            sentence = _after(line, path)
            if sentence:
                said.setdefault(path, _short(sentence))
                break
    return tuple((path, said[path]) for path in paths if path in said)


def risks_of(review: Review) -> tuple[str, ...]:
    """The first risks, each short."""
    return tuple(_short(each) for each in review.risks if each)[:MOST_RISKS]


def _after(line: str, path: str) -> str:
    """What a line says of a path that it begins with, however the two are parted; empty where it says nothing of it."""
    start = line.lstrip("-*` ").removeprefix("./")
    if not start.startswith(path):
        return ""
    rest = start[len(path) :]
    sentence = rest.lstrip("`*")
    parted = sentence.lstrip()
    if not parted.startswith((":", "-", "–", "—", "|", "=")):
        return ""
    return parted.lstrip(":-–—|=>` ").strip()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SENTENCE else f"{line[: _SENTENCE - 1]}…"
