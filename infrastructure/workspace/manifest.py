"""What a snapshot holds, and how that is kept beside it.

Owns `Snapshot` and the JSON form of its manifest. Names are kept as Python's file names: bytes that are no UTF-8
are lone surrogates, which JSON escapes and gives back unharmed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from infrastructure.workspace.errors import SnapshotUnfinished

MANIFEST = "manifest.json"
_FORM = 1


@dataclass(frozen=True, slots=True)
class FileState:
    """A file at one moment: SHA-256 of its bytes (of a link: of its target), git mode, size in bytes."""

    sha256: str
    mode: int
    size: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out of the snapshot, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files a run starts from, copied and never changed again.

    Attributes:
        root: The copy.
        repo: Where it was taken.
        is_repository: Whether git chose the files.
        dirty: Whether they differ from the last commit. A file that a clean filter would change counts as different.
        head: The commit that was checked out; None without one.
        files: Every file of the copy by its path, with `/`.
        skipped: What was left out, at most a few hundred entries.
    """

    root: Path
    repo: Path
    is_repository: bool
    dirty: bool
    head: str | None
    files: Mapping[str, FileState]
    skipped: tuple[Skipped, ...] = ()


def write_manifest(snapshot: Snapshot) -> bytes:
    """The manifest as it is stored."""
    document = {
        "form": _FORM,
        "repo": str(snapshot.repo),
        "is_repository": snapshot.is_repository,
        "dirty": snapshot.dirty,
        "head": snapshot.head,
        "files": {path: [each.sha256, each.mode, each.size] for path, each in snapshot.files.items()},
        "skipped": [[each.path, each.reason] for each in snapshot.skipped],
    }
    return json.dumps(document, ensure_ascii=True, indent=0).encode("ascii")


def read_manifest(content: bytes, place: Path, root: Path) -> Snapshot:
    """The snapshot a stored manifest describes.

    Raises:
        SnapshotUnfinished: The manifest is damaged or of another form.
    """
    try:
        document = cast("dict[str, object]", json.loads(content))
        if document["form"] != _FORM:
            raise SnapshotUnfinished(place)
        files = cast("dict[str, tuple[str, int, int]]", document["files"])
        skipped = cast("list[tuple[str, str]]", document["skipped"])
        return Snapshot(
            root=root,
            repo=Path(cast("str", document["repo"])),
            is_repository=bool(document["is_repository"]),
            dirty=bool(document["dirty"]),
            head=cast("str | None", document["head"]),
            files={path: FileState(*state) for path, state in files.items()},
            skipped=tuple(Skipped(*each) for each in skipped),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotUnfinished(place) from error
