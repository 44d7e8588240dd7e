"""Owns how the oracle's tasks are read: lines in its own form, or HumanEval problems with their solutions."""

from pathlib import Path

import orjson

from infrastructure.simulator.brains.problems import KnownProblem
from infrastructure.simulator.brains.tasks import Task


def read_task(line: str) -> Task:
    """The task of a line; one with a `canonical_solution` is a HumanEval problem.

    Raises:
        pydantic.ValidationError: the line is no task.
    """
    try:
        found: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = None  # the validation below says what is wrong
    if isinstance(found, dict) and "canonical_solution" in found:
        return KnownProblem.model_validate_json(line).task()
    return Task.model_validate_json(line)


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The tasks of a JSON Lines file.

    Raises:
        OSError: the file cannot be read.
        pydantic.ValidationError: a line is no task.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    return tuple(read_task(line) for line in lines if line.strip())
