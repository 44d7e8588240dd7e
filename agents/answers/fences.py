"""Fenced blocks, bare edits and bare diffs in a model's text.

Owns the line scanner: one pass, no regular expression, every line looked at once. It knows where blocks begin and
end, not what they mean; names of files are `naming`'s, their content `files`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.answers.marks import is_diff_line, is_replace_mark, is_search_mark, opens_diff

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
        fenced: False for an edit or a diff that stands in the prose without a fence; its marks are in `lines`.
        mark: The opening fence; empty where there is none.
    """

    info: str
    lines: tuple[str, ...]
    before: tuple[str, ...]
    closed: bool
    span: range
    fenced: bool = True
    mark: str = ""


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
    4. A fence that opens twice in a row is one, and so are its two ends.
    5. A block open at the end of the text is reported with `closed=False`.
    """
    lines = text.split("\n")
    found: list[Block] = []
    before: list[str] = []
    last_mark = max((number for number, line in enumerate(lines) if is_replace_mark(line)), default=-1)
    position = 0
    while position < len(lines):
        block = _block(lines, position, tuple(before), last_mark)
        if block is not None:
            found.append(block)
            before = []
            position = block.span.stop
        else:
            if lines[position].strip():
                before = [*before[-1:], lines[position].strip()]
            position += 1
    return tuple(found)


def opens_fence(line: str) -> bool:
    """Return whether the line may open a fenced block."""
    return _opening(line) is not None


def fence_of(line: str) -> tuple[str, str]:
    """Return the mark of a line that may open or close a fence, and what stands behind it; empty where it is none."""
    fence = _opening(line)
    return ("", "") if fence is None else (fence.mark * fence.length, fence.info)


def closes_fence(line: str) -> bool:
    """Return whether the line may close a fenced block: it has nothing behind its mark."""
    fence = _opening(line)
    return fence is not None and not fence.info


def _block(lines: Sequence[str], position: int, before: tuple[str, ...], last_mark: int) -> Block | None:
    """Return the block that begins at a line, or None."""
    line = lines[position]
    fence = _opening(line)
    if fence is not None:
        return _fenced(lines, position, fence, before, last_mark)
    if is_search_mark(line):
        end, closed = _end_of_edit(lines, position)
        inside = tuple(lines[position : end + 1])
        return Block("", inside, before, closed, range(position, end + 1), fenced=False)
    if opens_diff(line, lines[position + 1] if position + 1 < len(lines) else ""):
        end = position
        while end < len(lines) and is_diff_line(lines[end]):
            end += 1
        return Block("diff", tuple(lines[position:end]), before, True, range(position, end), fenced=False)
    return None


def _fenced(lines: Sequence[str], start: int, fence: _Fence, before: tuple[str, ...], last_mark: int) -> Block:
    nests = _is_markdown(fence, before)
    end, closed = _end_of_fence(lines, start + 1, fence, nests, last_mark)
    info, first, stop = fence.info, start + 1, end + 1
    inner = None if nests or first >= end else _opening(lines[first])
    if closed and inner is not None and inner.info and (inner.mark, inner.length) == (fence.mark, fence.length):
        first += 1
        info = max(info, inner.info, key=len)
        stop += _second_end(lines, stop, fence)
    inside = tuple(_outdented(each, fence.indent) for each in lines[first:end])
    return Block(info, inside, before, closed, range(start, stop), mark=fence.mark * fence.length)


def _second_end(lines: Sequence[str], start: int, fence: _Fence) -> int:
    """How many lines the second end of a doubled fence takes; 0 where there is none."""
    ends = start < len(lines) and lines[start].strip() == fence.mark * fence.length
    return 1 if ends else 0


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


def _end_of_fence(lines: Sequence[str], start: int, fence: _Fence, nests: bool, last_mark: int) -> tuple[int, bool]:
    """Return the index of the closing line, or of the end of the text, and whether it was closed.

    An edit whose closing mark was forgotten (none comes after `last_mark`) does not keep the fence open.
    """
    depth, in_edit = 0, False
    for position in range(start, len(lines)):
        line = lines[position]
        if in_edit:
            in_edit = not is_replace_mark(line)
            continue
        if is_search_mark(line):
            in_edit = position < last_mark
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
