"""The folder of an evaluation: a batch's folder, and beside it what was judged and reported.

Owns the names of the files that only an evaluation has, and the form of `set.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.batch import BatchPlace, UnreadableLine
from infrastructure.evaluation.errors import NoEvaluation
from infrastructure.evaluation.plan import Arm


class Outline(BaseModel):
    """What was asked for, so that a folder can be reported on alone."""

    model_config = ConfigDict(frozen=True)

    set: str
    problems: tuple[str, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    self_tests: bool
    """Whether the runs had no tests but their own."""
    corral: str
    """The version that ran it last."""
    prompts: str
    """SHA-256 over all its prompts."""

    @property
    def trials(self) -> int:
        """How many samples it asks for."""
        return len(self.problems) * len(self.arms) * len(self.seeds)


@dataclass(frozen=True, slots=True)
class EvalPlace:
    """Where each thing of an evaluation lies. `root` is absolute."""

    root: Path

    @property
    def batch(self) -> BatchPlace:
        """The batch that carries it."""
        return BatchPlace(self.root)

    @property
    def lock(self) -> Path:
        """Held by the command that evaluates here."""
        return self.root / ".eval.lock"

    @property
    def outline(self) -> Path:
        """What was asked for."""
        return self.root / "set.json"

    @property
    def samples(self) -> Path:
        """What came of each trial, judged; a later line of an identity goes before an earlier one."""
        return self.root / "judged.jsonl"

    @property
    def report(self) -> Path:
        """The report, in JSON."""
        return self.root / "eval.json"

    @property
    def table(self) -> Path:
        """The report, for people."""
        return self.root / "eval.txt"


def read_outline(place: EvalPlace) -> Outline:
    """What was asked for. Blocking.

    Raises:
        NoEvaluation: nothing was begun there.
        UnreadableLine: the file is not what was written.
    """
    try:
        content = place.outline.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NoEvaluation(place.root) from None
    try:
        return Outline.model_validate_json(content)
    except ValidationError as error:
        raise UnreadableLine(place.outline, 1, str(error.errors()[0]["msg"])) from error
