"""A snapshot as one value, apart from its folder: for a run that outlives its trees, and for another machine.

Owns `PackedSnapshot`, its stored form, and how it is put on disk again. A packed snapshot may come from a stranger: its
size is bounded, every content must be what its name says, and no path or link of it leads out of the folder.
"""

import base64
import json
import os
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from infrastructure.workspace.beneath import EXECUTABLE, LINK, REGULAR, directory, parts_of, read_file, sha_of
from infrastructure.workspace.errors import PathMissing, PathRefused, SnapshotUnfinished, TooLarge, WorkspaceError
from infrastructure.workspace.manifest import MANIFEST, FileState, Snapshot, read_manifest, write_manifest
from infrastructure.workspace.threads import Stopping, in_thread

PACKED_BYTES = 64 << 20
"""The most that the files of a packed snapshot may hold together."""
PACKED_FILES = 20_000
_STORED_BYTES = 2 * PACKED_BYTES
_LINK_BYTES = 4_096
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class BadPack(WorkspaceError):
    """It is no packed snapshot, or a damaged one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the packed snapshot cannot be read: {why}", "Export the run again where it was made.")


@dataclass(frozen=True, slots=True)
class PackedSnapshot:
    """A snapshot's manifest, as it is stored, and the contents of its files by their SHA-256."""

    manifest: bytes
    contents: Mapping[str, bytes]

    def snapshot(self, root: Path) -> Snapshot:
        """The snapshot that the manifest describes.

        Raises:
            BadPack: The manifest cannot be read.
        """
        try:
            snapshot = read_manifest(self.manifest, root, root)
        except SnapshotUnfinished as error:
            raise BadPack("its list of files is damaged, or of another version") from error
        if not all(_is_plausible(path, state) for path, state in snapshot.files.items()):
            raise BadPack("its list of files is damaged")
        return snapshot


async def pack_snapshot(into: Path) -> PackedSnapshot:
    """Pack the finished snapshot that is kept in a folder.

    Raises:
        SnapshotUnfinished: There is none.
        TooLarge: It holds more than `PACKED_BYTES`.
        BadPack: A file is not any more what the manifest says.
    """
    return await in_thread(lambda stopping: _pack(into, stopping))


async def unpack_snapshot(packed: PackedSnapshot, into: Path) -> Snapshot:
    """Put a packed snapshot on disk as `take_snapshot` would have: `into/base`, the manifest beside it.

    Raises:
        PathRefused: A path or a link leads out of the folder, or into a `.git`.
        TooLarge: More than `PACKED_BYTES` or `PACKED_FILES`.
        BadPack: A content is missing, or is not what its name says.
    """
    return await in_thread(lambda stopping: _unpack(packed, into, stopping))


def to_bytes(packed: PackedSnapshot) -> bytes:
    """The stored form. The same snapshot gives the same bytes. Blocking."""
    contents = {sha: base64.b64encode(content).decode() for sha, content in sorted(packed.contents.items())}
    document = {"manifest": packed.manifest.decode("ascii"), "contents": contents}
    return zlib.compress(json.dumps(document).encode("ascii"), 6)


def from_bytes(stored: bytes) -> PackedSnapshot:
    """A packed snapshot from its stored form. Blocking.

    Raises:
        BadPack: It is none.
    """
    try:
        machine = zlib.decompressobj()
        text = machine.decompress(stored, _STORED_BYTES)
        if not machine.eof:
            raise BadPack("it is cut off, or larger than any that is written")
        document = cast("dict[str, object]", json.loads(text))
        contents = cast("dict[str, str]", document["contents"])
        return PackedSnapshot(
            manifest=cast("str", document["manifest"]).encode("ascii"),
            contents={sha: base64.b64decode(content, validate=True) for sha, content in contents.items()},
        )
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadPack("it is no such file") from error


def _is_plausible(path: object, state: FileState) -> bool:
    """A manifest that a stranger wrote may hold anything that JSON can say."""
    kinds = (path, str), (state.sha256, str), (state.mode, int), (state.size, int)
    return all(isinstance(value, kind) for value, kind in kinds) and state.size >= 0


def _pack(into: Path, stopping: Stopping) -> PackedSnapshot:
    try:
        manifest = (into / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SnapshotUnfinished(into) from error
    snapshot = read_manifest(manifest, into, into / "base")
    total = sum(each.size for each in snapshot.files.values())
    if total > PACKED_BYTES:
        raise TooLarge(f"the snapshot holds {total:,} bytes", f"{PACKED_BYTES:,} bytes")
    contents: dict[str, bytes] = {}
    for path, state in snapshot.files.items():
        stopping.check()
        content = _content(snapshot.root, path, state)
        if sha_of(content) != state.sha256:
            raise BadPack(f"{path!r} has been changed since it was taken")
        contents[state.sha256] = content
    return PackedSnapshot(manifest, contents)


def _content(root: Path, path: str, state: FileState) -> bytes:
    try:
        if state.mode != LINK:
            return read_file(root, path)
        *folders, name = parts_of(path)
        with directory(root, folders) as parent:
            return os.fsencode(os.readlink(name, dir_fd=parent))
    except (PathMissing, PathRefused, OSError) as error:
        raise BadPack(f"{path!r} is not there any more") from error


def _unpack(packed: PackedSnapshot, into: Path, stopping: Stopping) -> Snapshot:
    base = into / "base"
    snapshot = packed.snapshot(base)
    _check_sizes(snapshot)
    if base.exists():
        shutil.rmtree(base)
    base.mkdir(parents=True)
    try:
        plain = {path: each for path, each in snapshot.files.items() if each.mode != LINK}
        for path, state in plain.items():
            stopping.check()
            _write(base, path, state, _checked(packed, path, state))
        for path in snapshot.files.keys() - plain.keys():  # last, so that nothing is written through one
            _link(base, path, _checked(packed, path, snapshot.files[path]))
        _refuse_outward(base, snapshot)
        (into / MANIFEST).write_bytes(write_manifest(snapshot))
    except BaseException:
        shutil.rmtree(base, ignore_errors=True)
        raise
    return snapshot


def _check_sizes(snapshot: Snapshot) -> None:
    total = sum(each.size for each in snapshot.files.values())
    if total > PACKED_BYTES or len(snapshot.files) > PACKED_FILES:
        found = f"the snapshot holds {len(snapshot.files):,} files of {total:,} bytes"
        raise TooLarge(found, f"{PACKED_FILES:,} files of {PACKED_BYTES:,} bytes")


def _checked(packed: PackedSnapshot, path: str, state: FileState) -> bytes:
    content = packed.contents.get(state.sha256)
    if content is None or len(content) != state.size or sha_of(content) != state.sha256:
        raise BadPack(f"the content of {path!r} is missing or damaged")
    return content


def _write(base: Path, path: str, state: FileState, content: bytes) -> None:
    if state.mode not in (REGULAR, EXECUTABLE):
        raise PathRefused(path, "it is no plain file and no link")
    *folders, name = parts_of(path)
    with directory(base, folders, make=True) as parent:
        try:
            descriptor = os.open(name, _WRITE, state.mode & 0o777, dir_fd=parent)
        except OSError as error:
            raise PathRefused(path, error.strerror or "its place is taken") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _link(base: Path, path: str, target: bytes) -> None:
    *folders, name = parts_of(path)
    if not target or len(target) > _LINK_BYTES or b"\0" in target:
        raise PathRefused(path, "it is no link that a file system could hold")
    with directory(base, folders, make=True) as parent:
        try:
            os.symlink(os.fsdecode(target), name, dir_fd=parent)
        except OSError as error:
            raise PathRefused(path, error.strerror or "its place is taken") from error


def _refuse_outward(base: Path, snapshot: Snapshot) -> None:
    """Judge links where they all stand: only the real path says where a chain of them ends."""
    root = os.path.realpath(base)
    for path in [path for path, state in snapshot.files.items() if state.mode == LINK]:
        end = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - names may be no UTF-8
        if end != root and not end.startswith(root + "/"):
            raise PathRefused(path, "it is a symbolic link that leaves the folder")
