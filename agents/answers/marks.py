"""The marks of a search/replace edit and of a diff.

Owns their spelling. Of an edit: seven signs and a word as we write them; other lengths, other words and signs as models
do. Of a diff: `---` and `+++`, or the `*** Update File:` that some models were trained on.
"""

from __future__ import annotations

SEARCH_MARK = "<<<<<<< SEARCH"
DIVIDER = "======="
REPLACE_MARK = ">>>>>>> REPLACE"

SECTIONS = {"*** Update File:": "update", "*** Add File:": "add", "*** Delete File:": "delete"}
"""What opens a file's part of a patch of the second kind, and what is done with the file."""
PASSED_OVER = ("diff --git ", "index ", "new file mode", "deleted file mode", "similarity index", "***")
"""How the lines begin that stand before the hunks of a file and say nothing of its text."""

_LENGTHS = range(5, 10)
_MARK_LENGTHS = range(3, 21)
_SURE = 5  # fewer signs count with our own words only: `>>> new` is a line of a Python session
_MAX_MARK = 4_300  # a mark and a path behind it
# `HEAD` is left out: it opens a git conflict, which a file may hold.
_SEARCH_WORDS = frozenset({"SEARCH", "ORIGINAL", "OLD"})
_REPLACE_WORDS = frozenset({"REPLACE", "REPLACED", "REPLACEMENT", "UPDATED", "NEW", "END"})


def is_search_mark(line: str) -> bool:
    """Return whether the line opens an edit."""
    return _behind(line, "<-", "SEARCH", _SEARCH_WORDS) is not None


def behind_search_mark(line: str) -> str:
    """Return what stands behind the word of an opening mark, such as a path; with most models nothing does."""
    return _behind(line, "<-", "SEARCH", _SEARCH_WORDS) or ""


def is_replace_mark(line: str) -> bool:
    """Return whether the line closes an edit."""
    return _behind(line, ">+", "REPLACE", _REPLACE_WORDS) == ""


def is_divider(line: str) -> bool:
    """Return whether the line may part the searched text from its replacement."""
    bare = line.rstrip()
    return len(bare) in _LENGTHS and not bare.strip("=")


def opens_diff(line: str, following: str) -> bool:
    """Return whether a bare diff begins here, in the prose."""
    return (line.startswith("--- ") and following.startswith("+++ ")) or line.startswith(tuple(SECTIONS))


def is_diff_line(line: str) -> bool:
    """Return whether a line may belong to a diff that stands bare in the prose."""
    return not line or line.startswith((" ", "+", "-", "@@", "\\", "*** ", *PASSED_OVER))


def _behind(line: str, signs: str, ours: str, words: frozenset[str]) -> str | None:
    """Return what is left of a line behind a run of a sign and a word; None: it is no mark.

    The first of `signs` goes with each of the words, the second, which also opens the head of a diff, with ours only.
    """
    bare = line.strip()
    if not bare or bare[0] not in signs or len(bare) > _MAX_MARK:
        return None
    rest = bare.lstrip(bare[0])
    length = len(bare) - len(rest)
    word, _, behind = rest.replace(":", " ", 1).strip().partition(" ")
    word = word.strip("<>-+").upper()
    sure = length >= _SURE and bare[0] == signs[0]
    if length not in _MARK_LENGTHS or word not in (words if sure else {ours}):
        return None
    behind = behind.strip(" <>-+:")
    return behind if not behind or " " not in behind or behind.startswith(("line", "(")) else None
