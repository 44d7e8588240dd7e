"""The data directory: which file lies where, and that only its owner can read them.

Owns names and modes (directories 0700, files 0600) and the two file operations that must survive a power cut.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Where each thing lies under one root. One engine at a time owns `database`, `checkpoints`, `blobs`, `trees`."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the engine."""
        return self.root / "engine.lock"

    @property
    def database(self) -> Path:
        """Runs, events, model calls."""
        return self.root / "corral.db"

    @property
    def checkpoints(self) -> Path:
        """LangGraph's own file: its saver commits whenever it likes."""
        return self.root / "checkpoints.db"

    @property
    def control(self) -> Path:
        """Requests of other processes."""
        return self.root / "control.db"

    @property
    def token(self) -> Path:
        """What programs enter the HTTP door with."""
        return self.root / "token"

    @property
    def cookies(self) -> Path:
        """What the cookies of browsers hold by beside it."""
        return self.root / "cookies"

    @property
    def chat_history(self) -> Path:
        """What was typed in `corral chat`, a line each."""
        return self.root / "chat.history"

    @property
    def blobs(self) -> Path:
        """Content by its sha256."""
        return self.root / "blobs"

    @property
    def tags(self) -> Path:
        """What source files define, by their content; several processes write it, and it may be lost."""
        return self.root / "tags.db"

    @property
    def profiles(self) -> Path:
        """What is known of models by trying them, a file each; several processes write them."""
        return self.root / "profiles"

    @property
    def trees(self) -> Path:
        """Working trees, one folder a run."""
        return self.root / "trees"

    def tree(self, run: str) -> Path:
        """The folder of one run's working trees.

        Raises:
            ValueError: the run's id could leave the folder.
        """
        if not _SAFE_NAME.fullmatch(run):
            raise ValueError(f"no run id: {run!r}")
        return self.trees / run

    def prepare(self) -> None:
        """Make the root, `blobs` and `trees` where they are missing."""
        for folder in (self.root, self.blobs, self.trees):
            make_private_directory(folder)


def make_private_directory(path: Path) -> None:
    """Make a directory and its missing parents for their owner alone. One that exists keeps its mode."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Make the file, empty, where it is missing, in a directory for its owner alone; a wider mode is narrowed."""
    make_private_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Write a whole file so that after a crash there is the old content or the new, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make new names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
