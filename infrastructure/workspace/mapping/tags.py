"""What a source file defines and which names it uses.

Owns `FileTags` and its stored form. All of it comes from files that nobody trusts: text only, each piece bounded.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast, get_args

import orjson

Kind: TypeAlias = Literal["class", "function", "constant", "block"]
"""`block` holds definitions and is none itself: a namespace, a Rust `impl`."""
KINDS: frozenset[str] = frozenset(get_args(Kind))
_UNPACKED = 8 << 20


@dataclass(frozen=True, slots=True)
class Definition:
    """Something a file defines.

    Attributes:
        name: Its bare name.
        kind: What it is.
        line: Where it begins, from 1.
        depth: In how many classes or blocks it lies; 0 at the top of the file.
        signature: The text up to its body, in one line.
    """

    name: str
    kind: Kind
    line: int
    depth: int
    signature: str


def _none_used() -> dict[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class FileTags:
    """A file's definitions in the order of the text, and how often it uses each name outside prose."""

    definitions: tuple[Definition, ...] = ()
    used: Mapping[str, int] = field(default_factory=_none_used)

    @property
    def definitions_only(self) -> FileTags:
        """What a map shows of it: the names it uses are most of its size, and in the graph already."""
        return FileTags(self.definitions)


NO_TAGS = FileTags()


def dump_tags(tags: FileTags) -> bytes:
    """The stored form: JSON, packed."""
    defined = [[each.name, each.kind, each.line, each.depth, each.signature] for each in tags.definitions]
    return zlib.compress(orjson.dumps([defined, dict(tags.used)]), 1)


def load_tags(content: bytes) -> FileTags:
    """Tags from their stored form.

    Raises:
        ValueError: It is damaged.
    """
    try:
        packed = zlib.decompressobj()
        unpacked = packed.decompress(content, _UNPACKED)
        if not packed.eof:
            raise ValueError("cut short, or too long")
        defined, used = cast("tuple[list[list[object]], dict[str, int]]", orjson.loads(unpacked))
        return FileTags(
            tuple(_definition(each) for each in defined), {sys.intern(name): int(used[name]) for name in used}
        )
    except (zlib.error, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _definition(stored: list[object]) -> Definition:
    name, kind, line, depth, signature = stored
    if kind not in KINDS or not isinstance(line, int) or not isinstance(depth, int):
        raise ValueError("no definition")
    return Definition(str(name), cast("Kind", kind), line, depth, str(signature))
