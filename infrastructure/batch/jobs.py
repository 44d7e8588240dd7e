"""Jobs: one line of a file each, in our own form or as a HumanEval problem.

Owns both forms and what makes a line unusable. Every line is read before anything is started, so that a person hears
of all that is wrong at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, cast

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from agents.answers.paths import safe_path
from agents.errors import UnusableAnswer
from infrastructure.batch.errors import BadJobs
from infrastructure.batch.place import file_name
from infrastructure.config.settings import Candidates
from infrastructure.judge.commands import parse_command
from infrastructure.running.naming import fault_of

MOST_SAMPLES = 1000
SOLUTION, TEST = "solution.py", "test_solution.py"

JobId = Annotated[str, Field(min_length=1, max_length=150)]


class Job(BaseModel):
    """A task, what judges it, and what it works on. Paths are looked for beside the jobs' file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: JobId
    prompt: str = Field(min_length=1)
    tests: dict[str, str] | tuple[str, ...] = ()
    """Test files: texts by path, or paths, which are looked for in the repository first."""
    test_command: str | None = None
    repo: str | None = None
    """The folder it works on; an own, new one when None."""
    files: dict[str, str] = {}
    """What the new folder holds, by path."""
    samples: int | None = Field(default=None, ge=1, le=MOST_SAMPLES)
    """How many times it is solved; the command's number when None."""
    meta: dict[str, JsonValue] = {}
    """Carried into the record, and otherwise left alone."""

    @field_validator("prompt")
    @classmethod
    def _said(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("it is empty")
        return prompt

    @field_validator("test_command")
    @classmethod
    def _readable(cls, command: str | None) -> str | None:
        if command is not None:
            parse_command(command)
        return command


class HumanEvalProblem(BaseModel):
    """OpenAI's form. The canonical solution and whatever else the line has is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: JobId
    prompt: str = Field(min_length=1)
    entry_point: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    test: str = Field(min_length=1)

    def job(self) -> Job:
        """The same as a job: a small folder with the stub and its test."""
        stub = f"{self.prompt.rstrip()}\n    raise NotImplementedError\n"
        test = (
            f"import unittest\n\nfrom solution import *\nfrom solution import {self.entry_point}\n\n"
            f"{self.test.strip()}\n\n\n"
            f"class SolutionTest(unittest.TestCase):\n    def test_solution(self):\n        check({self.entry_point})\n"
        )
        return Job(
            id=self.task_id,
            prompt=f"Implement {self.entry_point} in {SOLUTION} as its docstring says (problem {self.task_id}).",
            files={SOLUTION: stub},
            tests={TEST: test},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a job is run with of its own; what is None is the command's."""

    model: str | None = None
    candidates: Candidates | None = None
    repairs: int | None = None
    rounds: int | None = None
    seed: int | None = None

    def given(self) -> dict[str, JsonValue]:
        """What is not left to the command."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A job as it will be run."""

    job: Job
    line: int
    own: Own = Own()
    named: str = ""
    """What its folder and its patch are called, by signs that any file name has; empty: by its id."""
    repo: Path | None = None
    """Its repository, absolute."""
    tests: tuple[Path, ...] = ()
    """Test files that are there already, absolute."""
    tests_sha: str = ""
    """Of those files' contents."""
    solution: str = ""
    """The file that is the solution of a HumanEval problem; empty for other jobs."""

    @property
    def file(self) -> str:
        """The name of its folder, and of its patch without the sample's number: no other entry's of the batch."""
        return self.named or file_name(self.job.id)

    @property
    def has_tests(self) -> bool:
        """Whether the job itself says what judges it."""
        return bool(self.job.tests or self.job.test_command)


@dataclass(slots=True)
class _Reading:
    """What is known while the file is read."""

    file: Path
    most_bytes: int
    problems: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    lines: dict[str, int] = field(default_factory=dict[str, int])
    names: dict[str, str] = field(default_factory=dict[str, str])


def read_jobs(file: Path, *, samples: int = 1, most_bytes: int = 64 << 10) -> tuple[Entry, ...]:
    """All jobs of a file, in its order. Blocking.

    Args:
        file: JSON lines, in UTF-8.
        samples: Of a job that does not say.
        most_bytes: The longest prompt.

    Raises:
        BadJobs: lines that cannot be used, all of them; or there is none.
        OSError: the file cannot be read.
    """
    reading = _Reading(file, most_bytes)
    entries: list[Entry] = []
    for number, line in _numbered(file):
        try:
            entry = _entry(line, number, file.parent, most_bytes)
            _check_names(reading, entry, entry.job.samples or samples)
        except (ValueError, OSError) as error:
            reading.problems.append((number, _said(error)))
        else:
            entries.append(entry)
    if not entries and not reading.problems:
        reading.problems.append((0, "it has no job"))
    if reading.problems:
        raise BadJobs(file, reading.problems)
    return tuple(entries)


def _numbered(file: Path) -> Iterator[tuple[int, bytes]]:
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield number, line


def _entry(line: bytes, number: int, folder: Path, most_bytes: int) -> Entry:
    found: object = orjson.loads(line)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    fields = cast("dict[str, object]", found)
    if "task_id" in fields:
        return Entry(job=HumanEvalProblem.model_validate(fields).job(), line=number, solution=SOLUTION)
    job = Job.model_validate(fields)
    if (size := len(job.prompt.encode("utf-8", "surrogatepass"))) > most_bytes:
        raise ValueError(f"prompt: {size:,} bytes; at most {most_bytes:,} are taken (run.task_bytes)")
    repo = None if job.repo is None else (folder / job.repo)
    if repo is not None and not repo.is_dir():
        raise ValueError(f"repo: there is no folder {repo}")
    if repo is not None and job.files:
        raise ValueError("files: only for a job without repo")
    _check_paths(job)
    tests = () if isinstance(job.tests, dict) else tuple(_test_file(each, repo, folder) for each in job.tests)
    repo = None if repo is None else repo.resolve()
    for name, path in (("repo", repo), *(("tests", each) for each in tests)):
        if fault := fault_of(str(path)):
            raise ValueError(f"{name}: the path {fault}")
    return Entry(
        job=job,
        line=number,
        repo=repo,
        tests=tests,
        tests_sha=_contents_sha(tests),
    )


def _check_paths(job: Job) -> None:
    given = job.tests if isinstance(job.tests, dict) else {}
    for name, paths in (("files", job.files), ("tests", given)):
        for path in paths:
            try:
                safe_path(path)
            except UnusableAnswer as error:
                raise ValueError(f"{name}: {error.reason}") from error
    if both := sorted(job.files.keys() & given.keys()):
        raise ValueError(f"tests: {both[0]} is among the files too")
    names = [path.rpartition("/")[2] for path in given]
    if job.repo is not None:
        if len(set(names)) < len(names):
            raise ValueError("tests: two files of one name; given beside a repo they are put at its root")
        return
    every = job.files.keys() | given.keys()
    for path in sorted(every):
        above = {folder.as_posix() for folder in PurePosixPath(path).parents}
        if both := sorted(above & every):
            raise ValueError(f"{'files' if path in job.files else 'tests'}: {both[0]} cannot be a file and hold {path}")


def _test_file(name: str, repo: Path | None, folder: Path) -> Path:
    for place in (repo, folder):
        if place is not None and (place / name).is_file():
            return (place / name).resolve()
    raise ValueError(f"tests: there is no file {name}")


def _contents_sha(files: tuple[Path, ...]) -> str:
    if not files:
        return ""
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _check_names(reading: _Reading, entry: Entry, samples: int) -> None:
    """Two jobs of one id, or whose files would have one name, cannot be told apart."""
    job = entry.job.id
    if job in reading.lines:
        raise ValueError(f"id {job!r} is that of line {reading.lines[job]} too")
    reading.lines[job] = entry.line
    for name in {file_name(job, sample) for sample in range(samples)}:
        other = reading.names.setdefault(name, job)
        if other != job:
            raise ValueError(f"id {job!r} and id {other!r} both make the file name {name!r}")


def _said(error: ValueError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, ValidationError):
        return "; ".join(_problem(cast("Mapping[str, object]", each)) for each in error.errors(include_url=False))
    if isinstance(error, orjson.JSONDecodeError):
        return f"it is no JSON: {error}"
    return str(error)


def _problem(problem: Mapping[str, object]) -> str:
    where = ".".join(str(part) for part in cast("tuple[object, ...]", problem.get("loc", ())))
    said = str(problem.get("msg", "")).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said
