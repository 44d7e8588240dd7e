"""Whether it is known where a file ends that a block gives.

Owns the doubt: a file that holds fences of its own, inside a fence that is no longer, ends for a reader at the first of
them, and what is behind is lost without a word. Told by what is left over: an inner fence without its end, an end
without its beginning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agents.answers.edit_blocks import has_edit
from agents.answers.fences import fence_of
from agents.answers.syntax import PYTHON, parsed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agents.answers.fences import Block

MARKDOWN = (".md", ".mdx", ".markdown")
_COMMENTED = re.compile(r"[cm]?jsx?|tsx?|java|kt|go|rs|cc?|h|[ch]pp|cs|php|swift|scala|s?css")
"""Suffixes of languages whose comments stand between `/*` and `*/`."""


def is_stray_end(block: Block) -> bool:
    """Return whether a block is nothing but a fence too many at the end of the text."""
    return not block.closed and not block.info and not any(map(str.strip, block.lines))


def is_end_unclear(path: str, block: Block, behind: Collection[Block]) -> bool:
    """Return whether the file that a block gives may go on behind the block.

    1. A block behind it without a name holds a fence that opens and does not close: it begins with the end of another,
       and has swallowed whatever the answer says next.
    2. A Markdown file may hold any block behind it that has no name and no language.
    3. Where its own language tells whether it ends inside a text or a comment, that decides.
    4. A fence opens in the file and does not close: its end was taken for the file's.
    5. Text follows the block, and then an end that closes nothing.

    Args:
        path: Of the file.
        block: The block that gives it.
        behind: The blocks after it without a name, up to the next that has one; a stray end too.
    """
    if not block.fenced or has_edit(block):
        return False
    bare = [each for each in behind if each.fenced and not each.info and each.mark == block.mark and not has_edit(each)]
    opens = _opens_in(block)
    if not bare and not opens:
        return False
    if any(_opens_in(each) for each in bare):
        return True
    if path.lower().endswith(MARKDOWN) and any(not is_stray_end(each) for each in bare):
        return True
    ended = _is_ended(path, block.lines)
    return not ended if ended is not None else opens or any(is_stray_end(each) and each.before for each in bare)


def _opens_in(block: Block) -> bool:
    """Whether a fence with a language opens inside, such as would end with the block's own end, and does not close."""
    depth = 0
    for line in block.lines:
        mark, language = fence_of(line)
        if mark.startswith(block.mark):
            depth = depth + 1 if language else max(0, depth - 1)
    return depth > 0


def _is_ended(path: str, lines: Sequence[str]) -> bool | None:
    """Whether code ends outside of texts and comments, where alone a file with a fence in it goes on; None: unknown."""
    text = "\n".join(lines)
    suffix = path.rpartition(".")[2].lower()
    if _COMMENTED.fullmatch(suffix):
        opened = max((number for number, line in enumerate(lines) if line.lstrip().startswith("/*")), default=-1)
        return False if opened >= 0 and not any("*/" in line for line in lines[opened:]) else None
    tree = parsed(text) if path.endswith(PYTHON) else None
    return None if tree is None else not isinstance(tree, str) or "unterminated triple-quoted" not in tree
