"""Whether a patch newly reaches for what judges it. Pure.

Owns the list of what counts: code that runs in one process with its tests and names the test framework, or the means
to find objects that nobody handed to it. What the file named before does not count. A name that is put together at run
time is not seen: what is found is a reason to doubt, what is not found proves nothing.
"""

import ast
import re
import warnings
from pathlib import PurePosixPath

FRAMEWORKS = frozenset({"__main__", "unittest", "pytest", "_pytest", "pluggy"})
_MEANS = frozenset(
    {
        "gc.get_objects",
        "gc.get_referrers",
        "sys._getframe",
        "sys._current_frames",
        "sys.settrace",
        "sys.setprofile",
        "threading.settrace",
        "threading.setprofile",
        "inspect.currentframe",
        "inspect.stack",
    }
)
_ATTRIBUTES = frozenset(
    {"f_back", "f_lineno", "f_trace", *(name.partition(".")[2] for name in _MEANS if name != "inspect.stack")}
)
_FOLLOWED = FRAMEWORKS | {name.partition(".")[0] for name in _MEANS}
_SPELLED = re.compile(r"(__main__|unittest|_?pytest|pluggy)(\.[A-Za-z_]\w*)*")
_FILES = frozenset({"pytest.ini", "pytest.toml"})
_ANYWHERE = re.compile(
    r"\b(?:__main__|unittest|_?pytest|pluggy|get_objects|get_referrers|_getframe|f_back|f_lineno|settrace)\b"
)
_JAVASCRIPT = re.compile(
    r"['\"](?:node:)?(?:assert(?:/strict)?|test(?:/reporters)?|module|vm|v8|inspector|worker_threads)['\"]"
    r"|['\"](?:@jest/[\w-]+|jest[\w-]*|@vitest/[\w-]+|vitest|chai|mocha)['\"]|\brequire\.(?:cache|main)\b|\beval\b"
    r"|\bprocess\.(?:exit|exitCode|reallyExit|abort|kill|binding|emit|stdout|stderr|argv|execArgv)\b|\bprocess\s*\["
    r"|\b(?:globalThis|global)\s*\[|\b(?:globalThis|global)\.(?:expect|test|it|describe|process|assert)\b"
    r"|\brequire\(\s*[^'\"\s]|\bimport\(\s*[^'\"\s]|\bnew Function\b|\.constructor\s*\("
)
_GO = re.compile(
    r"\bos\.Exit\b|\bsyscall\b|\"(?:testing|unsafe|os/signal|runtime/debug|plugin|C)\"|//go:linkname|\bos\.Stdout\b"
)
_RUST = re.compile(
    r"\bprocess::(?:exit|abort)\b|\blibc\b|/dev/std|/proc/self|\bstdout\(\)|\bextern\b|\bunsafe\b|\bpanic::set_hook\b|\b_exit\b"
    r"|\bmacro_rules!\s*(?:debug_)?assert\w*"
)
_OTHER_LANGUAGES = {
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts", ".cts"), _JAVASCRIPT),
    ".go": _GO,
    ".rs": _RUST,
}
_READ_CHARACTERS = 256 << 10


def newly_named(path: str, before: str | None, after: str) -> tuple[str, ...]:
    """What a file reaches for and did not before, sorted; empty for a language that nothing is known of.

    Python is read by its grammar. Of JavaScript, Go and Rust the text is searched, comments and all.

    Args:
        path: Says what it is.
        before: Its text in the snapshot; None for a new file.
        after: Its text now.
    """
    suffix = PurePosixPath(path).suffix
    words = _OTHER_LANGUAGES.get(suffix)
    if words is not None:
        known = frozenset[str]() if before is None else frozenset(words.findall(before))
        return tuple(sorted(frozenset(words.findall(after)) - known))
    if suffix not in {".py", ".pyw"}:
        return ()
    return tuple(sorted(_named(after) - (_named(before) if before is not None else frozenset())))


def _named(text: str) -> frozenset[str]:
    if len(text) > _READ_CHARACTERS:
        return frozenset(_ANYWHERE.findall(text))
    names = _Names()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is the project's own affair
            names.visit(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError):  # the last: CPython issue 106905
        return frozenset(_ANYWHERE.findall(text))
    return frozenset(names.found)


class _Names(ast.NodeVisitor):
    """Collects what a module reaches for, by the names that its imports and assignments give to it."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._aliases: dict[str, str] = {}

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            root = each.name.partition(".")[0]
            self._note(each.name)
            if root in _FOLLOWED:
                self._aliases[each.asname or root] = each.name if each.asname else root

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None or node.module.partition(".")[0] not in _FOLLOWED:
            return
        for each in node.names:
            self._note(f"{node.module}.{each.name}")
            self._aliases[each.asname or each.name] = f"{node.module}.{each.name}"

    def visit_Assign(self, node: ast.Assign) -> None:
        meant = self._dotted(node.value)
        for target in node.targets:
            if meant is not None and isinstance(target, ast.Name):
                self._aliases[target.id] = meant
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = self._dotted(node)
        if dotted is None:
            if node.attr in _ATTRIBUTES:
                self.found.add(node.attr)
            self.generic_visit(node)
        elif isinstance(node.ctx, ast.Load):
            self._note(dotted)
        else:
            self._note(dotted, changed=True)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self._aliases and isinstance(node.ctx, ast.Load):
            self._note(self._aliases[node.id])

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in {"setattr", "delattr"} and node.args:
            dotted = self._dotted(node.args[0])
            if dotted is not None:
                self._note(dotted, changed=True)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = (node.left, *node.comparators)
        usual = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        for side in sides:  # `if __name__ == "__main__":` reaches for nothing
            if not (usual and isinstance(side, ast.Constant) and side.value == "__main__"):
                self.visit(side)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, str) and value not in _FILES and (value in _ATTRIBUTES or _SPELLED.fullmatch(value)):
            self.found.add(value)

    def _note(self, dotted: str, *, changed: bool = False) -> None:
        if dotted.partition(".")[0] in FRAMEWORKS or dotted in _MEANS:
            self.found.add(f"{dotted} (changed)" if changed else dotted)

    def _dotted(self, node: ast.expr) -> str | None:
        """The full name of `a.b.c` where `a` is a module that is followed, or was given a name of one."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._aliases:
            return None
        return ".".join((self._aliases[node.id], *reversed(names)))
