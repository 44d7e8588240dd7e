"""Definitions put in the place of those of the same names in a Python file.

Owns which definition of a file a given one replaces, by its qualified name, and where a new one goes. Pure and by
positions: every line that is no part of a replaced definition stays as it is.
"""

from __future__ import annotations

import ast
from itertools import pairwise
from textwrap import dedent
from typing import TYPE_CHECKING

from agents.answers.places import Misfit, Place, lead
from agents.answers.syntax import PYTHON, Definition, assigned, defined, is_constant, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WHOLE = "Give whole definitions with their decorators, nothing else; or search/replace edits, or the whole file."


def put_definitions(path: str, lines: Sequence[str], code: str) -> Sequence[Place] | Misfit:
    """Return where in a file definitions are replaced or added; no two places overlap, the first line comes first.

    Args:
        path: The file; only Python is understood.
        lines: Its lines.
        code: The definitions.
    """
    if not path.endswith(PYTHON):
        return Misfit("is no Python, and only Python is taken by definitions", "Give the whole file, or edits.")
    code = dedent(code)
    tree, given = parsed("\n".join(lines)), parsed(code)
    if isinstance(given, str):
        return Misfit(f"the given definitions cannot be read: {given}", _WHOLE)
    if isinstance(tree, str):
        return Misfit(f"the file cannot be read, so no definition is found in it: {tree}", "Give the whole file.")
    return _put(_File(lines, tree), _File(code.removesuffix("\n").split("\n"), given))


class _File:
    """Lines and their tree."""

    def __init__(self, lines: Sequence[str], tree: ast.Module) -> None:
        self.lines = tuple(lines)
        self.tree = tree
        self.body = tree.body

    def span(self, node: ast.stmt) -> tuple[int, int]:
        """The lines of a statement, its decorators included, from 0, the last excluded."""
        first = min([node.lineno, *(each.lineno for each in _decorators(node))])
        return first - 1, node.end_lineno or node.lineno

    def source(self, node: ast.stmt, blanks: str = "") -> tuple[str, ...]:
        """The lines of a statement with other blanks before them; lines inside a text stay as they are."""
        start, stop = self.span(node)
        own = lead(self.lines[start])
        inside = _inside_texts(node)
        moved = [
            line
            if number + 1 in inside or own == blanks
            else f"{blanks}{line.removeprefix(own)}"
            if line.strip()
            else ""
            for number, line in enumerate(self.lines[start:stop], start)
        ]
        return tuple(moved)


def _put(file: _File, given: _File) -> Sequence[Place] | Misfit:
    definitions = [node for node in given.body if isinstance(node, Definition)]
    imports = [node for node in given.body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in given.body if node not in definitions and node not in imports and not is_constant(node)]
    if not definitions:
        return Misfit("holds no definition", _WHOLE)
    if others:
        line = given.lines[others[0].lineno - 1].strip()[:80]
        return _rewritten(file, given) or Misfit(f"holds more than definitions: {line!r}", _WHOLE)
    replacements: list[Place] = []
    for node in definitions:
        placed = _placed(file, given, node)
        if isinstance(placed, Misfit):
            return placed
        replacements.extend(placed)
    replacements.extend(_imported(file, given, imports))
    return _in_order(replacements)


def _rewritten(file: _File, given: _File) -> Sequence[Place] | None:
    """What holds every definition and every name of the file, and more than definitions, is the file given whole."""
    has, wants = _all_names(given.body), _all_names(file.body)
    return [Place(0, len(file.lines), given.lines)] if set(defined(file.body)) and wants <= has else None


def _placed(file: _File, given: _File, node: Definition) -> list[Place] | Misfit:
    known = [each for each in _reachable(file.body) if each.name == node.name]
    in_class = None if known else _class_of_method(file, node)
    if isinstance(in_class, Misfit):
        return in_class
    if in_class is not None:
        known = [each for each in in_class.body if isinstance(each, Definition) and each.name == node.name]
    if not known:
        return [_added(file, given.source(node))]
    return _instead(file, given, known, node)


def _instead(file: _File, given: _File, known: Sequence[Definition], node: Definition) -> list[Place] | Misfit:
    target = _one_of(known, node)
    if isinstance(target, Misfit):
        return target
    if isinstance(node, ast.ClassDef) and isinstance(target, ast.ClassDef):
        lacking = sorted(_all_names(target.body) - _all_names(node.body))
        if lacking:
            return _members(file, given, target, node, lacking)
    start, stop = file.span(target)
    return [Place(start, stop, given.source(node, lead(file.lines[start])))]


def _members(
    file: _File, given: _File, target: ast.ClassDef, node: ast.ClassDef, lacking: Sequence[str]
) -> list[Place] | Misfit:
    """A class that lacks some of its methods or attributes stands for the methods that it has."""
    plain = all(isinstance(each, Definition) or is_constant(each) for each in node.body)
    if not plain or ast.dump(_header(node)) != ast.dump(_header(target)):
        return Misfit(
            f"the class {node.name} lacks {', '.join(lacking[:5])}, and it is more than a frame for methods",
            "Give all that the class has, or only its head and the methods that change; what is to go needs an edit.",
        )
    replacements: list[Place] = []
    for each in node.body:
        if not isinstance(each, Definition):
            continue
        known = [one for one in target.body if isinstance(one, Definition) and one.name == each.name]
        placed = _instead(file, given, known, each) if known else [_appended(file, given, target, each)]
        if isinstance(placed, Misfit):
            return placed
        replacements.extend(placed)
    return replacements


def _header(node: ast.ClassDef) -> ast.ClassDef:
    return ast.ClassDef(
        name=node.name, bases=node.bases, keywords=node.keywords, body=[], decorator_list=node.decorator_list
    )


def _class_of_method(file: _File, node: Definition) -> ast.ClassDef | Misfit | None:
    """The class that a bare method belongs to; None for what is no method."""
    if isinstance(node, ast.ClassDef) or not _takes_self(node):
        return None
    classes = [each for each in file.body if isinstance(each, ast.ClassDef)]
    having = [each for each in classes if node.name in defined(each.body)]
    if len(having) == 1:
        return having[0]
    where = f"stands in {len(having)} classes" if having else "is in no class of the file"
    return Misfit(f"the method {node.name} {where}", "Put a line such as `class Name:` above it, and indent it.")


def _one_of(known: Sequence[Definition], node: Definition) -> Definition | Misfit:
    """The definition that another replaces; of several, such as a property and its setter, the one decorated alike."""
    wanted = _decoration(node)
    alike = [each for each in known if _decoration(each) == wanted]
    if len(alike) == 1 and (len(known) == 1 or wanted):
        return alike[0]
    if len(known) > 1:
        lines = ", ".join(str(each.lineno) for each in known)
        return Misfit(f"{node.name} is defined {len(known)} times (lines {lines})", "Give a search/replace edit.")
    if known[0].decorator_list and not node.decorator_list:
        lost = ", ".join(f"@{each}" for each in _decoration(known[0]))
        return Misfit(f"{node.name} has the decorators {lost} in the file and none here", _WHOLE)
    return known[0]


def _appended(file: _File, given: _File, target: ast.ClassDef, node: Definition) -> Place:
    start, stop = file.span(target.body[-1])
    return Place(stop, stop, ("", *given.source(node, lead(file.lines[start]))))


def _added(file: _File, source: tuple[str, ...]) -> Place:
    """A new definition goes to the end, or before the lines that run the file as a program."""
    for node in file.body:
        if isinstance(node, ast.If) and "__main__" in ast.dump(node.test):
            start = file.span(node)[0]
            return Place(start, start, (*source, "", ""))
    stop = file.span(file.body[-1])[1] if file.body else 0
    return Place(stop, stop, ("", "", *source) if stop else source)


def _imported(file: _File, given: _File, imports: Sequence[ast.Import | ast.ImportFrom]) -> Iterator[Place]:
    known = {ast.dump(each) for each in file.body}
    for each in imports:
        if ast.dump(each) not in known:
            first = isinstance(each, ast.ImportFrom) and each.module == "__future__"
            place = _behind_text(file.tree) if first else import_place(file.tree)
            yield Place(place, place, given.source(each))


def import_place(tree: ast.Module) -> int:
    """Return the line, counted from 0, before which an import may be put: behind the imports that open a file."""
    place = 0
    for number, node in enumerate(tree.body):
        opening = number == 0 and is_constant(node)
        if not opening and not isinstance(node, ast.Import | ast.ImportFrom):
            break
        place = node.end_lineno or node.lineno
    return place


def _behind_text(tree: ast.Module) -> int:
    return tree.body[0].end_lineno or 0 if tree.body and is_constant(tree.body[0]) else 0


def _in_order(replacements: Sequence[Place]) -> Sequence[Place] | Misfit:
    order = sorted(replacements, key=lambda each: (each.start, each.stop))
    if any(one.stop > other.start for one, other in pairwise(order)):
        return Misfit("two of the given definitions are one in the file", "Give each definition once.")
    return order


def _reachable(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """Definitions at the top of a file, those under a condition or in a `try` included."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        elif isinstance(node, ast.If):
            yield from _reachable([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [each for handler in node.handlers for each in handler.body]
            yield from _reachable([*node.body, *handlers, *node.orelse, *node.finalbody])


def _all_names(body: Sequence[ast.stmt]) -> set[str]:
    return {*defined(body), *assigned(body)}


def _takes_self(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = [*node.args.posonlyargs, *node.args.args][:1]
    return bool(first) and first[0].arg in ("self", "cls")


def _decoration(node: Definition) -> tuple[str, ...]:
    return tuple(ast.unparse(each) for each in node.decorator_list)


def _decorators(node: ast.stmt) -> Sequence[ast.expr]:
    return node.decorator_list if isinstance(node, Definition) else ()


def _inside_texts(node: ast.stmt) -> set[int]:
    """Lines that begin inside a text of several lines; one that documents is indented like code."""
    opening = [each.body[0] for each in ast.walk(node) if isinstance(each, Definition)]
    documenting = {id(each.value) for each in opening if isinstance(each, ast.Expr)}
    inside: set[int] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.JoinedStr | ast.Constant) and id(each) not in documenting:
            inside.update(range(each.lineno + 1, (each.end_lineno or each.lineno) + 1))
    return inside
