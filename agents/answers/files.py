"""Changes of files out of a model's text.

Owns what counts as an answer: every block that names a file, every search/replace edit, every hunk of a diff, every
line that deletes a file. Blocks that name none are illustrations and are passed over. All or nothing: one unusable
block makes the answer unusable, since half a change is worse than none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from agents.answers.changes import Change, DeleteAnswer, EditAnswer, FileAnswer, FunctionAnswer, HunkAnswer
from agents.answers.edit_blocks import NAME_HINT, has_edit, read_edits
from agents.answers.endings import MARKDOWN, is_end_unclear, is_stray_end
from agents.answers.fences import Block, blocks, closes_fence, opens_fence
from agents.answers.naming import (
    bare_path,
    deleted_path,
    is_code_path,
    is_named_aside,
    is_transcript,
    is_unchanged,
    language_of,
    names_functions,
    path_in_line,
    path_of,
)
from agents.answers.paths import folded, meant_path
from agents.answers.syntax import PYTHON
from agents.answers.text import clean_text, shown
from agents.answers.unified import is_diff, read_diff
from agents.answers.wrapped import wrapped_changes
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

MAX_CHANGES = 200
"""Files and edits of the largest answer."""

_DIFFS = (".diff", ".patch")


@dataclass(frozen=True, slots=True)
class _Named:
    block: Block
    path: str | None
    diff: bool


def read_files(
    text: str, default_path: str | None = None, *, known: Collection[str] = (), functions: bool = False
) -> tuple[Change, ...]:
    """Return the changes of an answer, in its order.

    An edit without a path belongs to the file of the edit before it. Where a file is given twice both are
    returned: applied in order, the last one counts. A diff of a file that is given whole as well only tells it again.
    What a block is that only a sentence or a comment names, beside other changes, is for `asides` to decide.

    Args:
        text: The model's text.
        default_path: The file that a sole block without a path is; None: such a block names nothing.
        known: Files that the model was shown; they decide what a path that is written badly means.
        functions: Whether definitions were asked for: then a block of a Python file holds those and not all of it.

    Raises:
        UnusableAnswer: Nothing names a file, a path may not be used, the last block is not closed, an edit lacks
            a mark, where a file ends is unclear, or two paths differ only in case.
    """
    text = clean_text(text)
    every = blocks(text)
    found = _without_stray_end(every)
    named = [_named(block) for block in found]
    if any(not block.closed for block in found):
        raise UnusableAnswer("the last block is not closed: the answer was cut off", "Close every block.")
    changes = () if any(each.path for each in named) else wrapped_changes(text, found, partial(meant_path, known=known))
    if not changes:
        named = _with_default(named, default_path)
        _refuse_unclear(named, every[len(found) :])
        changes = tuple(islice(_all_changes(text, named, known, functions), MAX_CHANGES + 1))
    if not changes:
        problem = "no block of the answer names its file" if named else "there is no fenced block in the answer"
        raise UnusableAnswer(problem, NAME_HINT)
    if len(changes) > MAX_CHANGES:
        raise UnusableAnswer(f"the answer changes more than {MAX_CHANGES} places")
    changes = _without_retold(changes if len(changes) > 1 else tuple(_plain(change) for change in changes))
    _refuse_twins(changes)
    return changes


def _named(block: Block) -> _Named:
    path = path_of(block) or bare_path(block)
    diff = is_diff(block.lines, language_of(block)) and not (path or "").endswith(_DIFFS) and not has_edit(block)
    if diff and path is None:
        path = next((each for line in reversed(block.before) if (each := path_in_line(line))), None)
    return _Named(block, path, diff)


def _without_stray_end(found: tuple[Block, ...]) -> tuple[Block, ...]:
    """A fence too many at the end of the text opens a block of nothing."""
    return found[:-1] if len(found) > 1 and is_stray_end(found[-1]) else found


def _refuse_unclear(named: Sequence[_Named], stray: Sequence[Block]) -> None:
    behind = deque(stray)
    for each in reversed(named):
        if each.path is None:
            behind.appendleft(each.block)
        else:
            if not each.diff and is_end_unclear(each.path, each.block, behind):
                raise UnusableAnswer(
                    f"where the file {shown(each.path)} ends is unclear, since fences stand in it or behind it",
                    "Fence the whole file with four backticks, and write no other block without a name.",
                )
            behind.clear()


def _with_default(named: Sequence[_Named], default_path: str | None) -> Sequence[_Named]:
    if default_path is None or any(each.path for each in named):
        return named
    edits = [each for each in named if has_edit(each.block) or each.diff]
    nameless = edits or [each for each in named if not is_transcript(each.block, default_path)]
    if not edits and len(nameless) != 1:
        return named  # several whole blocks: which one is the file is a guess
    if not edits and default_path.lower().endswith(MARKDOWN) and len(named) > 1:
        return named  # one of the others may be a part of it
    return [replace(each, path=default_path) for each in nameless]


def _all_changes(text: str, named: Sequence[_Named], known: Collection[str], functions: bool) -> Iterator[Change]:
    """Return what the blocks and the lines between them say, in the order of the text."""
    lines = text.split("\n")
    current: str | None = None
    position = 0
    for each in named:
        yield from _deleted(lines[position : each.block.span.start], known)
        position = each.block.span.stop
        for change in _changes(each, current, known, functions):
            if isinstance(change, EditAnswer):
                current = change.path
            yield change
    yield from _deleted(lines[position:], known)


def _deleted(lines: Sequence[str], known: Collection[str]) -> Iterator[Change]:
    for line in lines:
        path = deleted_path(line)
        if path is not None:
            yield DeleteAnswer(meant_path(path, known, searched=True))


def _changes(named: _Named, current: str | None, known: Collection[str], functions: bool) -> Iterator[Change]:
    block = named.block
    searched = partial(meant_path, known=known, searched=True)
    if has_edit(block):
        yield from read_edits(block, named.path or current, searched)
    elif named.diff:
        if named.path is not None or is_diff(block.lines, ""):
            yield from read_diff(block.lines, named.path, searched)
    elif named.path is None:
        if any(map(str.strip, block.lines)) and all(deleted_path(line) for line in block.lines if line.strip()):
            yield from _deleted(block.lines, known)
    elif not is_unchanged(block):
        yield _whole(block, meant_path(named.path, known), functions)


def _whole(block: Block, path: str, functions: bool) -> FileAnswer | FunctionAnswer:
    lines = _without_wrapping(block.lines, path)
    content = "".join(f"{line}\n" for line in lines)
    if "\0" in content:
        raise UnusableAnswer(f"the file {shown(path)} holds a NUL character")
    aside = is_named_aside(block)
    asked = functions and path.endswith(PYTHON) and not (aside and not any(map(_defines, lines)))
    if names_functions(block) or asked:
        return FunctionAnswer(path, content)
    return FileAnswer(path, content, aside)


def _plain(change: Change) -> Change:
    """A sole change is what was meant, however it is named."""
    return replace(change, aside=False) if isinstance(change, FileAnswer) else change


def _defines(line: str) -> bool:
    return line.lstrip().startswith(("def ", "class ", "async def "))


def _without_wrapping(lines: Sequence[str], path: str) -> Sequence[str]:
    """Drop what is no line of the file: a second fence around it, its own path on the first line."""
    if path.lower().endswith(MARKDOWN):
        return lines
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if len(filled) > 1:
        first, last = lines[filled[0]].strip(), lines[filled[-1]].strip()
        wrapped = opens_fence(first) and not closes_fence(first) and closes_fence(last)
        if wrapped and first.startswith(last) and first[len(last)] != last[0]:
            return lines[filled[0] + 1 : filled[-1]]
        if first.strip("`*") in (path, f"./{path}", f"/{path}") and is_code_path(path):
            return lines[filled[0] + 1 :]
    return lines


def _without_retold(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    whole = {change.path for change in changes if isinstance(change, FileAnswer) and not change.aside}
    return tuple(change for change in changes if not (isinstance(change, HunkAnswer) and change.path in whole))


def _refuse_twins(changes: Sequence[Change]) -> None:
    spellings: dict[str, str] = {}
    for change in changes:
        known = spellings.setdefault(folded(change.path), change.path)
        if known != change.path:
            raise UnusableAnswer(
                f"{shown(known)} and {shown(change.path)} are one file on many systems", "Use one spelling."
            )
