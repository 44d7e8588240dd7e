"""Exercises: folders with a stub, tests and instructions, as Exercism lays them out.

Owns the conventions by which they are found, and what of a folder a solver may see: never `.meta`, where the solutions
lie, nor whatever else the exercise calls an example.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.codegen.tester import is_test_path
from infrastructure.evaluation.errors import BadSet
from infrastructure.evaluation.problems import Problem, read_humaneval
from infrastructure.running.naming import fault_of, shown

_DEEPEST = 6
_LARGEST = 1 << 20
_META, _DOCS = ".meta", ".docs"
_INSTRUCTIONS = ("introduction.md", "instructions.md", "instructions.append.md")
_READMES = ("README.md", "INSTRUCTIONS.md", "readme.md")
_LEFT_OUT = frozenset({_META, _DOCS, ".git", "__pycache__", "node_modules", ".venv"})


class _Files(BaseModel):
    """Paths by what they are, as `.meta/config.json` says it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    solution: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    example: tuple[str, ...] = ()
    exemplar: tuple[str, ...] = ()


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    files: _Files = _Files()


def read_set(place: Path, test_command: str | None = None) -> tuple[Problem, ...]:
    """The problems of a set: those of a file, or the exercises of a folder. Blocking.

    Args:
        place: The file or folder.
        test_command: How the tests of every problem are run, where that is not plain from the files.

    Raises:
        BadSet: it cannot be used.
        OSError: it cannot be read.
    """
    return read_exercises(place, test_command) if place.is_dir() else read_humaneval(place, test_command)


def read_exercises(root: Path, test_command: str | None = None) -> tuple[Problem, ...]:
    """The exercises below a folder, by path. Blocking.

    Raises:
        BadSet: there is none, or some cannot be used.
        OSError: a file cannot be read.
    """
    problems: list[Problem] = []
    wrong: list[str] = []
    for folder in _folders(root, 0):
        name = folder.relative_to(root).as_posix()
        try:
            problems.append(_exercise(folder, folder.name if name == "." else name, test_command))
        except ValueError as error:
            wrong.append(f"{shown(name)}: {error}")
    if wrong or not problems:
        raise BadSet(root, wrong or ["no folder in it has tests and a stub"])
    return tuple(problems)


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    if _is_exercise(folder):
        yield folder
    elif depth < _DEEPEST:
        for each in sorted(folder.iterdir()):
            if each.is_dir() and not each.is_symlink() and each.name not in _LEFT_OUT:
                yield from _folders(each, depth + 1)


def _is_exercise(folder: Path) -> bool:
    if (folder / _META / "config.json").is_file() or (folder / _DOCS / "instructions.md").is_file():
        return True
    names = [each.name for each in folder.iterdir() if each.is_file()]
    tests = [name for name in names if is_test_path(name)]
    return bool(tests) and len(tests) < len(names)


def _exercise(folder: Path, name: str, test_command: str | None) -> Problem:
    said = _config(folder)
    texts = {path: text for path in _paths(folder) if (text := _text(folder / path)) is not None}
    if faults := [fault for each in (name, *texts) if (fault := fault_of(each))]:
        raise ValueError(f"a name {faults[0]}")
    tests = {path: text for path, text in texts.items() if path in said.test or (not said.test and is_test_path(path))}
    hidden = {*said.example, *said.exemplar, *_READMES}
    files = {path: text for path, text in texts.items() if path not in tests and path not in hidden}
    stubs = [path for path in said.solution if path in files] or sorted(files)
    if not tests:
        raise ValueError("it has no test file; .meta/config.json may name it")
    if not stubs:
        raise ValueError("it has no stub: nothing that could be solved")
    if test_command is None and not all(path.endswith(".py") for path in tests if is_test_path(path)):
        raise ValueError("its tests are not in Python; say with --test-command how they are run")
    return Problem(
        id=name,
        task=f"Implement {', '.join(stubs)} as the instructions say (problem {name}).\n\n{_instructions(folder)}",
        files=files,
        tests=tests,
        reference=_reference(folder, said, stubs),
        test_command=test_command,
    )


def _config(folder: Path) -> _Files:
    try:
        return _Config.model_validate_json((folder / _META / "config.json").read_bytes()).files
    except FileNotFoundError:
        return _Files()
    except ValidationError as error:
        raise ValueError(f".meta/config.json: {error.errors()[0]['msg']}") from error


def _paths(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(place, name)
            if not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def _text(path: Path) -> str | None:
    """None for what is no text: a picture is no part of a problem here."""
    if path.stat().st_size > _LARGEST:
        return None
    content = path.read_bytes()
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _instructions(folder: Path) -> str:
    docs = [folder / _DOCS / name for name in _INSTRUCTIONS]
    found = [each for each in docs if each.is_file()] or [
        folder / name for name in _READMES if (folder / name).is_file()
    ][:1]
    text = "\n\n".join(each.read_text(encoding="utf-8").strip() for each in found)
    return text or "There are no instructions but the stub and its tests."


def _reference(folder: Path, said: _Files, stubs: Sequence[str]) -> dict[str, str]:
    """The example in place of the stub, where it is plain which stands for which: one each, or names that match."""
    named = [*said.example, *said.exemplar]
    meta = folder / _META
    examples = [folder / each for each in named] or sorted(each for each in meta.glob("example*") if each.is_file())
    texts = {each.name: text for each in examples if each.is_file() and (text := _text(each)) is not None}
    if len(texts) == len(stubs) == 1:
        return {stubs[0]: next(iter(texts.values()))}
    by_name = {path: texts[Path(path).name] for path in stubs if Path(path).name in texts}
    return by_name if len(by_name) == len(stubs) else {}
