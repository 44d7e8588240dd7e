"""What a red test says, short: its own frames, what was expected, what came.

Owns the cut. Frames of the standard library and of installed packages say nothing that the last own frame does not;
marks under a line cost more than they show; a recursion is one frame many times. Of what is still too long the
beginning names the test and what it asserted, the end the exception, so the middle goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FRAME = re.compile(r'^(?:(?P<short>[^\s:][^:]*):\d+: in .+|  File "(?P<long>[^"]+)", line \d+, in .+)$')
_BODY = re.compile(r"^(?: {4}.*|  \[Previous line repeated .*)$")
_MARKS = re.compile(r"^\s*[\^~]+\s*$")
_REPEATED = re.compile(r"^  \[Previous line repeated ")
_FOREIGN = ("/", "<")
_LINE_CHARACTERS = 240
_HEAD_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class _Block:
    """A frame with its lines, or one line that belongs to none."""

    lines: tuple[str, ...]
    frame: bool = False
    foreign: bool = False


def localised(text: str) -> str:
    """A traceback of pytest or Python with the project's own frames only; other text as it is."""
    blocks = list(_blocks(text.strip("\n").split("\n")))
    own = any(block.frame and not block.foreign for block in blocks)
    kept = [block for block in blocks if not (block.foreign and own)]
    return "\n".join(line for block in _once(kept) for line in block)


def shortened(text: str, room: int) -> str:
    """The first and the last whole lines that fit into `room` characters; empty where hardly any does."""
    lines = [_cut(line) for line in text.strip("\n").split("\n")]
    whole = "\n".join(lines)
    if len(whole) <= room:
        return whole
    notice = f"… {len(lines)} lines, of which the middle is left out …"
    room -= len(notice) + 2
    if room < len(notice):
        return ""
    head = _fitting(lines, int(room * _HEAD_SHARE))
    tail = _fitting(lines[len(head) :][::-1], room - sum(len(line) + 1 for line in head))[::-1]
    return "\n".join([*head, notice, *tail])


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    frame: list[str] = []
    for line in lines:
        if frame and _MARKS.match(line):
            continue  # those of a syntax error belong to no frame, and stay
        if frame and _BODY.match(line):
            frame.append(line)
            continue
        if frame:
            yield _framed(frame)
        frame = [line] if _FRAME.match(line) else []
        if not frame:
            yield _Block((line,))
    if frame:
        yield _framed(frame)


def _framed(lines: Sequence[str]) -> _Block:
    found = _FRAME.match(lines[0])
    path = (found["short"] or found["long"]) if found else ""
    return _Block(tuple(lines), frame=True, foreign=path.startswith(_FOREIGN) or "site-packages/" in path)


def _once(blocks: Sequence[_Block]) -> Iterator[Sequence[str]]:
    """Equal frames in a row as one, with how often they came."""
    index = 0
    while index < len(blocks):
        block, times = blocks[index], 1
        while block.frame and index + times < len(blocks) and _plain(blocks[index + times]) == _plain(block):
            times += 1
        last = blocks[index + times - 1]
        index += times
        yield block.lines if times == 1 else (*_plain(block), *_repeats(last, times))


def _plain(block: _Block) -> Sequence[str]:
    return [line for line in block.lines if not _REPEATED.match(line)]


def _repeats(last: _Block, times: int) -> Sequence[str]:
    said = [line for line in last.lines if _REPEATED.match(line)]
    return said or [f"  [this frame {times - 1} more times]"]


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept
