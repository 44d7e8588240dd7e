"""One file's text turned into tags, in the worker.

Owns the bounds of it: time for a file, definitions and names kept of it, the length of a signature. Blocking.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import cast

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from infrastructure.workspace.mapping.languages import SPOKEN
from infrastructure.workspace.mapping.tags import Definition, FileTags, Kind

PARSE_SECONDS = 1.0
"""For one file. Real source takes milliseconds."""
SIGNATURE_CHARACTERS = 160
_DEFINITIONS = 1_000
_NAMES = 5_000
_SLICE = 4 << 10
_MATCHES = 4_096
"""Unfinished matches of the query at once; more are dropped, not kept in memory."""

_NAME = re.compile(r"[^\W\d]\w{2,79}")
_BARE = re.compile(r"[^\W\d]\w*[?!=]?")
_SPACE = re.compile(r"\s+")
_LOOSE_END = re.compile(r"\s*(?:=>|[{:=;]|; end| #)\s*$")
_HOLDERS = ("class", "block")


class ParseTooLong(Exception):
    """A file took more than its time."""


def tags_of(content: bytes, language: str, *, seconds: float = PARSE_SECONDS) -> FileTags:
    """The tags of a file's text. Where the text is not quite of the language, those of what could be read.

    Args:
        content: UTF-8.
        language: One of `languages.LANGUAGES`.
        seconds: The most it may take.

    Raises:
        ParseTooLong: It would have taken more.
    """
    clock = _Clock(seconds)
    grammar = _grammar_of(language)
    tree = _parse(Parser(grammar.language), content, clock)
    matches = _matches(grammar.query, tree.root_node)
    found = sorted(_found(matches), key=lambda each: (each[0].start_byte, -each[0].end_byte))
    prose = [node for _, captures in matches for node in captures.get("prose", ())]
    return FileTags(tuple(_definitions(content, found)), _used(content, prose))


@dataclass(frozen=True, slots=True)
class _Grammar:
    """A loaded language and its query."""

    language: Language
    query: Query


@cache
def _grammar_of(name: str) -> _Grammar:
    spoken = SPOKEN[name]
    pointer: object = getattr(import_module(spoken.package), spoken.function)()
    language = Language(pointer)
    return _Grammar(language, Query(language, spoken.query))


class _Clock:
    """Says when it is enough; the parser asks now and then."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.over = False

    def asked(self, *_: object) -> bool:
        self.over = self.over or time.monotonic() > self._end
        return self.over


_Captures = dict[str, list[Node]]


def _parse(parser: Parser, content: bytes, clock: _Clock) -> Tree:
    def read(offset: int, _: object) -> bytes:
        return content[offset : offset + _SLICE]

    try:
        return parser.parse(read, encoding="utf8", progress_callback=clock.asked)
    except ValueError as error:
        raise ParseTooLong from error


def _matches(query: Query, root: Node) -> list[tuple[int, _Captures]]:
    # Bounded by the file's size: asking a clock meanwhile crashes the interpreter (tree-sitter 0.26.1).
    return QueryCursor(query, match_limit=_MATCHES).matches(root)


def _found(matches: Iterable[tuple[int, _Captures]]) -> Iterator[tuple[Node, Kind, Node]]:
    for _, captures in matches:
        for capture, nodes in captures.items():
            if capture.startswith("def."):
                yield nodes[0], cast("Kind", capture.removeprefix("def.")), captures["name"][0]


def _definitions(content: bytes, found: Iterable[tuple[Node, Kind, Node]]) -> Iterator[Definition]:
    """In the order of the text. What lies in a function is its own affair and left out."""
    around: list[tuple[int, Kind]] = []
    last = -1
    number = 0
    for node, kind, named in found:
        while around and around[-1][0] <= node.start_byte:
            around.pop()
        local = any(each not in _HOLDERS for _, each in around)
        around.append((node.end_byte, kind))
        name = _bare(content[named.start_byte : named.end_byte])
        if local or not name or node.start_byte == last:
            continue
        last = node.start_byte
        yield Definition(name, kind, node.start_point[0] + 1, len(around) - 1, _signature(content, node, kind))
        number += 1
        if number == _DEFINITIONS:
            return


def _bare(named: bytes) -> str:
    """`pkg::Type<T>::method(int)` is called `method`."""
    text = named[:400].decode("utf-8", "replace").partition("(")[0].partition("<")[0]
    words = _BARE.findall(text)
    return words[-1] if words else ""


def _signature(content: bytes, node: Node, kind: Kind) -> str:
    value = node.child_by_field_name("value") or node.child_by_field_name("right") or node
    body = node.child_by_field_name("body") or value.child_by_field_name("body")
    end = node.end_byte if body is None else body.start_byte
    text = content[node.start_byte : min(end, node.start_byte + 4 * SIGNATURE_CHARACTERS)].decode("utf-8", "replace")
    if kind == "constant":
        text = text.partition("\n")[0]
    text = _LOOSE_END.sub("", _SPACE.sub(" ", text).strip())
    printed = "".join(char if char.isprintable() else "�" for char in text)
    return printed if len(printed) <= SIGNATURE_CHARACTERS else f"{printed[: SIGNATURE_CHARACTERS - 1]}…"


def _used(content: bytes, prose: Iterable[Node]) -> dict[str, int]:
    code = bytearray(content)
    for node in prose:
        code[node.start_byte : node.end_byte] = b" " * (node.end_byte - node.start_byte)
    counted = Counter(_NAME.findall(code.decode("utf-8", "replace")))
    return dict(sorted(counted.items(), key=lambda each: (-each[1], each[0]))[:_NAMES])
