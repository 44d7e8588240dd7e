"""Whether a changed file can be read at all, and has the names it uses, before tests are run on it. Pure.

Owns the check for Python, by the grammar of the interpreter that runs Corral. A project may be ahead of that grammar:
a file that it could not read before the change is left to the tests.
"""

from __future__ import annotations

import ast
import warnings

from infrastructure.workflow.names import newly_undefined

CHECKED_BYTES = 256 << 10
"""Larger files are left to the tests: reading one takes memory a hundred times its size."""


def syntax_error(path: str, before: str | None, after: str) -> str:
    """Why a file cannot be read, with the line; empty where it can, or where nobody here can tell.

    Args:
        path: decides the language.
        before: its text before the change; None for a new file.
        after: its text now.
    """
    if not path.endswith((".py", ".pyi")) or len(after) > CHECKED_BYTES:
        return ""
    problem = _python_error(after)
    if problem and before is not None and _python_error(before):
        return ""
    return problem


def undefined(path: str, before: str | None, after: str) -> tuple[str, ...]:
    """What a change left without a definition, one sentence for each name; arguments as for `syntax_error`."""
    if not path.endswith(".py") or len(after) > CHECKED_BYTES:
        return ()
    names = newly_undefined(before, after)
    return tuple(f"the name {name} in line {line} is not defined or imported" for name, line in names.items())


def _python_error(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a string is the project's own affair
        try:
            ast.parse(text)
        except SyntaxError as error:
            return f"syntax error in line {error.lineno or 1}: {error.msg}"
        except (RecursionError, MemoryError):
            return "it is nested too deeply to be read"
        except ValueError as error:
            return f"it is no Python: {error}"
        except SystemError:  # CPython issue 106905: until 3.11.8 two threads that read at once can disturb each other
            return ""
    return ""
