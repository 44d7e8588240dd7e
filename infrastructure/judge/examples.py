"""Examples that a task states: calls of its functions, and what they give. Pure; no model is asked.

Owns which spellings are read. Of a docstring, or of the words of a task:

1. Python's own: `>>> f(2)` with the value on the next lines, `>>> f(2) == 4`, a traceback.
2. A call, a sign or word, a value: `f(2) == 4`, `f(2) => 4`, `f(2) ➞ 4`, `f(2) returns 4`.
3. Values by the names of parameters, in a docstring: `Input: n = 2` and below it `Output: 4`; `For n = 2, the result
   should be 4`.

What is not wholly literal is left out: a guess here would be believed more than a written test. So is what may be said
of how things are, not of how they should be: behind `if` or `bug`, or before "It should". An example can be wrong all
the same, as whoever wrote it may be.
"""

from __future__ import annotations

import ast
import doctest
import re
import warnings
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from agents.answers.asserting import ABOUT, RAISES
from agents.answers.calls import MAX_CHARACTERS, is_literal

MOST = 12
"""Of one text: more tell little more, and each is a test to be run."""
MAX_TEXT, MAX_LINE = 50_000, 2000
"""In characters. A longer text or line is not read: it is data, and a part of it could say what the whole does not."""
_TRIES = 50
"""How many ends of a call or of a value are tried, so that a line of brackets takes no longer than one of words."""
_AROUND = frozenset({"abs", "bool", "dict", "float", "int", "len", "list", "round", "set", "sorted", "str", "tuple"})
"""What may stand around a call: it acts on nothing but the value."""
_GIVES = re.compile(
    r"\s*(?:={1,3}>?|-{1,2}>|➞|→|⇒|should (?:return|give|be|equal)|(?:will )?(?:returns?|gives?|yields?|equals?|is))\s*"
)
_LEETCODE = re.compile(r"^[ \t]*Input:[ \t]*(?P<given>\S.*)\n\s*Output:[ \t]*(?P<value>\S.*)$", re.MULTILINE)
_FOR = re.compile(r"\bfor\s+(?P<given>[A-Za-z_]\w*\s*=.*)$", re.IGNORECASE)
_OUTPUT = re.compile(
    r"\s(?:output|result|answer|function)\s+(?:should|would|will|must|is)(?:\s+(?:be|return|give))?\s+(?P<value>\S.*)$",
    re.IGNORECASE,
)
_AND = re.compile(r"\b(?:and|but|or|while|whereas)$")
"""What stands between a value and the next call."""
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*\(")
_SENTENCE = re.compile(r"[.;:!?](?=\s)")
_DOUBT = re.compile(
    r"\b(?:if|elif|when|whenever|unless|until|bug|buggy|wrong|wrongly|incorrect|incorrectly|instead|currently|actual|"
    r"actually|today|previously|formerly|not|never|no longer|cannot|fails?|broken)\b|n't\b|"
    r"(?:^|[.;:!?]\s)[ \t`*-]*while\b",
    re.IGNORECASE | re.MULTILINE,
)
"""In a sentence, before a call: what follows may be a condition, or what is to be mended."""
_TAKEN_BACK = re.compile(
    r"[^\w\n]*(?:\n[^\w\n]*)?(?:(?:and|but|yet|however)\W+)?(?:(?:it|this|that|which)\W+)?"
    r"(?:(?:is|was|'s)\W+(?:a\W+)?(?:wrong|incorrect|bug|not)|should|must|ought|expected|wanted|wrong|incorrect|instead|rather)\b",
    re.IGNORECASE,
)
"""Behind a value: it is not what is wanted."""
_ROUGH = re.compile(r"-?\d+\.\d{1,6}")
_PRINTS = re.compile(r"\b(?:print|display)(?:s|ed|ing)?\b", re.IGNORECASE)
"""In such a text the lines below `>>>` may be what is printed."""
_ELSEWHERE = {"true": "True", "false": "False", "null": "None"}
"""Values as other languages spell them."""


@dataclass(frozen=True, slots=True)
class Example:
    """What one call gives.

    Attributes:
        function: The name of the function.
        call: The call as Python; something like `round` may stand around it.
        value: The literal that it gives, `about 3.14`, or `raises ValueError`.
    """

    function: str
    call: str
    value: str


def stated_examples(text: str, functions: Collection[str]) -> tuple[Example, ...]:
    """The examples that a text states of functions, in its order, each call once and none that contradict each other.

    Args:
        text: A docstring, or the words of a task.
        functions: Their names, without a dot.
    """
    if len(text) > MAX_TEXT:
        return ()
    return _settled([*_sessions(text, functions), *_called(text, functions)])


def documented_examples(source: str, functions: Collection[str]) -> tuple[Example, ...]:
    """The examples in the docstrings of functions of a Python file, and in that of the file; none if it is no Python.

    Args:
        source: The file.
        functions: Their names; a method has none of its own, since it needs an object.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found = list(stated_examples(ast.get_docstring(tree) or "", functions))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            found += stated_examples(text, functions)
            found += _by_parameters(text, node) if node.name in functions and len(text) <= MAX_TEXT else ()
    return _settled(found)


def defined_functions(source: str) -> tuple[str, ...]:
    """The functions that a Python file defines outside of classes and functions; none if it is no Python."""
    return tuple(node.name for node in _functions(source))


def unwritten_functions(source: str) -> tuple[str, ...]:
    """Those of them that do nothing yet: a docstring, `pass`, `...`, `raise NotImplementedError`."""
    return tuple(node.name for node in _functions(source) if all(map(_does_nothing, node.body)))


def defined_methods(source: str) -> frozenset[str]:
    """The methods of its classes, which nothing can import by their names."""
    classes = (node for node in _statements(source) if isinstance(node, ast.ClassDef))
    inside = (each for node in classes for each in node.body)
    return frozenset(each.name for each in inside if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def _functions(source: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in _statements(source) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _statements(source: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise) and node.exc is not None:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _settled(found: Sequence[Example]) -> tuple[Example, ...]:
    """Each call once. Of a call that is said to give two things, nothing is known."""
    said: dict[str, set[str]] = {}
    for each in found:
        said.setdefault(each.call, set()).add(each.value.removeprefix(ABOUT))
    first = {each.call: each for each in reversed(found) if len(said[each.call]) == 1}
    ordered = dict.fromkeys(each.call for each in found if each.call in first)
    return tuple(first[call] for call in ordered)[:MOST]


# ------------------------------------------------------------------------------------------- the spellings


def _sessions(text: str, functions: Collection[str]) -> Iterator[Example]:
    """What stands behind `>>>`."""
    try:
        found = doctest.DocTestParser().get_examples(text)
    except ValueError:  # its blanks are not as they must be
        return
    lines, printing = text.splitlines(), _PRINTS.search(text) is not None
    for each in found:
        if each.options.get(doctest.SKIP):
            continue
        expression, value = _parsed(each.source.split("#")[0]) or _parsed(each.source), each.want.strip()
        if isinstance(expression, ast.Compare) and isinstance(expression.ops[0], ast.Eq) and value in ("", "True"):
            yield from _example(expression.left, _spelled(expression.comparators[0]), functions)
        elif expression is not None and each.exc_msg is not None:
            yield from _example(expression, RAISES + each.exc_msg.partition(":")[0].strip(), functions)
        elif expression is not None and not printing:
            none = (
                "None" if _is_session(lines[each.lineno + each.source.count("\n") :]) else ""
            )  # else prose may say it
            yield from _example(expression, value or none, functions)


def _is_session(lines: Sequence[str]) -> bool:
    """Whether the next call follows, with nothing but blanks before."""
    return next((line for line in lines if line.strip()), "").lstrip().startswith(">>>")


def _called(text: str, functions: Collection[str]) -> Iterator[Example]:
    """A call, a sign or word, a value, in one line that is none of a session."""
    lines = ["", *(line if len(line) <= MAX_LINE else "" for line in text.splitlines()), ""]
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.lstrip().startswith((">>>", "...")):
            continue
        starts = [each.start() for each in _CALL.finditer(line) if each[1] in functions]
        marks = _marks(f"{before}\n{line}") if starts else []
        for start, end in pairwise([*starts, len(line)]):  # a value ends where the next call begins
            last = bisect_right(marks, (len(before) + 1 + start, True)) - 1
            if last >= 0 and marks[last][1]:
                continue
            call, rest = _balanced(line[start:end])
            sign = _GIVES.match(rest)
            if call is not None and sign is not None:
                follows, rough = "" if end < len(line) else f"\n{after}", "=" not in sign[0].replace("=>", "")
                for each in _example(call, _without_and(rest[sign.end() :]), functions, follows):
                    yield replace(each, value=ABOUT + each.value) if rough and _ROUGH.fullmatch(each.value) else each


def _marks(text: str) -> list[tuple[int, bool]]:
    """Where sentences and words of doubt end, in their order, and whether it is doubt."""
    sentences = [(each.end(), False) for each in _SENTENCE.finditer(text)]
    return sorted([*sentences, *((each.end(), True) for each in _DOUBT.finditer(text))])


def _without_and(text: str) -> str:
    """A value without the word that leads to the next call, which may be quoted."""
    plain = text.rstrip(" \t`")
    leads = _AND.search(plain)
    return text if leads is None else plain[: leads.start()].rstrip(" \t,;")


def _by_parameters(text: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Example]:
    """Arguments by the names of the parameters, or in their order."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    stated = [(found["given"], found["value"]) for found in _LEETCODE.finditer(text)]
    for given, value in (*stated, *_for_given(text)):
        call = _parsed(f"{function.name}({given.strip()})")
        if isinstance(call, ast.Call) and {each.arg for each in call.keywords} <= set(names):
            whole = len(call.args) + len(call.keywords) == len(names)
            yield from _example(call, value, [function.name]) if whole else ()


def _for_given(text: str) -> Iterator[tuple[str, str]]:
    """The arguments and the value of `For n = 2, the result should be 4`, in one line."""
    for line in text.splitlines():
        output = _OUTPUT.search(line) if len(line) <= MAX_LINE else None
        given = None if output is None else _FOR.search(line[: output.start()])
        if output is not None and given is not None:
            plain = given["given"].rstrip().removesuffix(" the").rstrip(" \t,")
            yield plain, output["value"]


def _example(
    expression: ast.expr, value: str, functions: Collection[str], follows: str | None = None
) -> Iterator[Example]:
    """The example, if both sides are what can be tested, and what follows the value does not take it back."""
    function = next((name for name in map(_called_name, ast.walk(expression)) if name in functions), None)
    said = value if value.startswith(RAISES) else _literal(value, follows)
    if function is not None and said is not None and _is_plain(expression, {function}):
        yield from (Example(function, call, said) for call in [_spelled(expression)] if call)


def _called_name(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _is_plain(node: ast.expr, functions: Collection[str]) -> bool:
    """Whether it is a literal, or a call of a function, or of what may stand around one, with such arguments."""
    if is_literal(node):
        return True
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    given = [*node.args, *(each.value for each in node.keywords if each.arg is not None)]
    whole = len(given) == len(node.args) + len(node.keywords)
    return whole and node.func.id in {*functions, *_AROUND} and all(_is_plain(each, functions) for each in given)


def _literal(text: str, follows: str | None) -> str | None:
    """A value in Python's spelling, without the comment or the full stop behind it; None where it is no literal.

    `follows` is what comes behind the text; None for a value that nothing can take back.
    """
    ends = (each.start() for each in re.finditer(r"#|[.;:](?=\s)", text[:MAX_CHARACTERS]))
    for end in (len(text), *islice(ends, _TRIES)):
        plain = text[:end].strip().rstrip(".,;").strip("`").rstrip()  # `4.` is the end of a sentence
        parsed = _parsed(_ELSEWHERE.get(plain, plain))
        if parsed is not None and is_literal(parsed) and not any(_is_dots(part) for part in ast.walk(parsed)):
            behind = () if follows is None else (text[end:] + follows, text.partition("#")[2])
            return None if any(map(_TAKEN_BACK.match, behind)) else _spelled(parsed) or None
    return None


def _is_dots(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _balanced(text: str) -> tuple[ast.expr | None, str]:
    """The call that a text begins with, and what follows; None where there is no whole one."""
    for end in islice(re.finditer(r"\)", text[:MAX_CHARACTERS]), _TRIES):
        call = _parsed(text[: end.end()])
        if call is not None:
            return call, text[end.end() :]
    return None, ""


def _parsed(text: str) -> ast.expr | None:
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is no reason to speak of it
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _spelled(node: ast.expr) -> str:
    """The plain spelling; empty for what is nested too deep to have one."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return ""
