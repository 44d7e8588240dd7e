"""Changing several files at once: all of them or none.

Owns the order of work: write every new content beside its target and sync it, keep a second link to every old one,
then rename; when a rename fails, put the old ones back. Each single file is always either old or new, whenever the
process dies; repeating the same change after that completes it. Blocking; see `threads`.
"""

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.workspace.beneath import REGULAR, directory, look_at, parts_of
from infrastructure.workspace.errors import PathMissing, PathRefused, WriteFailed

TEMPORARY = ".corral-tmp-"
"""How names of unfinished files begin. Whoever lists a tree leaves them out."""

_OWNED = re.compile(rf"{re.escape(TEMPORARY)}(\d+)-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A file's new content; None deletes it. A file that was there keeps its mode; a new one gets `mode`.

    With a file that is deleted go its folders that are left empty, but for the first `folders` of them.
    """

    path: str
    content: bytes | None
    mode: int = REGULAR
    folders: int = 0


@dataclass(slots=True)
class _Step:
    path: str
    folders: tuple[str, ...]
    name: str
    fresh: str | None = None
    """Name of the file that holds the new content."""
    kept: str | None = None
    """Name of the second link to the old content."""
    deletes: bool = False
    stay: int = 0
    """How many of its folders stay, empty or not."""
    done: bool = False


@dataclass(slots=True)
class _Work:
    root: Path
    steps: list[_Step] = field(default_factory=list[_Step])
    made: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])


def replace_all(root: Path, replacements: Sequence[Replacement], *, confirm: Callable[[], None] = lambda: None) -> None:
    """Carry out all replacements, or change nothing.

    Args:
        root: The folder all paths lie below.
        replacements: At most one for each path.
        confirm: Called when everything is prepared and nothing is changed yet; what it raises stops the change.

    Raises:
        PathRefused: A path is a link, a folder or a device, or goes through one.
        WriteFailed: The system refused; what was done is undone.
    """
    work = _Work(root)
    path = ""
    try:
        for each in replacements:
            path = each.path
            _prepare(work, each)
        confirm()
        for step in work.steps:
            path = step.path
            _commit(root, step)
        _sync_folders(work)
    except OSError as error:
        raise WriteFailed(path, error.strerror or str(error), _undo(work)) from error
    except BaseException:  # an interrupt too: a change half done is worse than a late exit
        _undo(work)
        raise
    _tidy(work)


def _prepare(work: _Work, each: Replacement) -> None:
    *folders, name = parts_of(each.path)
    step = _Step(each.path, tuple(folders), name)
    if each.content is None:
        try:
            with directory(work.root, folders) as parent:
                if _plain(parent, name, each.path) is None:
                    return
        except PathMissing:
            return  # nothing to delete
        step.deletes, step.stay = True, each.folders
        work.steps.append(step)
        return
    _make_folders(work, step.folders)
    with directory(work.root, folders) as parent:
        _sweep(parent)
        found = _plain(parent, name, each.path)
        work.steps.append(step)
        step.fresh = _temporary()
        _write(parent, step.fresh, each.content, each.mode, found)


def _plain(parent: int, name: str, path: str) -> os.stat_result | None:
    found = look_at(parent, name, path)
    if found is not None and not stat.S_ISREG(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a regular file"
        raise PathRefused(path, f"it is {what}")
    return found


def _make_folders(work: _Work, folders: tuple[str, ...]) -> None:
    for length in range(1, len(folders) + 1):
        with directory(work.root, folders[: length - 1]) as parent:
            try:
                os.mkdir(folders[length - 1], dir_fd=parent)
            except FileExistsError:
                continue  # entering it below says whether it is a folder
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    raise PathRefused("/".join(folders), "a name in it is too long") from error
                raise
            work.made.append(folders[:length])


def _write(parent: int, name: str, content: bytes, mode: int, found: os.stat_result | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666 if mode == REGULAR else 0o777, dir_fd=parent)  # less the user's umask
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if found is not None:
            if os.geteuid() == 0:
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
        os.fsync(file.fileno())


def _commit(root: Path, step: _Step) -> None:
    with directory(root, step.folders) as parent:
        found = _plain(parent, step.name, step.path)
        if found is not None:
            step.kept = _temporary()
            _keep(parent, step.name, step.kept)
        if step.fresh is not None:
            os.rename(step.fresh, step.name, src_dir_fd=parent, dst_dir_fd=parent)
            step.done, step.fresh = True, None
        elif found is not None:
            os.unlink(step.name, dir_fd=parent)
            step.done = True


def _keep(parent: int, name: str, kept: str) -> None:
    try:
        os.link(name, kept, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EACCES}:
            raise
        # A file system without hard links (drvfs under WSL, FAT): a copy serves.
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(source, "rb") as old:
            mode = stat.S_IMODE(os.fstat(old.fileno()).st_mode)
            target = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=parent)
            with os.fdopen(target, "wb") as copy:
                shutil.copyfileobj(old, copy)


def _undo(work: _Work) -> tuple[str, ...]:
    """Put everything back, and name what could not be."""
    lost: list[str] = []
    for step in reversed(work.steps):
        try:
            with directory(work.root, step.folders) as parent:
                _restore(parent, step)
        except (OSError, PathRefused, PathMissing):
            if step.done:
                lost.append(step.path)
    for folders in reversed(work.made):
        _remove_folder(work.root, folders)
    return tuple(lost)


def _restore(parent: int, step: _Step) -> None:
    _drop(parent, step.fresh)
    if step.done and step.kept is not None:
        os.rename(step.kept, step.name, src_dir_fd=parent, dst_dir_fd=parent)
    elif step.done:
        os.unlink(step.name, dir_fd=parent)
    _drop(parent, step.kept)


def _tidy(work: _Work) -> None:
    for step in work.steps:
        with suppress(OSError, PathRefused, PathMissing), directory(work.root, step.folders) as parent:
            _drop(parent, step.kept)  # a name left behind is swept up by the next change in that folder
    for step in work.steps:
        if step.deletes:
            for length in range(len(step.folders), step.stay, -1):
                if not _remove_folder(work.root, step.folders[:length]):  # git leaves no empty folder either
                    break


def _drop(parent: int, name: str | None) -> None:
    if name is not None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)


def _remove_folder(root: Path, folders: tuple[str, ...]) -> bool:
    try:
        with directory(root, folders[:-1]) as parent:
            os.rmdir(folders[-1], dir_fd=parent)
    except (OSError, PathRefused, PathMissing):
        return False  # not empty, or not ours to remove
    return True


def _sync_folders(work: _Work) -> None:
    for folders in {step.folders for step in work.steps}:
        with suppress(PathMissing), directory(work.root, folders) as parent:
            os.fsync(parent)


def _temporary() -> str:
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"


def _sweep(parent: int) -> None:
    """Remove what a process that died in the middle of a change has left."""
    for name in os.listdir(parent):
        match = _OWNED.fullmatch(name)
        if match is not None and not _is_alive(int(match[1])):
            _drop(parent, name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
