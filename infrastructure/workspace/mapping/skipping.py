"""Which files are not parsed, and why.

Owns the bounds of one file and the signs of text that nobody wrote by hand. A skipped file is still in the map by its
path.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

PARSED_BYTES = 256 << 10
"""The largest file that is parsed: 8,000 lines of code are less."""
_HEAD = 2 << 10
_LINE = 2_000
_AVERAGE_LINE = 250

_FOLDERS = frozenset(
    {"node_modules", "vendor", "vendored", "_vendor", "third_party", "bower_components", "site-packages"}
)
_NAMES = re.compile(
    r"(?:\.min\.[cm]?js|[-.]bundle\.js|_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.g\.(?:cs|dart))$", re.IGNORECASE
)
_MARKS = re.compile(
    rb"@generated\b|\bDO NOT EDIT\b|\bautomatically generated\b|\bauto-?generated (?:by|from|file)\b", re.IGNORECASE
)


def is_foreign(path: str) -> bool:
    """Whether a path says that the file was made by a program, or copied in from another project."""
    return bool(_NAMES.search(path)) or not _FOLDERS.isdisjoint(PurePosixPath(path).parts[:-1])


def is_source(content: bytes) -> bool:
    """Whether a file's bytes are text that a person wrote: no NUL, no mark of a generator, no endless lines."""
    if b"\0" in content or _MARKS.search(content[:_HEAD]):
        return False
    lines = content.count(b"\n") + 1
    return len(content) <= _LINE or len(content) / lines <= _AVERAGE_LINE
