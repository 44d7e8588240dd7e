"""A Python file that is given as if whole and is a part of it: the commonest slip after "rest of the code unchanged".

Owns when that is so. A file that needs what it leaves out cannot be meant as it stands. One that keeps the lesser part
of what was defined, and brings nothing new, may be meant so: nobody can tell.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agents.answers.syntax import Definition, assigned, defined, is_constant, parsed


@dataclass(frozen=True, slots=True)
class Part:
    """What a text leaves out of a file.

    Attributes:
        needed: Names that the file has, that it leaves out and uses; sorted.
        lost: Names that it leaves out; sorted.
        definitions: Whether it holds definitions and imports only, so that it may be put into the file.
    """

    needed: tuple[str, ...]
    lost: tuple[str, ...]
    definitions: bool


_BUILT_IN = frozenset({*dir(builtins), "__file__", "__path__", "_"})
"""What is there without being defined; `_` since `gettext` puts it there."""
_MADE = re.compile(
    r"^[+ \t]*(?:(?:async[ \t]+)?def[ \t]+|class[ \t]+|(?=\w+[ \t]*(?::[^=\n]*)?=(?!=)))(\w+)", re.MULTILINE
)
"""What a text, a hunk of a diff too, defines or assigns."""


def part_of(before: str, content: str, elsewhere: Iterable[str] = ()) -> Part | None:
    """Return what `content` leaves out of a file whose text is known; None where it may be the whole file.

    A name that it binds anywhere, an import included, is not left out, nor is one that Python has by itself. Texts that
    cannot be read are not judged.

    Args:
        before: The file's text.
        content: What is given for it.
        elsewhere: Texts that the same answer has for other files: what they define was moved there.
    """
    old, new = parsed(before), parsed(content)
    if isinstance(old, str) or isinstance(new, str) or _has_star(new):
        return None
    had, has = ({*defined(tree.body), *assigned(tree.body)} for tree in (old, new))
    lost = had - set(_bound(new)) - _BUILT_IN
    if lost:
        lost -= {found[1] for text in elsewhere for found in _MADE.finditer(text)}
    needed = lost & {node.id for node in ast.walk(new) if isinstance(node, ast.Name)}
    definitions = any(isinstance(node, Definition) for node in new.body) and all(
        isinstance(node, Definition | ast.Import | ast.ImportFrom) or is_constant(node) for node in new.body
    )
    lesser = definitions and has <= had and len(_public(has)) * 2 < len(_public(had))
    return Part(tuple(sorted(needed)), tuple(sorted(lost)), definitions) if needed or (lost and lesser) else None


def _public(names: set[str]) -> list[str]:
    """What others may use: a module's own helpers go without a word."""
    return [name for name in names if not name.startswith("_")]


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name.partition(".")[0]
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case _:
                pass


def _has_star(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.alias) and node.name == "*" for node in ast.walk(tree))
