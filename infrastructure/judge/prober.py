"""Calls functions of one candidate and writes down what they give. Copied into the sandbox and run by path.

Owns what counts as the same: numbers that are equal, sets and dicts in any order, objects without their addresses. An
exception is its type. What a call does to its own arguments counts too. Never imported; Python 3.8 on.
"""

import ast
import asyncio
import hashlib
import importlib.util
import inspect
import itertools
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, ModuleType

SECONDS = 2.0
"""Of one call."""
SHOWN_CHARACTERS = 200
TEXT_CHARACTERS = 100_000
ITEMS = 1_000
DEPTH = 12
ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")


class TooLongError(BaseException):
    """The call's time is over; no `except Exception` of the code that is tried takes it for its own."""


def main() -> None:
    """Try every call of the question: REPORT QUESTION, the question as JSON with `file` and `calls`."""
    report_path, question_path = sys.argv[1:]
    question = json.loads(Path(question_path).read_text("utf-8"))
    report = os.open(report_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    root = Path.cwd()
    sys.path[:0] = [str(place) for place in (root, root / "src") if place.is_dir()]
    sys.argv = [question["file"]]
    signal.signal(signal.SIGALRM, too_long)
    module, problem = load(root / question["file"], root)
    for call in question["calls"]:
        key, shown = (problem, "") if module is None else tried(module, call)
        line = {"call": call, "key": key, "shown": shown, "imported": module is not None}
        os.write(report, (json.dumps(line) + "\n").encode("ascii"))
    os._exit(0)  # a thread that was left running must not keep anybody waiting


def too_long(number: int, frame: "FrameType | None") -> None:
    """The alarm rings."""
    raise TooLongError


def load(path: Path, root: Path) -> "tuple[ModuleType | None, str]":
    """Import a file as its project would; without it, why not."""
    folder, names = path.parent, [path.stem]
    while folder != root and (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    signal.setitimer(signal.ITIMER_REAL, 5 * SECONDS)
    try:
        spec = importlib.util.find_spec(".".join(names))
        if spec is None or spec.loader is None:
            return None, "ModuleNotFoundError"
        return importlib.import_module(".".join(names)), ""
    except BaseException as error:  # noqa: BLE001 - whatever the file raises is its outcome
        return None, type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def tried(module: "ModuleType", text: str) -> "tuple[str, str]":
    """What a call gives: a key that is equal where that is, and what a person is shown."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    arguments = [ast.literal_eval(each) for each in call.args]
    named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    before = canonical([arguments, named])
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        function: object = module
        for name in dotted(call.func):
            function = getattr(function, name)
        value = called(function, arguments, named)
        key, shown = canonical(value), plain(value)
        after = canonical([arguments, named])
        if after != before:
            key, shown = key + " and " + after, shown + f", and makes its arguments {plain(arguments)}"
    except TooLongError:
        return "no end", "no end within two seconds"
    except BaseException as error:  # noqa: BLE001 - an exception is an outcome like another
        return f"raises {type(error).__name__}", f"raises {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32], shown


def called(function: "object", arguments: "list[object]", named: "dict[str, object]") -> object:
    """What a function gives: awaited where it is to be, and the items of a generator."""
    if not callable(function):
        raise TypeError("it cannot be called")
    value = function(*arguments, **named)
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    return list(itertools.islice(value, ITEMS)) if inspect.isgenerator(value) else value


def dotted(function: ast.expr) -> "list[str]":
    """The parts of a dotted name."""
    names: list[str] = []
    while isinstance(function, ast.Attribute):
        names.insert(0, function.attr)
        function = function.value
    return [function.id, *names] if isinstance(function, ast.Name) else names


def plain(value: object) -> str:
    """A value as a person is shown it, on one line."""
    text = " ".join(ADDRESS.sub("0x…", repr(value)).split())
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def canonical(value: object, depth: int = 0) -> str:
    """A text that is equal where values are, as a test would see it."""
    if depth > DEPTH:
        return "…"
    kind = type(value)
    if kind is float:
        return number(value)  # type: ignore[arg-type]
    if kind in (list, tuple):
        return f"{kind.__name__}({', '.join(canonical(each, depth + 1) for each in value)})"  # type: ignore[attr-defined]
    if kind in (set, frozenset):
        return f"set({', '.join(sorted(canonical(each, depth + 1) for each in value))})"  # type: ignore[attr-defined]
    if kind is dict:
        pairs = [f"{canonical(key, depth + 1)}: {canonical(each, depth + 1)}" for key, each in value.items()]  # type: ignore[attr-defined]
        return f"dict({', '.join(sorted(pairs))})"
    return ADDRESS.sub("0x…", repr(value))[:TEXT_CHARACTERS]


def number(value: float) -> str:
    """A float by its first twelve digits, so that the order of additions does not count; a whole one as an int."""
    return repr(int(value)) if value.is_integer() else f"{value:.12g}"


if __name__ == "__main__":
    main()
