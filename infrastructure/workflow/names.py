"""Names that a Python file uses and nothing in it defines. Pure.

Owns the import check: the compiler's own table of scopes (`symtable`) says which names are looked up in the module, so
that scopes of classes, comprehensions and closures are as Python has them. A file that imports with a star, or that
cannot be read, is not judged.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterator

_GIVEN = frozenset(dir(builtins)) | {
    *("__file__", "__name__", "__doc__", "__path__", "__spec__", "__loader__", "__package__", "__annotations__"),
    *("__builtins__", "__debug__", "__class__", "__module__", "__qualname__", "__dict__", "__cached__"),
    *("_", "reveal_type", "WindowsError", "get_ipython"),
}


def parsed(text: str) -> ast.Module | None:
    """The tree of a text, or None where it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
            return None


def undefined_names(text: str) -> dict[str, int]:
    """Names without a definition and the first line that uses each, in the order of the file."""
    tree, table = parsed(text), _table(text)
    if tree is None or table is None or _is_open(tree):
        return {}
    missing = set(_looked_up(table)) - defined_names(text) - _GIVEN - _guarded(tree)
    uses = sorted((node.lineno, node.id) for node in _evaluated(tree) if node.id in missing)
    found: dict[str, int] = {}
    for line, name in uses:
        found.setdefault(name, line)
    return found


def newly_undefined(before: str | None, after: str) -> dict[str, int]:
    """Names that a change left without a definition: those that were so before are the project's own affair."""
    known = {} if before is None else undefined_names(before)
    if before is not None and not known and _unjudged(before):
        return {}
    return {name: line for name, line in undefined_names(after).items() if name not in known}


def defined_names(text: str) -> set[str]:
    """Names that the module defines, in whatever place."""
    table = _table(text)
    if table is None:
        return set()
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    for inner in _inner(table):
        names.update(
            each.get_name() for each in inner.get_symbols() if each.is_declared_global() and each.is_assigned()
        )
    return names | {child.get_name() for child in table.get_children()}


def _evaluated(tree: ast.Module) -> Iterator[ast.Name]:
    """Names that are looked up when the code runs; the type of a function's own variable never is."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    types = [each.annotation for node in functions for each in ast.walk(node) if isinstance(each, ast.AnnAssign)]
    passed_over = {id(each) for annotation in types for each in ast.walk(annotation)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in passed_over:
            yield node


def _unjudged(text: str) -> bool:
    tree = parsed(text)
    return tree is None or _is_open(tree)


def _table(text: str) -> symtable.SymbolTable | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return symtable.symtable(text, "<file>", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):
            return None


def _looked_up(table: symtable.SymbolTable) -> Iterator[str]:
    for each in table.get_symbols():
        if each.is_referenced() and not each.is_assigned() and not each.is_imported():
            yield each.get_name()
    for inner in _inner(table):
        for each in inner.get_symbols():
            if each.is_referenced() and each.is_global():
                yield each.get_name()


def _inner(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    waiting = list(table.get_children())
    while waiting:
        inner = waiting.pop()
        waiting.extend(inner.get_children())
        yield inner


def _is_open(tree: ast.Module) -> bool:
    """Whether names can come in unseen: a star import, `globals()` or `exec` that writes them, a hook of the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Name) and node.id in ("globals", "exec", "__builtins__"):
            return True
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__" and node in tree.body:
            return True
    return False


def _guarded(tree: ast.Module) -> set[str]:
    """Names that are tried, in the expectation that they may not be there."""
    guarded: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
            inside = [each for statement in node.body for each in ast.walk(statement)]
            guarded.update(each.id for each in inside if isinstance(each, ast.Name))
    return guarded


def _catches(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or "NameError" in ast.dump(handler.type)
