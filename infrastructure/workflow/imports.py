"""Which import a missing name wants, where that is certain. Pure.

Owns the table of the standard library's names that mean one thing, and the conditions under which they do: a module is
used by attributes that it has, and the project has no module of that name itself.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection, Sequence

from infrastructure.workflow.names import parsed

_MODULES = frozenset(
    {"abc", "argparse", "ast", "asyncio", "base64", "bisect", "collections", "contextlib", "copy", "csv", "dataclasses"}
    | {"datetime", "enum", "functools", "glob", "hashlib", "heapq", "html", "inspect", "io", "itertools", "json"}
    | {"logging", "math", "operator", "os", "pathlib", "pickle", "random", "re", "shlex", "shutil", "signal", "socket"}
    | {"sqlite3", "statistics", "string", "struct", "subprocess", "sys", "tempfile", "textwrap", "threading", "time"}
    | {"traceback", "typing", "unicodedata", "unittest", "urllib", "uuid", "warnings", "weakref", "zipfile", "zlib"}
)
_MEMBERS = {
    **dict.fromkeys(("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"), "collections"),
    **dict.fromkeys(("dataclass",), "dataclasses"),
    **dict.fromkeys(("lru_cache", "partial", "reduce", "wraps", "cached_property", "total_ordering"), "functools"),
    **dict.fromkeys(("date", "datetime", "timedelta", "timezone"), "datetime"),
    **dict.fromkeys(("Enum", "IntEnum", "StrEnum"), "enum"),
    **dict.fromkeys(("Path", "PurePosixPath"), "pathlib"),
    **dict.fromkeys(("ABC", "abstractmethod"), "abc"),
    **dict.fromkeys(("contextmanager", "asynccontextmanager", "suppress"), "contextlib"),
    **dict.fromkeys(("chain", "combinations", "groupby", "islice", "permutations", "zip_longest"), "itertools"),
    **dict.fromkeys(("Decimal", "ROUND_HALF_UP"), "decimal"),
    **dict.fromkeys(("Fraction",), "fractions"),
    **dict.fromkeys(("deepcopy",), "copy"),
    **dict.fromkeys(("StringIO", "BytesIO"), "io"),
    **dict.fromkeys(("Any", "Callable", "ClassVar", "Dict", "Final", "FrozenSet", "Generator", "Generic"), "typing"),
    **dict.fromkeys(("Iterable", "Iterator", "List", "Literal", "Mapping", "NamedTuple", "NoReturn"), "typing"),
    **dict.fromkeys(("Optional", "Protocol", "Sequence", "Set", "Tuple", "Type", "TypeVar", "TypedDict"), "typing"),
    **dict.fromkeys(("Union", "cast", "overload"), "typing"),
}
_ONLY_CALLED = frozenset({"cast", "chain", "combinations", "groupby", "islice", "permutations", "partial", "reduce"})


def import_for(name: str, before: str | None, after: str, project: Collection[str]) -> str | None:
    """Return the import statement that a missing name wants, or None where that is not certain.

    An import of the file as it was before the change comes first: a file that is written whole often loses one.

    Args:
        name: The name that is used and not defined.
        before: The file before the change; None for a new one.
        after: The file after it.
        project: Paths of the project, with `/`.
    """
    lost = None if before is None else _import_in(before, name)
    if lost is not None:
        return lost
    tree = parsed(after)
    uses = [] if tree is None else _uses(tree, name)
    if not uses:
        return None
    module = _MEMBERS.get(name, "")
    as_module = name in _MODULES and not _is_own(name, project) and _all_attributes(uses, name)
    as_member = bool(module) and not _is_own(module, project) and _fits(uses, module, name)
    if as_module == as_member:
        return None  # neither, or `datetime.date`, which is either
    return f"import {name}" if as_module else f"from {module} import {name}"


def _import_in(text: str, name: str) -> str | None:
    tree = parsed(text)
    for node in [] if tree is None else tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and getattr(node, "module", None) != "__future__":
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    return ast.unparse(_alone(node, alias))
    return None


def _alone(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import(names=[alias])
    return ast.ImportFrom(module=node.module, names=[alias], level=node.level)


def _uses(tree: ast.Module, name: str) -> list[ast.AST]:
    """What each use of the name stands in: its attribute, its call, or the name alone."""
    inside: dict[int, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            inside[id(node.value)] = node
        elif isinstance(node, ast.Call):
            inside[id(node.func)] = node
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name)
    return [inside.get(id(node), node) for node in names]


def _all_attributes(uses: Sequence[ast.AST], name: str) -> bool:
    """Whether each use is an attribute that the module has. Only modules of the table are ever imported here."""
    has = dir(importlib.import_module(name))
    return all(isinstance(use, ast.Attribute) and use.attr in has for use in uses)


def _fits(uses: Sequence[ast.AST], module: str, name: str) -> bool:
    if name in _ONLY_CALLED and not all(isinstance(use, ast.Call) for use in uses):
        return False
    has = dir(getattr(importlib.import_module(module), name))
    return all(not isinstance(use, ast.Attribute) or use.attr in has for use in uses)


def _is_own(module: str, project: Collection[str]) -> bool:
    return any(f"/{path}".endswith((f"/{module}.py", f"/{module}/__init__.py")) for path in project)
