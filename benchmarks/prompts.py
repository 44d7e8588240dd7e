"""The text of a prompt that a simulated server takes for so many tokens, and finds in its cache where it should."""

from __future__ import annotations

import random
from string import ascii_lowercase

from benchmarks.virtual import Request


def _word(name: str, letters: int) -> str:
    """A word of its own for each name, which the simulated models count as one token with its space."""
    return " " + "".join(random.Random(name).choices(ascii_lowercase, k=letters))


def prompt_of(request: Request, number: int) -> str:
    """A prompt of as many tokens as the request says, of which the first are those of all with its prefix."""
    shared = request.shared if request.prefix else 0
    return _word(str(request.prefix), 6) * shared + _word(f"own {number}", 7) * (request.prompt - shared)
