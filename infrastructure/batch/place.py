"""The folder of a batch: which file lies where, and its name for others.

Owns the names under `--out`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from infrastructure.workspace.choosing import RESULTS

_SAID = "Results of Corral. Because of this file no run takes what lies beside it for a part of what it works on.\n"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """Where each thing of a batch lies. `root` is absolute."""

    root: Path

    @property
    def id(self) -> str:
        """The batch's id: the same folder is the same batch."""
        return hashlib.sha256(str(self.root).encode("utf-8", "surrogateescape")).hexdigest()[:12]

    @property
    def name(self) -> str:
        """What people call it."""
        return self.root.name or "batch"

    @property
    def lock(self) -> Path:
        """Held by the command that works here."""
        return self.root / ".lock"

    @property
    def records(self) -> Path:
        """One line a job and sample, and only of the jobs and settings of the last command."""
        return self.root / "records.jsonl"

    @property
    def superseded(self) -> Path:
        """Records of jobs or settings that have changed since."""
        return self.root / "records.superseded.jsonl"

    @property
    def ledger(self) -> Path:
        """By which key a run was begun for which job and sample."""
        return self.root / "runs.jsonl"

    @property
    def report(self) -> Path:
        """The summary."""
        return self.root / "report.json"

    @property
    def samples(self) -> Path:
        """Solutions of HumanEval problems, in the form that evalplus scores."""
        return self.root / "samples.jsonl"

    @property
    def patches(self) -> Path:
        """A file a patch."""
        return self.root / "patches"

    @property
    def work(self) -> Path:
        """A folder a job that has no repository of its own."""
        return self.root / "work"

    def patch(self, name: str, sample: int) -> Path:
        """The file of one patch, by the file name of its job."""
        return self.patches / f"{numbered(name, sample)}.diff"

    def prepare(self) -> None:
        """Make the folders. The mark comes first, so that no run ever takes the others for its task's. Blocking."""
        self.root.mkdir(parents=True, exist_ok=True)
        mark = self.root / RESULTS
        if not mark.exists():
            mark.write_text(_SAID, encoding="utf-8")
        for folder in (self.patches, self.work):
            folder.mkdir(parents=True, exist_ok=True)


def file_name(job: str, sample: int = 0) -> str:
    """A job's id, and a sample's number from the second on, as a file name. Two ids may have the same."""
    name = _UNSAFE.sub("-", job)
    return numbered(f"-{name[1:]}" if name.startswith(".") else name, sample)


def told_apart(job: str) -> str:
    """A job's id as a file name that no other id has."""
    return f"{file_name(job)}-{hashlib.sha256(job.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def numbered(name: str, sample: int) -> str:
    """A file name with a sample's number, from the second on."""
    return f"{name}-{sample}" if sample else name
