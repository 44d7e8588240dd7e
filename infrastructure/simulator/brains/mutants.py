"""Owns wrong solutions that differ from each other: a right Python file, changed in one place.

Whether a change makes the file wrong cannot be said in general: `x < y` turned into `x >= y` does no harm where nobody
takes that way. So a share of the mutants is right after all, and only tests can tell how many.
"""

import ast
from collections.abc import Callable, Iterator, Mapping

from infrastructure.simulator.brains.draws import picked

_Change = Callable[[], None]
_Function = ast.FunctionDef | ast.AsyncFunctionDef

_OPPOSITES: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


def mutant(source: str, *about: object) -> str | None:
    """The file with one thing wrong, which one is decided by what the draw is about; None where nothing can be.

    The ways, each as likely as the others that the file allows: a number is one too large, a comparison says the
    opposite, a returned value is negated, a function returns its first argument at once, or all return None.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    ways = {name: changes for name, find in _WAYS.items() if (changes := list(find(tree)))}
    if not ways:
        return None
    way = picked(sorted(ways), "way", *about)
    picked(ways[way], "place", *about)()
    return f"{ast.unparse(ast.fix_missing_locations(tree))}\n"


def respelled(source: str) -> str:
    """The file as a mutant of it that changes nothing would be spelled; itself where it is no Python."""
    try:
        return f"{ast.unparse(ast.parse(source))}\n"
    except (SyntaxError, ValueError):
        return source


def mutants(source: str) -> Iterator[tuple[str, float]]:
    """All that `mutant` can come to, each with its chance; one text can come more than once."""
    ways = {name: sum(1 for _ in find(ast.parse(source))) for name, find in _WAYS.items()}
    found = {name: count for name, count in ways.items() if count}
    for name, count in found.items():
        for place in range(count):
            tree = ast.parse(source)
            list(_WAYS[name](tree))[place]()
            yield f"{ast.unparse(ast.fix_missing_locations(tree))}\n", 1 / (len(found) * count)


def _functions(tree: ast.Module) -> Iterator[_Function]:
    return (node for node in ast.walk(tree) if isinstance(node, _Function))


def _steady(tree: ast.Module) -> Iterator[ast.AST]:
    """What stands in functions, but for what counts or ends a loop: a change there can make it endless."""
    left = {
        id(node)
        for loop in ast.walk(tree)
        for part in ([loop.test] if isinstance(loop, ast.While) else [loop] if isinstance(loop, ast.AugAssign) else ())
        for node in ast.walk(part)
    }
    inside = {id(node): node for function in _functions(tree) for part in function.body for node in ast.walk(part)}
    return (node for node in inside.values() if id(node) not in left)


def _one_too_large(tree: ast.Module) -> Iterator[_Change]:
    for node in _steady(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
            yield lambda node=node, value=node.value + 1: setattr(node, "value", value)


def _opposite(tree: ast.Module) -> Iterator[_Change]:
    for node in _steady(tree):
        if isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITES:
            operator = _OPPOSITES[type(node.ops[0])]()
            yield lambda node=node, operator=operator: node.ops.__setitem__(0, operator)


def _negated(tree: ast.Module) -> Iterator[_Change]:
    for node in _steady(tree):
        if isinstance(node, ast.Return) and node.value is not None:
            says_yes_or_no = (
                isinstance(node.value, ast.Compare | ast.BoolOp)
                or (isinstance(node.value, ast.UnaryOp) and isinstance(node.value.op, ast.Not))
                or (isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool))
            )
            turned = ast.UnaryOp(ast.Not() if says_yes_or_no else ast.USub(), node.value)
            yield lambda node=node, turned=turned: setattr(node, "value", turned)


def _first_argument(tree: ast.Module) -> Iterator[_Change]:
    for function in _functions(tree):
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args) if each.arg != "self"]
        if names:
            early = ast.Return(ast.Name(names[0], ast.Load()))
            yield lambda function=function, early=early: function.body.insert(_after_docstring(function), early)


def _none(tree: ast.Module) -> Iterator[_Change]:
    functions = list(_functions(tree))

    def change() -> None:
        for function in functions:
            function.body.insert(_after_docstring(function), ast.Return(ast.Constant(None)))

    if functions:
        yield change


def _after_docstring(function: _Function) -> int:
    return 0 if ast.get_docstring(function, clean=False) is None else 1


_WAYS: Mapping[str, Callable[[ast.Module], Iterator[_Change]]] = {
    "one too large": _one_too_large,
    "opposite": _opposite,
    "negated": _negated,
    "first argument": _first_argument,
    "none": _none,
}
