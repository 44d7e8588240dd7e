"""Blocks beside an answer's changes that only a sentence or a comment names: files, or pictures of files.

Owns which of the two a block is, by what the file has and what the answer changes otherwise. "You can use it from
`main.py`:" and two lines are no new main.py; "And here is `main.py`:" and all of it are.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agents.answers.changes import Change, FileAnswer, HunkAnswer
from agents.answers.lines import Lines, occurrences
from agents.answers.places import trimmed
from agents.answers.syntax import PYTHON, assigned, defined, parsed

_ENOUGH = 0.5
"""The share of a file's lines that another text has which may be that file, where nothing is defined in it."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """The changes of an answer.

    Attributes:
        changes: Those that are meant, in their order.
        passed_over: Paths of blocks that only show something.
        doubtful: The path of a block that may be either; None where each is clear.
    """

    changes: tuple[Change, ...]
    passed_over: tuple[str, ...] = ()
    doubtful: str | None = None


def without_asides(changes: Sequence[Change], files: Mapping[str, str], planned: Collection[str] = ()) -> Sorted:
    """Sort out what only shows something.

    1. What the answer also changes under a label, or tells again of what stands in the file or in a block before, is
       passed over.
    2. A file that is not there is made. A file that is there is replaced by what has all that it has.
    3. Otherwise an answer that has nothing under a label means the files that were to be changed, or else its only one.
    4. What is left shows something, unless the file was to be changed: then nobody can tell.

    Args:
        changes: The answer.
        files: Texts of the files that there are.
        planned: Files that are to be changed.
    """
    asides = [change for change in changes if isinstance(change, FileAnswer) and change.aside]
    labelled = [change for change in changes if change not in asides]
    replaced: set[str] = set()
    meant: list[FileAnswer] = []
    unclear: list[FileAnswer] = []
    for aside in asides:
        before = files.get(aside.path)
        of_same = [change for change in labelled if change.path == aside.path]
        whole = before is not None and has_all_of(aside.path, before, aside.content)
        if whole and all(isinstance(change, HunkAnswer) for change in of_same):
            replaced.add(aside.path)  # a diff beside the whole file tells it again
        elif of_same or any(_stands_in(aside.content, each) for each in (before, *_texts(meant, aside.path)) if each):
            continue
        elif before is not None and before.strip():
            unclear.append(aside)
            continue
        meant.append(aside)
    if not labelled:
        taken = [aside for aside in unclear if aside.path in planned or not (meant or len(unclear) > 1)]
        meant += taken
        unclear = [aside for aside in unclear if aside not in taken]
    doubtful = next((aside.path for aside in unclear if aside.path in planned), None)
    kept = tuple(
        change
        for change in changes
        if (change in meant if change in asides else not (isinstance(change, HunkAnswer) and change.path in replaced))
    )
    return Sorted(kept, tuple(dict.fromkeys(each.path for each in asides if each not in meant)), doubtful)


def tells_result(change: FileAnswer, text: str) -> bool:
    """Return whether a file given whole behind its own edits only tells what they made, or a part of that."""
    return _stands_in(change.content, text)


def has_all_of(path: str, before: str, content: str) -> bool:
    """Return whether a text may be a file of which another is known: it defines all that the file defines.

    Where nothing is defined, or in another language than Python, it has at least half of the file's lines.
    """
    old, new = (_names(text) if path.endswith(PYTHON) else set[str]() for text in (before, content))
    if old:
        return old <= new
    lines, known = [line.strip() for line in before.split("\n") if line.strip()], _lines(content)
    return sum(line in known for line in lines) >= _ENOUGH * len(lines)


def has_every_line_of(before: str, content: str) -> bool:
    """Return whether nothing of a file is lost in another text."""
    return _lines(before) <= _lines(content)


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n") if line.strip()}


def _texts(changes: Sequence[FileAnswer], path: str) -> list[str]:
    return [change.content for change in changes if change.path == path]


def _stands_in(content: str, text: str) -> bool:
    """Whether the lines of one text stand in another, one after the other, whatever their indentation."""
    wanted = trimmed(Lines.of(content).texts)
    return not wanted or any(True for _ in occurrences(wanted, Lines.of(text).texts, str.strip))


def _names(text: str) -> set[str]:
    """What a text defines and assigns, its classes' own included; nothing where it cannot be read."""
    tree = parsed(text)
    if isinstance(tree, str):
        return set()
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    inside = {f"{each.name}.{name}" for each in classes for name in (*defined(each.body), *assigned(each.body))}
    return {*defined(tree.body), *assigned(tree.body), *inside}
