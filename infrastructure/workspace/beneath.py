"""Opening files below a root, whatever lies in wait there.

Owns the walk: one directory at a time, never through a symbolic link, never into `.git`, never a device, a pipe or
(where we made the tree) a second hard link. Blocking; see `threads`. Source of the rules: facts/reliability.md,
appendix D.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infrastructure.workspace.errors import PathMissing, PathRefused, TooLarge

REGULAR, EXECUTABLE, LINK = 0o100644, 0o100755, 0o120000
"""The three modes a tracked file can have, as git writes them."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def parts_of(path: str) -> tuple[str, ...]:
    """Split a relative path.

    Raises:
        PathRefused: It is empty or absolute, leaves the root, holds NUL, or enters a `.git`.
    """
    parts = tuple(path.split("/"))
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise PathRefused(path, "it does not name a file below the folder")
    if any(part.casefold() == ".git" for part in parts):
        raise PathRefused(path, "it lies in a .git folder")
    return parts


@contextmanager
def directory(root: Path, parts: Sequence[str], *, make: bool = False) -> Generator[int]:
    """Hold a descriptor of a directory below the root; with `make`, create what is missing on the way.

    Raises:
        PathRefused: A part is a symbolic link or a file.
        PathMissing: A part is not there.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for index, part in enumerate(parts):
            below = _enter(descriptor, parts[: index + 1], part, make)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _enter(parent: int, so_far: Sequence[str], part: str, make: bool) -> int:
    path = "/".join(so_far)
    if make:
        with suppress(FileExistsError):  # the open below says whether it is a directory
            os.mkdir(part, dir_fd=parent)
    try:
        return os.open(part, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError as error:
        raise PathMissing(path) from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise PathRefused(path, "it is not a folder of its own, or a symbolic link") from error
        if error.errno == errno.ENAMETOOLONG:
            raise PathRefused(path, "a name in it is too long") from error
        raise


def look_at(parent: int, name: str, path: str) -> os.stat_result | None:
    """The status of an entry, links not followed; None when it is not there.

    Raises:
        PathRefused: The name is too long for the file system.
    """
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise PathRefused(path, "a name in it is too long") from error
        raise


def open_file(root: Path, path: str, *, limit: int | None = None, ours: bool = False) -> int:
    """Open a regular file for reading and return its descriptor.

    Args:
        root: The folder; links in its own path are followed.
        path: Below it, with `/`.
        limit: Most bytes it may hold.
        ours: Whether we made the tree, so that a second hard link can only be an attack.

    Raises:
        PathRefused: It is no regular file, or not reached by plain folders.
        PathMissing: It is not there.
        TooLarge: It holds more than `limit`.
    """
    *folders, name = parts_of(path)
    with directory(root, folders) as parent:
        return open_at(parent, name, path, limit=limit, ours=ours)


def open_at(parent: int, name: str, path: str, *, limit: int | None = None, ours: bool = False) -> int:
    """Open a regular file of a folder that is held open. As `open_file`, whose `path` is for the message only."""
    found = look_at(parent, name, path)
    if found is None:
        raise PathMissing(path)
    _must_be_plain(path, found, ours)  # before the open: opening a device can already do harm
    descriptor = os.open(name, _READ, dir_fd=parent)
    try:
        opened = os.fstat(descriptor)
        _must_be_plain(path, opened, ours)
        if limit is not None and opened.st_size > limit:
            raise TooLarge(f"{path!r} holds {opened.st_size:,} bytes", f"{limit:,} bytes")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _must_be_plain(path: str, found: os.stat_result, ours: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise PathRefused(path, "it is a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise PathRefused(path, "it is not a regular file")
    if ours and found.st_nlink != 1:
        raise PathRefused(path, "it is linked to another file")


def read_file(root: Path, path: str, *, limit: int | None = None, ours: bool = False) -> bytes:
    """Read a regular file whole. Raises as `open_file`."""
    with os.fdopen(open_file(root, path, limit=limit, ours=ours), "rb") as file:
        content = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(content) > limit:  # it grew since it was opened
        raise TooLarge(f"{path!r} holds more", f"{limit:,} bytes")
    return content


def sha_of(content: bytes) -> str:
    """The SHA-256 of some content, in hex: how files are compared everywhere in a run."""
    return hashlib.sha256(content).hexdigest()


def git_mode(mode: int) -> int:
    """The git mode of a file's `st_mode`: a link, or a file that its owner may or may not execute."""
    if stat.S_ISLNK(mode):
        return LINK
    return EXECUTABLE if mode & stat.S_IXUSR else REGULAR
