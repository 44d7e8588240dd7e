"""A patch in parts that can be taken one by one.

Owns splitting a unified diff of git's into numbered hunks, and joining some of them into a patch that `git apply`
takes. Pure. A new, a deleted, a renamed file, and a change of a file's mode, are one hunk each: half of one makes no
sense.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

_RANGES = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@(.*)", re.DOTALL)
_WHOLE = ("new file mode ", "deleted file mode ", "rename ", "copy ", "similarity ", "GIT binary ", "Binary files ")
_MODES = ("old mode ", "new mode ")
_NAMES = (40, 64)
"""Digits of a whole name of a content, by SHA-1 and by SHA-256."""
_ESCAPE = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}


class UnreadablePatch(Exception):
    """The text is no patch as git writes it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the patch cannot be split: {reason}")
        self.reason = reason


class NoSuchHunk(Exception):
    """A hunk was asked for that is not there, or in words that name none."""

    def __init__(self, asked: str, most: int) -> None:
        super().__init__(f"there is no hunk {asked}")
        self.asked = asked
        self.most = most


@dataclass(frozen=True, slots=True)
class Hunk:
    """A part of a patch.

    Attributes:
        number: Counted over the whole patch, from 1.
        path: Of the file that it changes, after the change.
        head: The lines before the file's first hunk, with their ends.
        body: Its own lines, with their ends; the whole of a new or deleted file, empty for a change of mode.
        kind: What it is.
        span: Old start, old length, new start, new length, of a hunk of lines.
    """

    number: int
    path: str
    head: tuple[str, ...]
    body: tuple[str, ...]
    kind: str = "lines"
    span: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def text(self) -> str:
        """What it changes, for a person to read."""
        modes = (line for line in self.head if line.startswith(_MODES))
        return "".join(modes if self.kind == "mode" else self.body or self.head[1:])

    @property
    def counts(self) -> tuple[int, int]:
        """Lines added and removed."""
        return (
            sum(line.startswith("+") for line in self.body[1:]),
            sum(line.startswith("-") for line in self.body[1:]),
        )


def split_patch(text: str) -> tuple[Hunk, ...]:
    """The hunks of a patch, in its order.

    Raises:
        UnreadablePatch: it is not one that git has written.
    """
    lines = [line for line in re.split(r"(?<=\n)", text) if line]
    hunks: list[Hunk] = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith("diff --git "):
            raise UnreadablePatch(f"line {at + 1} belongs to no file")
        head, bodies, at = _file(lines, at)
        hunks += _hunks_of(head, bodies, len(hunks) + 1)
    return tuple(hunks)


def count_lines(text: str) -> tuple[int, int]:
    """Lines that a patch adds and removes; none of one that cannot be read, as no count is worth losing a patch."""
    try:
        counts = [hunk.counts for hunk in split_patch(text)]
    except UnreadablePatch:
        return 0, 0
    return sum(added for added, _ in counts), sum(removed for _, removed in counts)


def join_patch(hunks: Sequence[Hunk], chosen: Collection[int]) -> str:
    """The patch of some hunks: what the file would be with these changes alone."""
    parts: list[str] = []
    for group in _by_file(hunks):
        taken = [each for each in group if each.number in chosen]
        if taken:
            parts += _joined(group, taken)
    return "".join(parts)


def made_by(hunks: Sequence[Hunk]) -> dict[str, str | None]:
    """Git's name of each file's content after the patch, None where it is deleted; only where the patch tells it.

    It does where the names are whole (`--full-index`) and all hunks of the file are there.
    """
    made: dict[str, str | None] = {}
    for hunk in hunks:
        index = next((line for line in hunk.head if line.startswith("index ")), "")
        name = index.removeprefix("index ").partition("..")[2].split(" ")[0].strip()
        if len(name) in _NAMES:
            made[hunk.path] = name if name.strip("0") else None
    return made


def read_numbers(text: str, most: int) -> tuple[int, ...]:
    """The numbers of a list such as `1,3-5`, in order.

    Raises:
        NoSuchHunk: one is no number of a hunk.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part, re.ASCII)
        if match is None:
            raise NoSuchHunk(repr(part.strip()), most)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= most:
            raise NoSuchHunk(part.strip(), most)
        chosen.update(range(first, last + 1))
    return tuple(sorted(chosen))


def _file(lines: Sequence[str], at: int) -> tuple[list[str], list[list[str]], int]:
    """A file's head, its hunks, and where the next file begins. A hunk ends where its counts say."""
    head = [lines[at]]
    at += 1
    while at < len(lines) and not lines[at].startswith(("@@ ", "diff --git ")):
        head.append(lines[at])
        at += 1
    bodies: list[list[str]] = []
    while at < len(lines) and lines[at].startswith("@@ "):
        end = _end_of(lines, at)
        bodies.append(list(lines[at:end]))
        at = end
    return head, bodies, at


def _end_of(lines: Sequence[str], start: int) -> int:
    _, old, _, new = _span(lines[start])
    at = start + 1
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith("\\")):
        kind = lines[at][0]
        if kind not in " +-\\":
            raise UnreadablePatch(f"line {at + 1} is no part of a hunk")
        old -= kind in " -"
        new -= kind in " +"
        at += 1
    if old or new:
        raise UnreadablePatch(f"the hunk at line {start + 1} is shorter than it says")
    return at


def _span(line: str) -> tuple[int, int, int, int]:
    match = _RANGES.fullmatch(line)
    if match is None:
        raise UnreadablePatch(f"no ranges in {line.strip()!r}")
    return int(match[1]), int(match[2] or 1), int(match[3]), int(match[4] or 1)


def _hunks_of(head: Sequence[str], bodies: Sequence[Sequence[str]], number: int) -> list[Hunk]:
    path, top = _path(head), tuple(head)
    if any(line.startswith(_WHOLE) for line in head):
        body = tuple(line for each in bodies for line in each)
        return [Hunk(number, path, top, body, _kind(head))]
    hunks: list[Hunk] = []
    if any(line.startswith(_MODES) for line in head):
        hunks.append(Hunk(number, path, top, (), "mode"))
    for body in bodies:
        hunks.append(Hunk(number + len(hunks), path, top, tuple(body), "lines", _span(body[0])))
    return hunks


def _kind(head: Sequence[str]) -> str:
    words = {"new file": "new file", "deleted ": "deleted file", "rename f": "renamed file", "copy fro": "copied file"}
    return next((words[line[:8]] for line in head if line[:8] in words), "binary file")


def _path(head: Sequence[str]) -> str:
    """The file's path: both names in the first line are the same, but for a renamed file."""
    for line in head:
        for word in ("rename to ", "copy to "):
            if line.startswith(word):
                return _plain(line.removeprefix(word).removesuffix("\n"))
    names = head[0].removeprefix("diff --git ").removesuffix("\n")
    half = len(names) // 2
    left, right = _plain(names[:half]), _plain(names[half + 1 :])
    if not left.startswith("a/") or right != f"b/{left[2:]}":
        raise UnreadablePatch(f"no path in {head[0].strip()!r}")
    return left[2:]


def _plain(name: str) -> str:
    """A name without the quotes that git puts around an odd one."""
    if not (len(name) > 1 and name.startswith('"') and name.endswith('"')):
        return name
    parts: list[bytes] = []
    at = 0
    inner = name[1:-1]
    for match in _ESCAPE.finditer(inner):
        parts.append(inner[at : match.start()].encode("utf-8", "surrogateescape"))
        said = match[1]
        octal = len(said) == 3
        parts.append(bytes([int(said, 8) & 0xFF]) if octal else _ESCAPED.get(said, said).encode())
        at = match.end()
    parts.append(inner[at:].encode("utf-8", "surrogateescape"))
    return b"".join(parts).decode("utf-8", "surrogateescape")


def _by_file(hunks: Sequence[Hunk]) -> Iterator[list[Hunk]]:
    group: list[Hunk] = []
    for hunk in hunks:
        if group and (hunk.head != group[0].head):
            yield group
            group = []
        group.append(hunk)
    if group:
        yield group


def _joined(group: Sequence[Hunk], taken: Sequence[Hunk]) -> list[str]:
    """One file's part of a patch. Where hunks are left out, the later ones begin elsewhere in the new file."""
    if len(taken) == len(group):
        return [*group[0].head, *(line for each in group for line in each.body)]
    lines = any(each.kind == "lines" for each in taken)
    modes = any(each.kind == "mode" for each in taken)
    parts = [line for line in group[0].head if _belongs(line, lines=lines, modes=modes)]
    missing, numbers = 0, {each.number for each in taken}
    for hunk in group:
        old, old_length, new, new_length = hunk.span
        if hunk.number in numbers and hunk.body:
            rest = _RANGES.fullmatch(hunk.body[0])
            tail = "" if rest is None else rest[5]
            parts.append(f"@@ -{old},{old_length} +{new - missing},{new_length} @@{tail}")
            parts += hunk.body[1:]
        elif hunk.number not in numbers:
            missing += new_length - old_length
    return parts


def _belongs(line: str, *, lines: bool, modes: bool) -> bool:
    """Whether a line of a file's head holds for a part of its hunks. The hashes of its index line never do."""
    if line.startswith("index "):
        return False
    if line.startswith(_MODES):
        return modes
    return lines or not line.startswith(("--- ", "+++ "))
