"""The judge's files put over a throw-away copy of a tree, whatever an attempt has put in their place.

Owns the order of work: what steers a runner and is not the judge's goes, then every judge file is written that is not
there already as it should be. The copy is thrown away after one run, so nothing is synced and nothing can be undone; no
link is followed, and nothing outside the copy is touched. Blocking.
"""

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from infrastructure.judge.steering import is_manifest, must_return, steers
from infrastructure.workspace.beneath import directory, look_at, parts_of, read_file
from infrastructure.workspace.errors import PathMissing, PathRefused
from infrastructure.workspace.threads import Stopping

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def put_judge_files(work: Path, there: Iterable[str], judge_files: Mapping[str, bytes], stopping: Stopping) -> None:
    """Bring a copy to where the judge can run on it.

    Args:
        work: The copy. Nothing runs in it yet.
        there: The paths of its files.
        judge_files: Content by path. A file that is there keeps its mode.
        stopping: Asked once a folder.

    Raises:
        PathRefused: A judge file's path is none below the copy.
    """
    for path in [each for each in there if steers(each) and each not in judge_files]:
        if must_return(path, _content(work, path), None):
            _clear(work, path)
            _drop_empty(work, parts_of(path)[:-1])
    wanted = [path for path, content in judge_files.items() if _belongs_there(work, path, content)]
    split = sorted((parts_of(path) for path in wanted), key=lambda parts: parts[:-1])
    for folders, group in groupby(split, key=lambda parts: parts[:-1]):
        stopping.check()
        _put_in_folder(work, folders, {parts[-1]: judge_files["/".join(parts)] for parts in group})


def _belongs_there(work: Path, path: str, content: bytes) -> bool:
    return not (steers(path) or is_manifest(path)) or must_return(path, _content(work, path), content)


def _put_in_folder(work: Path, folders: tuple[str, ...], contents: Mapping[str, bytes]) -> None:
    _make_way(work, folders)
    with directory(work, folders, make=True) as parent:
        for name, content in contents.items():
            path = "/".join((*folders, name))
            found = look_at(parent, name, path)
            if found is not None and stat.S_ISREG(found.st_mode):
                _renew(parent, name, content, found.st_size)
                continue
            if found is not None:
                _clear(work, path)
            with os.fdopen(os.open(name, _NEW, 0o644, dir_fd=parent), "wb") as file:
                file.write(content)


def _renew(parent: int, name: str, content: bytes, size: int) -> None:
    """Write a file anew, unless it says the same already: in most runs all of them do."""
    with os.fdopen(os.open(name, _OLD, dir_fd=parent), "r+b") as file:
        if size == len(content) and file.read() == content:
            return
        file.seek(0)
        file.truncate()
        file.write(content)


def _make_way(work: Path, folders: tuple[str, ...]) -> None:
    """Take away a file or link that stands where a folder must be."""
    place = work
    for name in folders:
        place = place / name
        if place.is_symlink() or place.is_file():
            place.unlink()
            return


def _drop_empty(work: Path, folders: tuple[str, ...]) -> None:
    """Leave no empty folder, as git does: a `.dist-info` without files is package metadata still."""
    for length in range(len(folders), 0, -1):
        try:
            with directory(work, folders[: length - 1]) as parent:
                os.rmdir(folders[length - 1], dir_fd=parent)
        except OSError:
            return  # not empty


def _content(work: Path, path: str) -> bytes | None:
    try:
        return read_file(work, path)
    except (PathRefused, PathMissing):
        return None


def _clear(work: Path, path: str) -> None:
    """Remove what has a path; what lies behind a link stays."""
    *folders, name = parts_of(path)
    try:
        with directory(work, folders) as parent:
            found = look_at(parent, name, path)
            if found is None:
                return
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
    except (PathRefused, PathMissing):
        return  # behind a link or a file: it is not there
