"""Fenced blocks and bare edit blocks in a model's text.

Owns the line scanner: one pass, no regular expression, every line looked at once. It knows where blocks begin and
end, not what they mean; names of files are `naming`'s, their content `files`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.answers.marks import is_replace_mark, is_search_mark

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKDOWN = frozenset({"markdown", "md", "mdx"})


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of lines that the model set apart.

    Attributes:
        info: What stands after the opening fence, stripped.
        lines: The lines inside, without line ends, without the indentation of the opening fence.
        before: The last lines of prose before the block, at most two, nearest last, blank ones left out.
        closed: False if the text ended first: the answer was cut.
        span: The numbers of all its lines in the text, fences included, counted from 0.
        fenced: False for an edit block that stands in the prose without a fence; its marks are in `lines`.
    """

    info: str
    lines: tuple[str, ...]
    before: tuple[str, ...]
    closed: bool
    span: range
    fenced: bool = True


@dataclass(frozen=True, slots=True)
class _Fence:
    mark: str
    length: int
    indent: int
    info: str


def blocks(text: str) -> tuple[Block, ...]:
    """Return the blocks in the order of the text.

    1. A fence opens with three or more backticks or tildes, at any indentation, and closes with at least as many
       of the same mark, indented no deeper, with nothing behind them.
    2. Inside a Markdown file fences nest: a fence with an info string opens, a bare one closes the innermost.
    3. Between `<<<<<<< SEARCH` and `>>>>>>> REPLACE` no fence counts, so edits of Markdown survive.
    4. A block open at the end of the text is reported with `closed=False`.
    """
    lines = text.split("\n")
    found: list[Block] = []
    before: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        fence = _opening(line)
        if fence is not None:
            end, closed = _end_of_fence(lines, position + 1, fence, _is_markdown(fence, before))
            inside = tuple(_outdented(each, fence.indent) for each in lines[position + 1 : end])
            found.append(Block(fence.info, inside, tuple(before), closed, range(position, end + 1)))
        elif is_search_mark(line):
            end, closed = _end_of_edit(lines, position)
            found.append(
                Block(
                    "", tuple(lines[position : end + 1]), tuple(before), closed, range(position, end + 1), fenced=False
                )
            )
        else:
            end = position
            if line.strip():
                before = [*before[-1:], line.strip()]
        if end > position or fence is not None:
            before = []
        position = end + 1
    return tuple(found)


def _opening(line: str) -> _Fence | None:
    bare = line.lstrip(" \t")
    if not bare.startswith(("```", "~~~")):
        return None
    mark = bare[0]
    length = len(bare) - len(bare.lstrip(mark))
    info = bare[length:].strip()
    if mark == "`" and "`" in info:
        return None  # inline code that happens to stand at the start of a line
    return _Fence(mark, length, len(line) - len(bare), info)


def _is_markdown(fence: _Fence, before: Sequence[str]) -> bool:
    language = fence.info.partition(" ")[0].partition(":")[0].lower()
    named = f"{fence.info} {before[-1] if before else ''}".rstrip("`*: ")
    return language in _MARKDOWN or named.lower().endswith((".md", ".mdx"))


def _end_of_fence(lines: Sequence[str], start: int, fence: _Fence, nests: bool) -> tuple[int, bool]:
    """Return the index of the closing line, or of the end of the text, and whether it was closed."""
    depth, in_edit = 0, False
    for position in range(start, len(lines)):
        line = lines[position]
        if in_edit:
            in_edit = not is_replace_mark(line)
            continue
        if is_search_mark(line):
            in_edit = True
            continue
        inner = _opening(line)
        if inner is None or inner.mark != fence.mark or inner.length < fence.length:
            continue
        if inner.info:
            depth += nests
        elif depth:
            depth -= 1
        elif inner.indent <= fence.indent:
            return position, True
    return len(lines), False


def _end_of_edit(lines: Sequence[str], start: int) -> tuple[int, bool]:
    for position in range(start + 1, len(lines)):
        if is_replace_mark(lines[position]):
            return position, True
    return len(lines), False


def _outdented(line: str, indent: int) -> str:
    lead = len(line) - len(line.lstrip(" \t"))
    return line[min(lead, indent) :]
