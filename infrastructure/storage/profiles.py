"""What is known of models by trying them: a small file each, in the data directory.

Owns the files, and what is believed of them: one that is of another form, of another model or no JSON is passed over,
and why is said. A model is its name and its digest: another quantisation is another model. Any process may write one,
in turn.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infrastructure.storage.directory import DIRECTORY_MODE, FILE_MODE, write_durably
from infrastructure.storage.errors import from_system

MOST_COUNTED = 200
"""Answers of runs that are counted for one form; beyond that all counts are halved, so that newer ones weigh more."""
LARGEST_FILE = 64 << 10
_UNSAFE = re.compile(r"[^a-z0-9._-]+")
_log = logging.getLogger(__name__)


class FormatRecord(BaseModel):
    """How one form of edits went.

    Attributes:
        asked: Answers in the last check.
        readable: Of those, how many could be read.
        applied: Of those, how many fitted the file.
        right: Of those, how many made it the wanted one.
        well: Answers in runs that could be used.
        malformed: Answers in runs that could not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: int = Field(default=0, ge=0)
    readable: int = Field(default=0, ge=0)
    applied: int = Field(default=0, ge=0)
    right: int = Field(default=0, ge=0)
    well: int = Field(default=0, ge=0)
    malformed: int = Field(default=0, ge=0)

    def plus(self, well: int, malformed: int) -> FormatRecord:
        """With further answers of runs."""
        well, malformed = self.well + well, self.malformed + malformed
        if well + malformed > MOST_COUNTED:
            well, malformed = well // 2, malformed // 2
        return self.model_copy(update={"well": well, "malformed": malformed})


class Profile(BaseModel):
    """What is known of a model.

    Attributes:
        form: Of the file.
        model: Its name, with its tag.
        digest: Of what the server has under that name.
        formats: How each form of edits went.
        window: The longest window, in tokens, in which a prompt was read whole.
        temperature: The one at which most edits were right.
        at_once: How many calls at once pay, by the server's label.
        checked: When `corral models check` measured it last.
        learned: When a run last added to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: Literal[1] = 1
    model: str = Field(min_length=1)
    digest: str = Field(min_length=1)
    formats: dict[str, FormatRecord] = {}
    window: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    at_once: dict[str, int] = {}
    checked: datetime | None = None
    learned: datetime | None = None

    def counted(self, counts: Mapping[str, tuple[int, int]], now: datetime) -> Profile:
        """With a run's answers: how many in each form could be used, and how many could not."""
        added = {
            name: self.formats.get(name, FormatRecord()).plus(well, malformed)
            for name, (well, malformed) in counts.items()
        }
        return self.model_copy(update={"formats": {**self.formats, **added}, "learned": now})


@dataclass(frozen=True, slots=True)
class Looked:
    """The profiles that were found, and what was passed over, in words."""

    profiles: tuple[Profile, ...] = ()
    ignored: tuple[str, ...] = ()


class Profiles:
    """The files. Raises from every method: StorageError, where the folder itself cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, model: str, digest: str) -> Profile | None:
        """The profile of a model; None where there is none. One that is passed over is told in the log."""
        return await asyncio.to_thread(self._find, model, digest)

    async def look(self) -> Looked:
        """All of them, by model and digest."""
        return await asyncio.to_thread(self._look)

    async def update(self, model: str, digest: str, change: Callable[[Profile], Profile]) -> Profile:
        """Change the profile of a model, or make one; it is on disk when this returns."""
        return await asyncio.to_thread(self._update, model, digest, change)

    def path_of(self, model: str, digest: str) -> Path:
        """Where the profile of a model lies."""
        key = hashlib.sha256(f"{model}@{digest}".encode()).hexdigest()[:16]
        return self._folder / f"{_UNSAFE.sub('-', model.lower())[:60].strip('-.') or 'model'}-{key}.json"

    def _find(self, model: str, digest: str) -> Profile | None:
        try:
            found = self._read(self.path_of(model, digest))
        except OSError as error:
            raise from_system(error, self._folder) from error
        if isinstance(found, str):
            if found:
                _log.warning("%s", found)
            return None
        return found

    def _look(self) -> Looked:
        try:
            read = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        except OSError as error:
            raise from_system(error, self._folder) from error
        profiles = sorted(
            (each for each in read if isinstance(each, Profile)), key=lambda each: (each.model, each.digest)
        )
        return Looked(tuple(profiles), tuple(each for each in read if isinstance(each, str) and each))

    def _read(self, path: Path) -> Profile | str:
        """A profile, or why it is passed over; empty where there is none."""
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST_FILE + 1)
        except FileNotFoundError:
            return ""
        if len(text) > LARGEST_FILE:
            return _passed_over(path, "it is too long for one")
        try:
            profile = Profile.model_validate_json(text)
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(map(str, wrong["loc"]))
            return _passed_over(
                path, f"another version of Corral wrote it, or it is damaged ({place or 'JSON'}: {wrong['msg']})"
            )
        if self.path_of(profile.model, profile.digest) != path:
            return _passed_over(path, f"it speaks of another model than its name says ({profile.model})")
        return profile

    def _update(self, model: str, digest: str, change: Callable[[Profile], Profile]) -> Profile:
        path = self.path_of(model, digest)
        try:
            self._folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                known = self._read(path)
                changed = change(known if isinstance(known, Profile) else Profile(model=model, digest=digest))
                write_durably(path, changed.model_dump_json(indent=1).encode() + b"\n")
            finally:
                os.close(lock)
        except OSError as error:
            raise from_system(error, path) from error
        return changed


def _passed_over(path: Path, why: str) -> str:
    return f"the profile {path.name} is ignored: {why}; `corral models check MODEL` makes a new one"
