"""The three marks of a search/replace edit.

Owns their spelling: seven signs as we write them, five to nine as models do.
"""

from __future__ import annotations

SEARCH_MARK = "<<<<<<< SEARCH"
DIVIDER = "======="
REPLACE_MARK = ">>>>>>> REPLACE"

_LENGTHS = range(5, 10)


def is_search_mark(line: str) -> bool:
    """Return whether the line opens an edit."""
    bare = line.strip()
    rest = bare.lstrip("<")
    return len(bare) - len(rest) in _LENGTHS and rest.removesuffix(">").strip().upper() == "SEARCH"


def is_replace_mark(line: str) -> bool:
    """Return whether the line closes an edit."""
    bare = line.strip()
    rest = bare.lstrip(">")
    return len(bare) - len(rest) in _LENGTHS and rest.strip().upper() == "REPLACE"


def is_divider(line: str) -> bool:
    """Return whether the line may part the searched text from its replacement."""
    bare = line.rstrip()
    return len(bare) in _LENGTHS and not bare.strip("=")
