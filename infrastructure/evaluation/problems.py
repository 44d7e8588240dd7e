"""Problems: what is to be solved, the tests that judge it, and what makes a set of them unusable.

Owns the HumanEval form and the choice among a set's problems; `exercises` owns the other form, folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.batch import HumanEvalProblem, Job
from infrastructure.batch.jobs import SOLUTION
from infrastructure.evaluation.errors import BadSet


def _nothing() -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem. Files are texts by path.

    Attributes:
        id: What people call it; the task names it as `(problem ID)`.
        task: What is asked for.
        files: The stub and whatever else a solver is given.
        tests: What judges it: given to the run, or hidden from it.
        reference: Files of a right solution, where the set has one. No run ever sees it.
        test_command: How the tests are run, where that is not plain from the files.
    """

    id: str
    task: str
    files: Mapping[str, str]
    tests: Mapping[str, str]
    reference: Mapping[str, str] = field(default_factory=_nothing)
    test_command: str | None = None

    @property
    def tests_sha(self) -> str:
        """SHA-256 of all that decides the judge's word on a patch."""
        said = [dict(self.files), dict(self.tests), dict(self.reference), self.test_command]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def job(self, name: str, *, hide_tests: bool) -> Job:
        """It as a batch's job; with hidden tests a run has only those that it writes itself."""
        return Job(
            id=name,
            prompt=self.task,
            files=dict(self.files),
            tests={} if hide_tests else dict(self.tests),
            test_command=None if hide_tests else self.test_command,
            meta={"problem": self.id},
        )


class _Reference(BaseModel):
    """What a HumanEval line says beyond a job."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    canonical_solution: str = ""


def read_humaneval(file: Path, test_command: str | None = None) -> tuple[Problem, ...]:
    """The problems of a file, in its order. Blocking.

    Raises:
        BadSet: lines that are no problems, all of them; or there is none.
        OSError: the file cannot be read.
    """
    problems: dict[str, Problem] = {}
    wrong: list[str] = []
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise BadSet(file, ["it is no UTF-8 text"]) from None
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            problem = _humaneval(line, test_command)
        except ValueError as error:
            wrong.append(f"line {number}: {_said(error)}")
            continue
        if problem.id in problems:
            wrong.append(f"line {number}: there is a problem {problem.id!r} already")
        problems[problem.id] = problem
    if wrong or not problems:
        raise BadSet(file, wrong or ["it has no problem"])
    return tuple(problems.values())


def chosen(problems: Sequence[Problem], only: Iterable[str], limit: int | None) -> tuple[Problem, ...]:
    """The problems whose id contains one of `only`, or all where it is empty; of those the first `limit`."""
    wanted = tuple(only)
    kept = [problem for problem in problems if not wanted or any(text in problem.id for text in wanted)]
    return tuple(kept[:limit])


def _humaneval(line: bytes, test_command: str | None) -> Problem:
    found: object = orjson.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    given = HumanEvalProblem.model_validate(found)
    job = given.job()
    right = _Reference.model_validate(found).canonical_solution
    return Problem(
        id=given.task_id,
        task=job.prompt,
        files=job.files,
        tests=cast("Mapping[str, str]", job.tests),
        reference={SOLUTION: f"{given.prompt.rstrip()}\n{right.rstrip()}\n"} if right else {},
        test_command=test_command,
    )


def _said(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return f"it is no JSON: {error}" if isinstance(error, orjson.JSONDecodeError) else str(error)
