"""Taking a snapshot: the files of the user's folder as they are now, copied into a place of the run's own.

Owns `take_snapshot` and `load_snapshot`. The bytes are those of the working tree, read by Corral itself, so no filter,
hook or configuration of the repository runs. A snapshot is finished when its manifest is there, and then never changes.
"""

import ctypes
import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.workspace.beneath import LINK, directory, git_mode, look_at, open_file, parts_of, sha_of
from infrastructure.workspace.choosing import Chosen, choose_by_git, choose_by_walk, too_many
from infrastructure.workspace.errors import NotADirectory, PathMissing, PathRefused, SnapshotUnfinished, TooLarge
from infrastructure.workspace.git import Repository, find_repository
from infrastructure.workspace.manifest import MANIFEST, FileState, Snapshot, read_manifest, write_manifest
from infrastructure.workspace.threads import Stopping, in_thread

_BLOCK = 1 << 20
_HINT = "Name a smaller folder, or let git ignore what is not source."


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """The most a snapshot may hold."""

    files: int = 20_000
    total_bytes: int = 512 << 20


async def take_snapshot(repo: Path, into: Path, *, limits: SnapshotLimits = SnapshotLimits()) -> Snapshot:
    """Copy the folder's files into `into/base`, with `into/manifest.json` beside them.

    In a git repository: tracked files with their uncommitted changes, and untracked files that are not ignored.
    Elsewhere: every file but dependency folders and caches. Links are kept only where they point inside; sockets,
    pipes, submodules and nested repositories are left out, and `skipped` says so. A finished snapshot is taken
    as it is, an unfinished one is done again.

    Raises:
        NotADirectory: There is no such folder.
        TooLarge: It holds more than `limits`.
        GitMissing, GitFailed: It is a repository and git could not list it.
    """
    try:
        return await load_snapshot(into)
    except SnapshotUnfinished:
        pass
    repo, repository = await in_thread(lambda _: _look(repo))
    if repository is None:
        chosen = await in_thread(lambda _: choose_by_walk(repo, limits.files))
    else:
        chosen = await choose_by_git(repository)
    if len(chosen.paths) > limits.files:
        raise too_many(repo, limits.files)
    copied = await in_thread(lambda stopping: _copy(repo, chosen, into, limits, stopping))
    snapshot = Snapshot(
        root=into / "base",
        repo=repo,
        is_repository=repository is not None,
        dirty=repository is not None and _is_dirty(chosen, copied),
        head=chosen.head,
        files=copied.files,
        skipped=tuple(chosen.skipped),
    )
    await in_thread(lambda _: _finish(snapshot, into))
    return snapshot


async def load_snapshot(into: Path) -> Snapshot:
    """Return the finished snapshot kept in `into`.

    Raises:
        SnapshotUnfinished: There is none, or its manifest is damaged.
    """
    try:
        content = await in_thread(lambda _: (into / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SnapshotUnfinished(into) from error
    return read_manifest(content, into, into / "base")


@dataclass(slots=True)
class _Copied:
    files: dict[str, FileState] = field(default_factory=dict[str, FileState])
    blobs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """The git blob ids a file's content could have: as it is, and with its line ends as git stores them."""


def _look(repo: Path) -> tuple[Path, Repository | None]:
    if not repo.is_dir():
        raise NotADirectory(repo)
    repo = repo.resolve()
    return repo, find_repository(repo)


def _copy(repo: Path, chosen: Chosen, into: Path, limits: SnapshotLimits, stopping: Stopping) -> _Copied:
    into.mkdir(parents=True, exist_ok=True)
    unfinished, base = into / "base.unfinished", into / "base"
    for left_over in (unfinished, base):  # a base without its manifest belongs to a run that died
        if left_over.exists():
            shutil.rmtree(left_over)
    unfinished.mkdir()
    copied, total = _Copied(), 0
    for path in chosen.paths:
        stopping.check()
        try:
            total += _copy_one(repo, path, unfinished, copied, path in chosen.indexed, total, limits)
        except PathMissing:
            continue  # deleted in the working tree
        except PathRefused as error:
            chosen.skip(path, error.reason)
        except PermissionError:
            chosen.skip(path, "it may not be read")
    _drop_outward_links(unfinished, chosen, copied)
    _sync(unfinished)
    unfinished.rename(base)
    return copied


def _copy_one(
    repo: Path, path: str, base: Path, copied: _Copied, tracked: bool, total: int, limits: SnapshotLimits
) -> int:
    *folders, name = parts_of(path)
    with directory(repo, folders) as parent:
        found = look_at(parent, name, path)
        if found is None:
            raise PathMissing(path)
        target = os.readlink(name, dir_fd=parent) if git_mode(found.st_mode) == LINK else None
    if target is not None:
        return _copy_link(path, target, base, copied)
    descriptor = open_file(repo, path)
    with os.fdopen(descriptor, "rb") as source, directory(base, folders, make=True) as parent:
        mode = git_mode(os.fstat(descriptor).st_mode)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, mode & 0o777, dir_fd=parent), "wb") as target_file:
            digest, size, blob = hashlib.sha256(), 0, bytearray()
            while block := source.read(_BLOCK):
                size += len(block)
                if total + size > limits.total_bytes:
                    raise TooLarge(f"{repo} holds too much", f"{limits.total_bytes:,} bytes", _HINT)
                digest.update(block)
                target_file.write(block)
                if tracked and size <= 8 * _BLOCK:
                    blob += block
    copied.files[path] = FileState(digest.hexdigest(), mode, size)
    if tracked:
        copied.blobs[path] = _blob_ids(bytes(blob)) if len(blob) == size else set()
    return size


def _copy_link(path: str, target: str, base: Path, copied: _Copied) -> int:
    if target.startswith("/"):
        raise PathRefused(path, "it is a symbolic link to an absolute path")
    *folders, name = parts_of(path)
    with directory(base, folders, make=True) as parent:
        os.symlink(target, name, dir_fd=parent)
    content = os.fsencode(target)
    copied.files[path] = FileState(sha_of(content), LINK, len(content))
    copied.blobs[path] = _blob_ids(content)
    return len(content)


def _drop_outward_links(base: Path, chosen: Chosen, copied: _Copied) -> None:
    """Judge links where they all stand: only the real path says where a chain of them ends."""
    root = os.path.realpath(base)
    for path in [path for path, state in copied.files.items() if state.mode == LINK]:
        end = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - names may be no UTF-8
        if end != root and not end.startswith(root + "/"):
            (base / path).unlink()
            del copied.files[path]
            chosen.skip(path, "it is a symbolic link that leaves the folder")


def _blob_ids(content: bytes) -> set[str]:
    """The names git could give the content, in a repository of either kind, with or without its carriage returns."""
    forms = {content, content.replace(b"\r\n", b"\n")}
    headed = [b"blob %d\0" % len(form) + form for form in forms]
    sha1 = {hashlib.sha1(form, usedforsecurity=False).hexdigest() for form in headed}
    return sha1 | {sha_of(form) for form in headed}


def _is_dirty(chosen: Chosen, copied: _Copied) -> bool:
    if chosen.staged or any(path not in chosen.indexed for path in copied.files):
        return True
    return any(blob not in copied.blobs.get(path, ()) for path, blob in chosen.indexed.items())


def _finish(snapshot: Snapshot, into: Path) -> None:
    unfinished = into / f"{MANIFEST}.unfinished"
    with unfinished.open("wb") as file:
        file.write(write_manifest(snapshot))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(into / MANIFEST)
    _sync_folder(into)


def _sync_folder(folder: Path) -> None:
    with directory(folder, ()) as descriptor:
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    """Bring a whole tree to the disk with one call: a sync for each of its files would take minutes."""
    with directory(folder, ()) as descriptor:
        syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
