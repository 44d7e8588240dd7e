"""Small faults of a changed Python file, put right before another answer is asked for. Pure.

Owns which faults have one remedy and no other. Only what the change broke is touched: a file that could be read is not
changed in its form, and a name that was missing before stays so. Each remedy must make the file readable, or the name
defined; whatever has two possible remedies is left to the model.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agents.answers.readings import unescaped
from infrastructure.workflow.form import SAFE_ALONE, form_remedies
from infrastructure.workflow.imports import import_for
from infrastructure.workflow.names import defined_names, newly_undefined, parsed, undefined_names
from infrastructure.workflow.syntax import CHECKED_BYTES

_SHORTEST = 5
"""Letters of the shortest name in which one letter too many, one too few, or two exchanged are told for a slip."""
_SHORTEST_OTHER = 8
"""Letters of the shortest name in which another letter is: `data` and `date` are two words."""
_CONSTANTS = frozenset({"True", "False", "None"})
_ENTITIES = frozenset({"lt", "gt", "amp", "quot"})
"""What is left of an escape for Python, which reads `a &lt; b` as two statements."""
_MAX_REMEDIES = 3


@dataclass(frozen=True, slots=True)
class Mended:
    """A file's text, mended or as it was, and what was done, one phrase each: "added import math"."""

    text: str
    notes: tuple[str, ...] = ()


def mended(path: str, before: str | None, after: str, project: Collection[str] = ()) -> Mended:
    """Return the text of a changed file with what is certain put right.

    Args:
        path: Decides the language; only Python is mended.
        before: Its text before the change; None for a new file.
        after: Its text now.
        project: Paths of the project, so that its own modules are not taken for the standard library's.
    """
    if not path.endswith(".py") or len(after) > CHECKED_BYTES or before == after:
        return Mended(after)
    if before is not None and parsed(before) is None:
        return Mended(after)
    text, notes = after, list[str]()
    if parsed(text) is None:
        found = _readable(before, text)
        if found is None:
            return Mended(after)
        text, said = found
        notes.append(said)
    if _ENTITIES & set(newly_undefined(before, text)):
        plain = unescaped(text)
        if plain is not None and parsed(plain) is not None:
            text = plain
            notes.append("took out HTML's escapes")
    for name in newly_undefined(before, text):
        found = _defined(name, before, text, project)
        if found is not None:
            text, said = found
            notes.append(said)
    return Mended(text, tuple(notes))


def _readable(before: str | None, text: str) -> tuple[str, str] | None:
    """The text in a form that can be read, by one remedy, else by one after another."""
    said: list[str] = []
    for _ in range(_MAX_REMEDIES):
        helped: tuple[str, str] | None = None
        for remedy, changed in form_remedies(before, text):
            if parsed(changed) is not None:
                return changed, "; ".join([*said, remedy])
            if helped is None and remedy in SAFE_ALONE:
                helped = remedy, changed
        if helped is None:
            return None
        said.append(helped[0])
        text = helped[1]
    return None


def _defined(name: str, before: str | None, text: str, project: Collection[str]) -> tuple[str, str] | None:
    statement = import_for(name, before, text, project)
    if statement is not None:
        return _checked(name, text, _with_import(text, statement), f"added {statement}")
    other = _only_alike(name, text)
    if other is not None:
        return _checked(name, text, _renamed(text, name, other), f"wrote {other} for {name}")
    return None


def _checked(name: str, text: str, changed: str | None, said: str) -> tuple[str, str] | None:
    """A remedy counts that leaves one undefined name less, and no other one more."""
    if changed is None or set(undefined_names(changed)) != set(undefined_names(text)) - {name}:
        return None
    return changed, said


def _with_import(text: str, statement: str) -> str | None:
    """Put an import behind those that open the file, else behind its opening text, in the file's own line ends."""
    tree = parsed(text)
    if tree is None:
        return None
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    place, apart = 0, False
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            place, apart = node.end_lineno or node.lineno, False
        elif number == 0 and _is_text(node):
            place, apart = node.end_lineno or node.lineno, True
        else:
            break
    if place == 0:
        place = _behind_head(lines)
        apart = False
    alone = not any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)
    added = [end] if apart else []
    added.append(f"{statement}{end}")
    if alone and place < len(lines) and lines[place].strip():
        added.append(end)
    return "\n".join([*lines[:place], *added, *lines[place:]])


def _behind_head(lines: list[str]) -> int:
    """Comments that open a file, such as `#!`, stay at its top."""
    place = 0
    while place < len(lines) and lines[place].startswith("#"):
        place += 1
    return place


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _only_alike(name: str, text: str) -> str | None:
    """The one name that this one is a slip of, of all names that stand in the file."""
    alike = {each for each in _all_names(text) if _is_slip(name, each)}
    return alike.pop() if len(alike) == 1 and alike <= _usable(name, text) else None


def _all_names(text: str) -> set[str]:
    tree = parsed(text)
    nodes = [] if tree is None else list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.arg for node in nodes if isinstance(node, ast.arg)} | defined_names(text) | set(dir(builtins))


def _usable(name: str, text: str) -> set[str]:
    """Names that are defined wherever this one is used: in the module, or in the function around every use."""
    tree = parsed(text)
    if tree is None:
        return set()
    usable: set[str] | None = None
    for scope in _functions_using(tree, name):
        own = {node.arg for node in ast.walk(scope) if isinstance(node, ast.arg)}
        own |= {each.id for each in ast.walk(scope) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        usable = own if usable is None else usable & own
    return (usable or set()) | defined_names(text) | set(dir(builtins))


def _functions_using(tree: ast.Module, name: str) -> Iterator[ast.AST]:
    for node in tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        for member in members:
            if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(member)):
                yield member


def _is_slip(name: str, other: str) -> bool:
    """Whether two names differ in case alone, or in one letter: one more, one less, another, or two exchanged.

    A closing `s` makes another word, a digit another thing, and `Node` is not `node`, but a class and one of its kind.
    """
    if name == other or name.rstrip("s") == other.rstrip("s"):
        return False
    if name.lower() == other.lower():
        return other in _CONSTANTS or (len(name) >= _SHORTEST and name[1:] != other[1:])
    if min(len(name), len(other)) < _SHORTEST or _digits(name) != _digits(other):
        return False
    return _in_one_letter(name, other)


def _in_one_letter(name: str, other: str) -> bool:
    head = 0
    while head < min(len(name), len(other)) and name[head] == other[head]:
        head += 1
    one, two = name[head:], other[head:]
    exchanged = one[2:] == two[2:] and one[:2] == two[:2][::-1] and len(one) > 1
    longer = one[1:] == two or one == two[1:]
    another = one[1:] == two[1:] and len(name) >= _SHORTEST_OTHER and head > 0 and len(one) > 1
    return exchanged or longer or another


def _digits(name: str) -> str:
    return "".join(character for character in name if character.isdigit())


def _renamed(text: str, name: str, other: str) -> str | None:
    """Write another name in each place where this one is used; attributes and keywords of that spelling stay."""
    tree = parsed(text)
    if tree is None:
        return None
    lines = text.split("\n")
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    for node in sorted(uses, key=lambda each: (each.lineno, each.col_offset), reverse=True):
        line = lines[node.lineno - 1].encode()
        wanted = slice(node.col_offset, node.col_offset + len(name.encode()))
        if line[wanted] != name.encode():
            return None  # inside an f-string, whose positions this Python does not know
        lines[node.lineno - 1] = (line[: wanted.start] + other.encode() + line[wanted.stop :]).decode()
    return "\n".join(lines)
