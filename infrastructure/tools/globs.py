"""Globs over paths of a workspace. Pure; linear in the length of the path for each part of the glob.

Owns their meaning: `*` and `?` stay within one part of a path, `**` is any number of parts, none included; a glob
without a slash is of the file's name, in whatever folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

MOST_CHARACTERS = 200


def matches(path: str, glob: str) -> bool:
    """Whether a glob is of this path. `{py,md}` is not understood; a glob that is too long is of no path."""
    glob = glob.removeprefix("./")
    if len(glob) > MOST_CHARACTERS:
        return False
    parts, wanted = path.split("/"), glob.split("/")
    if len(wanted) == 1:
        return _part(parts[-1], glob)
    # Which beginnings of the path the glob's first parts can be of.
    reached = {0}
    for part in wanted:
        if part == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and _part(parts[at], part)}
    return len(parts) in reached


def matches_any(path: str, globs: Iterable[str]) -> bool:
    """Whether one of them is."""
    return any(matches(path, each) for each in globs)


def _part(name: str, glob: str) -> bool:
    # Two stars in a row say no more than one, and fnmatch tries every way to share a name among many of them.
    while "**" in glob:
        glob = glob.replace("**", "*")
    return glob.count("*") <= 4 and fnmatchcase(name, glob)
