"""The throw-away place of one run of tests, and what of it is held from outside.

Owns the file that the harness reports to, which is made and held open here, so that it is the same one whatever code
under test puts in its place; and the look of the judge's files when the run began, by which a rewritten one is found,
though it be put back: nothing inside can set the time at which a file was last changed. Blocking.
"""

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infrastructure.judge.canaries import MOST
from infrastructure.workspace.errors import TooLarge

_LINKS_NEVER = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Place:
    """`work` is the copy of the tree, the rest is ours.

    Attributes:
        root: The folder of this run.
        key: What makes a line of the harness's report one.
        marks: By which the canaries' lines are known.
        report_name: Where another runner is to write its report, below the root.
    """

    root: Path
    key: str
    marks: tuple[str, ...]
    report_name: str
    _held: int
    _made: tuple[int, int]
    _judge: dict[str, tuple[int, int]]

    @classmethod
    def make(cls, root: Path) -> "Place":
        """Make the file that the harness reports to, in a folder that is there."""
        held = os.open(root / "report", _LINKS_NEVER, 0o600)
        return cls(
            root=root,
            key=secrets.token_hex(32),
            marks=tuple(secrets.token_hex(8) for _ in range(2 * MOST)),
            report_name=f"report-{secrets.token_hex(8)}",
            _held=held,
            _made=_look(os.fstat(held)),
            _judge={},
        )

    @property
    def work(self) -> Path:
        """The copy of the tree."""
        return self.root / "work"

    @property
    def untouched(self) -> bool:
        """Whether nobody has written to the report, or removed it: then nothing has run."""
        return _look(os.fstat(self._held)) == self._made

    def records(self, limit: int) -> bytes:
        """What was written to the report.

        Raises:
            TooLarge: It is longer than `limit` bytes.
        """
        size = os.fstat(self._held).st_size
        if size > limit:
            raise TooLarge("the report of the tests", f"{limit:,} bytes", "Run fewer tests at once.")
        return os.pread(self._held, size, 0)

    def watch(self, paths: Iterable[str]) -> None:
        """Remember how these files of the copy look; what is not there is passed over."""
        self._judge = {path: look for path in paths if (look := self._look_at(path)) is not None}

    def rewritten(self) -> tuple[str, ...]:
        """The watched files that were written, replaced or removed since, sorted."""
        return tuple(sorted(path for path, look in self._judge.items() if self._look_at(path) != look))

    def close(self) -> None:
        """Let go of the report."""
        os.close(self._held)

    def _look_at(self, path: str) -> tuple[int, int] | None:
        try:
            return _look(os.lstat(self.work / path))
        except OSError:
            return None


def _look(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_ctime_ns
