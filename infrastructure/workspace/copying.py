"""Copying many files from one tree of ours to another.

Owns `copy_files`. Folder by folder, with both folders held open, so that a tree of thousands of files is copied in a
fraction of a second. Blocking; see `threads`.
"""

import os
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from infrastructure.workspace.beneath import LINK, directory, open_at, parts_of
from infrastructure.workspace.threads import Stopping

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_files(source: Path, target: Path, modes: Mapping[str, int], stopping: Stopping) -> None:
    """Copy files and links, given with their git modes, to where they must not be yet.

    Blocks are shared and copied when written, on file systems that can.

    Raises:
        PathRefused, PathMissing: A file is not in the source as a plain file, or its place in the target is taken.
    """
    split = sorted((parts_of(path) for path in modes), key=lambda parts: (parts[:-1], parts[-1]))
    for folders, group in groupby(split, key=lambda parts: parts[:-1]):
        stopping.check()
        with directory(source, folders) as old, directory(target, folders, make=True) as new:
            for parts in group:
                path = "/".join(parts)
                _copy(old, new, parts[-1], path, modes[path])


def _copy(old: int, new: int, name: str, path: str, mode: int) -> None:
    if mode == LINK:
        os.symlink(os.readlink(name, dir_fd=old), name, dir_fd=new)
        return
    reading = open_at(old, name, path, ours=True)
    try:
        writing = os.open(name, _WRITE, mode & 0o777, dir_fd=new)
        try:
            while os.copy_file_range(reading, writing, 1 << 30):
                pass
        finally:
            os.close(writing)
    finally:
        os.close(reading)
