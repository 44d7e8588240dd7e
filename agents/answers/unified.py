"""Unified diffs in a model's text.

Owns recognising one and taking it apart into hunks, deletions and new files. The numbers behind `@@` are passed over:
models count badly, so a hunk is placed by its lines alone. The form `*** Update File:`, which some models were
trained on, is read as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.answers.changes import Change, DeleteAnswer, FileAnswer, HunkAnswer
from agents.answers.marks import PASSED_OVER, SECTIONS
from agents.answers.text import shown
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DIFF_LANGUAGES = frozenset({"diff", "patch", "udiff"})
_NOWHERE = "/dev/null"
_NO_END = "\\ No newline at end of file"
_HINT = "Begin each file with --- a/PATH and +++ b/PATH, and each line of a hunk with a blank, + or -."


@dataclass(slots=True)
class _Section:
    """What a diff says of one file."""

    old: str | None
    new: str | None
    hunks: list[list[str]] = field(default_factory=list[list[str]])


def is_diff(lines: Sequence[str], language: str) -> bool:
    """Return whether the lines of a block are a unified diff: its language says so, or how it begins."""
    if language in _DIFF_LANGUAGES:
        return any(line[:1] in ("+", "-", "@") or _opens_section(line) for line in lines)
    begun = [line for line in lines if line.strip() and (_opens_section(line) or not line.startswith(PASSED_OVER))][:3]
    if not begun:
        return False
    headed = len(begun) > 1 and begun[0].startswith("--- ") and begun[1].startswith("+++ ")
    return headed or _opens_section(begun[0]) or (begun[0].startswith("@@ ") and "@@" in begun[0][3:])


def _opens_section(line: str) -> bool:
    return line.startswith(tuple(SECTIONS))


def read_diff(lines: Sequence[str], path: str | None, cleaned: Callable[[str], str]) -> tuple[Change, ...]:
    """Return what a diff changes, in its order.

    Args:
        lines: The lines of the block.
        path: The file that the block was said to be; it counts where the diff itself names none.
        cleaned: Makes a path as written one that may be used.

    Raises:
        UnusableAnswer: No file is named, or there is no line that changes something.
    """
    changes: list[Change] = []
    for section in _sections(lines, path):
        changes.extend(_changes(section, cleaned))
    if not changes:
        raise UnusableAnswer("a diff changes nothing", _HINT)
    return tuple(changes)


def _sections(lines: Sequence[str], path: str | None) -> list[_Section]:
    sections: list[_Section] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        mark = next((mark for mark in SECTIONS if line.startswith(mark)), None)
        if mark is not None:
            sections.append(_patched(SECTIONS[mark], line.removeprefix(mark).strip()))
        elif line.startswith("--- ") and following.startswith("+++ "):
            sections.append(_Section(_header(line), _header(following)))
            number += 1
        elif not _passed_over(line, sections):
            _add(sections, line, path)
        number += 1
    return sections


def _passed_over(line: str, sections: list[_Section]) -> bool:
    """Lines of git's own stand before the hunks; behind them a line that looks so is one of the file."""
    if line == _NO_END or line.startswith(("*** Begin", "*** End")):
        return True
    return line.startswith(PASSED_OVER) and not (sections and sections[-1].hunks)


def _add(sections: list[_Section], line: str, path: str | None) -> None:
    if not sections:
        if not line.strip():
            return
        if path is None:
            raise UnusableAnswer("a diff does not name its file", _HINT)
        sections.append(_Section(path, path))
    hunks = sections[-1].hunks
    if line.startswith("@@"):
        hunks.append([])
    elif hunks:
        hunks[-1].append(line)
    elif line.strip():
        hunks.append([line])


def _patched(kind: str, path: str) -> _Section:
    return _Section(None if kind == "add" else path, None if kind == "delete" else path)


def _header(line: str) -> str | None:
    """The path of a `---` or `+++` line, without a time behind it and without the `a/` or `b/` that git puts before."""
    path = line[4:].partition("\t")[0].strip().strip('`"')
    if path == _NOWHERE:
        return None
    return path[2:] if path.startswith(("a/", "b/")) else path


def _changes(section: _Section, cleaned: Callable[[str], str]) -> list[Change]:
    if section.new is None:
        if section.old is None:
            raise UnusableAnswer("a diff names /dev/null on both sides", _HINT)
        return [DeleteAnswer(cleaned(section.old))]
    path = cleaned(section.new)
    if section.old is not None and cleaned(section.old) != path:
        raise UnusableAnswer(
            f"a diff renames {shown(section.old)} to {shown(section.new)}",
            "Give the new file whole, and a line Delete: `OLD PATH`.",
        )
    hunks = [_trimmed(hunk) for hunk in section.hunks]
    if section.old is None:
        added = [line for hunk in hunks for line in hunk]
        content = "".join(f"{line.removeprefix('+')}\n" for line in added)
        return [FileAnswer(path, content)]
    changing = [hunk for hunk in hunks if any(line.startswith(("+", "-")) for line in hunk)]
    return [HunkAnswer(path, "".join(f"{line}\n" for line in hunk)) for hunk in changing]


def _trimmed(hunk: list[str]) -> list[str]:
    """Blank lines at the end of a hunk are nearly always those of the text around it."""
    stop = len(hunk)
    while stop and not hunk[stop - 1].strip():
        stop -= 1
    return hunk[:stop]
