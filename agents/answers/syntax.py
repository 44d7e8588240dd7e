"""What a Python text defines.

Owns the only parsing of Python in this room: bounded, silent, and its failures are words.
"""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
PYTHON = (".py", ".pyi")
_MAX_SOURCE = 256 << 10


def parsed(text: str) -> ast.Module | str:
    """Return the tree of a text, or why there is none."""
    if len(text) > _MAX_SOURCE:
        return "it is too large"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except SyntaxError as error:
            return f"syntax error in line {error.lineno or 1}: {error.msg}"
        except (ValueError, RecursionError, MemoryError, SystemError) as error:
            return str(error) or type(error).__name__


def defined(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Return the names of functions and classes that a body defines, those in its conditions left out."""
    return (node.name for node in body if isinstance(node, Definition))


def is_constant(node: ast.stmt) -> bool:
    """Return whether a statement is nothing but a text, as a docstring is, or dots."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def assigned(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Return the names that a body assigns or declares, those in its conditions left out."""
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else (node.target,):
                named = (each for each in ast.walk(target) if isinstance(each, ast.Name))
                yield from (each.id for each in named if isinstance(each.ctx, ast.Store))
