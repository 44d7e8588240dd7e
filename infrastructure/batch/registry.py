"""The batches of a data directory, for whoever looks: the command line, the API, the page.

Owns a small file a batch, written whole by the command that works on it, and its reading. Whether a batch is still
worked on is told by the lock in its folder, so a killed command is never shown as running.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.batch.place import BatchPlace
from infrastructure.storage.directory import DataDirectory, make_private_directory, write_durably
from infrastructure.storage.lock import read_holder
from infrastructure.workspace.threads import in_thread

BatchState = Literal["running", "waiting", "interrupted", "stopped", "finished"]


class BatchView(BaseModel):
    """A batch as it stood when it was `updated`. Times are aware, in UTC."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    jobs: int
    """Jobs times samples."""
    out: str
    """Its folder."""
    state: BatchState
    """`waiting` for a server; `interrupted` by its user or a kill, so that the same command goes on; `stopped` by an
    error that every job would meet."""
    done: int = 0
    """Passed or unverified."""
    failed: int = 0
    """With any other record."""
    running: int = 0
    rate_per_hour: float | None = None
    eta_seconds: float | None = None
    started: datetime
    """When its last command began."""
    updated: datetime
    statuses: dict[str, int] = {}
    """Records by status."""
    note: str = ""
    """Why it waits or was stopped."""


class UnknownBatch(LookupError):
    """There is no batch of this id."""

    def __init__(self, batch: str) -> None:
        self.batch = batch
        super().__init__(f"no batch {batch!r}")


class BatchRegistry:
    """Reads and keeps the views. Any process may read; a batch's own command writes."""

    def __init__(self, directory: DataDirectory) -> None:
        self._folder = directory.root / "batches"

    async def list(self) -> tuple[BatchView, ...]:
        """All batches, the one begun last first."""
        return await in_thread(lambda _: _all(self._folder))

    async def get(self, batch: str) -> BatchView:
        """One batch.

        Raises:
            UnknownBatch: there is none of this id.
        """
        found = await in_thread(lambda _: _read(self._folder / f"{batch}.json")) if batch.isalnum() else None
        if found is None:
            raise UnknownBatch(batch)
        return found

    async def write(self, view: BatchView) -> None:
        """Keep a view in place of the last one."""
        await in_thread(lambda _: _write(self._folder, view))

    async def remove(self, batch: str) -> None:
        """Forget a batch. Its folder stays; the same command there makes it known again."""
        await in_thread(lambda _: (self._folder / f"{batch}.json").unlink(missing_ok=True))


def _all(folder: Path) -> tuple[BatchView, ...]:
    views = [view for file in folder.glob("*.json") if (view := _read(file)) is not None]
    return tuple(sorted(views, key=lambda view: view.started, reverse=True))


def _read(file: Path) -> BatchView | None:
    try:
        view = BatchView.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):  # none, or a newer version's
        return None
    if view.state in ("running", "waiting") and read_holder(BatchPlace(Path(view.out)).lock) is None:
        return view.model_copy(update={"state": "interrupted", "running": 0, "eta_seconds": None, "note": ""})
    return view


def _write(folder: Path, view: BatchView) -> None:
    make_private_directory(folder)
    write_durably(folder / f"{view.id}.json", view.model_dump_json(indent=1).encode())
