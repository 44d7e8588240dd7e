"""Remedies for a Python file that cannot be read. Pure.

Owns what a slip of form looks like: lines of the answer's own form left in the file, prose at its end, escapes, curved
quotes, indentation that is off as a whole, a bracket or a colon that can stand in one place only. Each is offered;
whether it helps is seen by reading the file again.
"""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
import warnings
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from textwrap import dedent

from agents.answers.fences import closes_fence, opens_fence
from agents.answers.marks import is_divider, is_replace_mark, is_search_mark
from agents.answers.readings import straightened, unescaped, without_numbers
from infrastructure.workflow.names import parsed

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_PROSE_WORDS = 4
_TAB_WIDTHS = (4, 8, 2)
_MARKS_LEFT_OUT = "left out a line of the answer's form"
_PROSE_LEFT_OUT = "left out the explanation at the end"
SAFE_ALONE = frozenset({_MARKS_LEFT_OUT, _PROSE_LEFT_OUT})
"""Remedies that are right even where they do not suffice: what they take out is no line of any file."""


_PLAIN = (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.NEWLINE, tokenize.ENDMARKER)


def form_remedies(before: str | None, text: str) -> Iterator[tuple[str, str]]:
    """Yield what may help and the text with it, the surest first; what leaves the text as it is, is left out."""
    remedies: tuple[tuple[str, Callable[[str | None, str], str | None]], ...] = (
        (_MARKS_LEFT_OUT, _without_marks),
        ("took out line numbers", _without_numbers),
        ("took out HTML's escapes", lambda _, each: unescaped(each)),
        ("wrote out line breaks", _unfolded),
        ("wrote straight quotes", lambda _, each: straightened(each)),
        (_PROSE_LEFT_OUT, _without_prose),
        ("moved the code to the left", _dedented),
        ("wrote blanks for tabs", _without_tabs),
        ("moved the new lines to their indentation", _reindented),
        ("added a colon", lambda _, each: _with_colon(each)),
        ("closed a bracket", lambda _, each: _with_bracket(each)),
    )
    for said, remedy in remedies:
        changed = remedy(before, text)
        if changed is not None and changed != text:
            yield said, changed


def _without_marks(before: str | None, text: str) -> str | None:
    """Fences, and marks of an edit at the very ends; a mark in the middle has something on either side that matters."""
    known = {line.strip() for line in (before or "").split("\n")}
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    ends = {*filled[:1], *filled[-1:]}
    kept = [
        line
        for number, line in enumerate(lines)
        if line.strip() in known
        or not (_is_fence(line) or (number in ends and (_is_mark(line) or line.strip() in ("</code>", "<code>"))))
    ]
    return "\n".join(kept)


def _is_fence(line: str) -> bool:
    return opens_fence(line) or closes_fence(line)


def _is_mark(line: str) -> bool:
    return is_search_mark(line) or is_replace_mark(line) or is_divider(line)


def _without_numbers(before: str | None, text: str) -> str | None:
    bare = without_numbers(text.split("\n"))
    return None if bare is None else "\n".join(bare)


def _unfolded(before: str | None, text: str) -> str | None:
    """A file in one line, its line breaks written as backslash and n."""
    if text.strip().count("\n") or text.count("\\n") < 2:
        return None
    return text.strip().replace('\\"', '"').replace("\\t", "\t").replace("\\n", "\n") + "\n"


def _without_prose(before: str | None, text: str) -> str | None:
    """Leave out the last paragraphs while they are prose: several words, and nothing that could be code."""
    lines = text.rstrip().split("\n")
    stop = len(lines)
    while stop:
        start = stop
        while start and lines[start - 1].strip():
            start -= 1
        if start == stop or not _is_prose(lines[start:stop]):
            break
        stop = start
        while stop and not lines[stop - 1].strip():
            stop -= 1
    return "\n".join(lines[:stop]) + "\n" if 0 < stop < len(lines) else None


def _is_prose(lines: Sequence[str]) -> bool:
    first = lines[0].strip().lstrip("*#-> ")
    words = first.split()
    readable = parsed(dedent("\n".join(lines))) is not None
    return not lines[0].startswith((" ", "\t")) and len(words) >= _PROSE_WORDS and first[:1].isupper() and not readable


def _dedented(before: str | None, text: str) -> str | None:
    return dedent(text) if text[:1] in (" ", "\t", "\n") else None


def _without_tabs(before: str | None, text: str) -> str | None:
    """Tabs in front of lines as blanks, where every width that can be read means the same."""
    if "\t" not in text:
        return None
    found: dict[str, str] = {}
    for width in _TAB_WIDTHS:
        changed = "\n".join(_expanded(line, width) for line in text.split("\n"))
        tree = parsed(changed)
        if tree is not None:
            found.setdefault(ast.dump(tree), changed)
    return found.popitem()[1] if len(found) == 1 else None


def _expanded(line: str, width: int) -> str:
    bare = line.lstrip(" \t")
    return line[: len(line) - len(bare)].expandtabs(width) + bare


def _reindented(before: str | None, text: str) -> str | None:
    """Move a run of new lines so that its first is indented as the first of those that it replaces."""
    if before is None:
        return None
    old, new = before.split("\n"), text.split("\n")
    runs = [run for run in SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if run[0] == "replace"]
    if len(runs) != 1:
        return None
    _, first, last, begin, end = runs[0]
    was = next((_depth(line) for line in old[first:last] if line.strip()), None)
    now = next((_depth(line) for line in new[begin:end] if line.strip()), None)
    if was is None or now is None:
        return None
    moved = [_moved(line, was - now) for line in new[begin:end]]
    if any(line is None for line in moved):
        return None
    return "\n".join([*new[:begin], *(line for line in moved if line is not None), *new[end:]])


def _moved(line: str, by: int) -> str | None:
    if not line.strip():
        return line
    if by >= 0:
        return " " * by + line
    return line[-by:] if not line[:-by].strip() else None


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _error(text: str) -> SyntaxError | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except SyntaxError as error:
            return error
        except (ValueError, RecursionError, MemoryError, SystemError):
            return None
    return None


def _with_colon(text: str) -> str | None:
    """A header whose colon is missing at its end, before a line that is indented deeper."""
    error = _error(text)
    if error is None or error.msg != "expected ':'" or not error.lineno:
        return None
    lines = text.split("\n")
    number = error.lineno - 1
    following = next((line for line in lines[number + 1 :] if line.strip()), "")
    header = lines[number].rstrip()
    if (error.offset or 0) <= len(header) or "#" in header or _depth(following) <= _depth(header):
        return None
    lines[number] = f"{header}:"
    return "\n".join(lines)


def _with_bracket(text: str) -> str | None:
    """A call or a list that its line does not close; every item is plain, so the bracket can only stand at its end."""
    error = _error(text)
    if error is None or not error.msg.endswith("was never closed") or not error.lineno:
        return None
    lines = text.split("\n")
    line = lines[error.lineno - 1].rstrip()
    start = (error.offset or 1) - 1
    if line[start : start + 1] not in _CLOSING or not _is_plain(line[start + 1 :]):
        return None
    lines[error.lineno - 1] = line + _CLOSING[line[start]]
    return "\n".join(lines)


def _is_plain(inside: str) -> bool:
    """Whether what stands behind an open bracket is names, texts, numbers and commas, and what else is whole calls."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(inside).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return False
    depth = 0
    last = ""
    for token in tokens:
        if token.type == tokenize.OP:
            depth += (token.string in _CLOSING) - (token.string in _CLOSING.values())
            if depth < 0 or (depth == 0 and token.string not in {",", ".", "=", *_CLOSING, *_CLOSING.values()}):
                return False
        elif token.type not in _PLAIN or keyword.iskeyword(token.string):
            return False
        last = token.string.strip() or last
    return depth == 0 and last not in (",", "=", ".", "")
