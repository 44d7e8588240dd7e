"""The demo's samples: read, and made into a repository and the file of answers for the simulated Ollama.

Owns the form of `samples.toml`.
"""

import json
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from infrastructure.processes import run_process

FIRST_TIME_RIGHT = 0.5
"""The oracle decides by a task's id; at this share it is wrong once about those tasks that have a `broken` answer."""
_GIT_SECONDS = 30.0
_AUTHOR = ("-c", "user.name=Corral", "-c", "user.email=corral@localhost", "-c", "commit.gpgsign=false")


class SampleTask(BaseModel):
    """A task, what judges it, and what the oracle answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    prompt: str
    tests: tuple[str, ...]
    """Paths in the repository."""
    plan: tuple[str, ...]
    files: dict[str, str]
    broken: dict[str, str] = {}
    kind: Literal["code"] = "code"


class Samples(BaseModel):
    """The repository's files by path, and the tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: dict[str, str]
    task: tuple[SampleTask, ...]


_SAMPLES = TypeAdapter(Samples)


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """Where a demo works: the repository, the oracle's answers, the data directory."""

    root: Path

    @property
    def repository(self) -> Path:
        """The sample repository."""
        return self.root / "repository"

    @property
    def answers(self) -> Path:
        """What the oracle knows."""
        return self.root / "answers.jsonl"

    @property
    def data(self) -> Path:
        """Corral's own data."""
        return self.root / "data"


def read_samples() -> Samples:
    """The samples that come with this program."""
    text = files("backend.cli.samples").joinpath("samples.toml").read_text(encoding="utf-8")
    return _SAMPLES.validate_python(tomllib.loads(text))


def write_samples(samples: Samples, place: DemoPlace) -> None:
    """Write the repository's files and the oracle's answers.

    Raises:
        OSError: the system refused.
    """
    for path, content in samples.repository.items():
        target = place.repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content.lstrip("\n"), encoding="utf-8")
    lines = [_answer(task, samples.repository) + "\n" for task in samples.task]
    place.answers.write_text("".join(lines), encoding="utf-8")


async def commit_samples(place: DemoPlace) -> None:
    """Make the files a git repository with one commit; without git they stay a plain folder, which works as well.

    Raises:
        ProcessNotStarted: there is no git.
    """
    for arguments in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "."),
        ("commit", "--quiet", "-m", "Sample"),
    ):
        await run_process(
            ("git", *_AUTHOR, *arguments),
            cwd=place.repository,
            env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin"},
            timeout=_GIT_SECONDS,
        )


def _answer(task: SampleTask, repository: dict[str, str]) -> str:
    """One line of the oracle's file. As tests from the plan it writes what the given tests say."""
    said = task.model_dump(include={"id", "prompt", "kind", "plan", "files", "broken"})
    said |= {name: {path: text.lstrip("\n") for path, text in said[name].items()} for name in ("files", "broken")}
    written = {path.removesuffix(".py") + "_written.py": repository[path].lstrip("\n") for path in task.tests}
    return json.dumps({**said, "tests": written})
