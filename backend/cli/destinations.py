"""Whether what a command is to write can be written, asked before the work begins rather than after it.

Owns the checks of files and folders that were named on the command line. What is there is not touched.
"""

import os
import shlex
import stat
from pathlib import Path

from backend.cli.errors import Refused
from infrastructure.running.naming import fault_of

STDOUT = "-"


def writable_file(option: str, file: str | None) -> str | None:
    """The file, if it can be made or overwritten; `-` and None are left as they are.

    Args:
        option: By which it was named.
        file: Its path.

    Raises:
        Refused: it cannot be written.
    """
    if file is None or file == STDOUT:
        return file
    path = Path(os.path.realpath(file))
    try:
        if not path.parent.is_dir():
            raise _no_folder(option, path.parent)
        if path.is_dir():
            raise Refused(f"{option}: {file} is a folder", "Name a file in it.")
        _try(path)
    except OSError as error:
        raise Refused(f"{option}: {file} cannot be written: {error.strerror}", "Name another file.") from None
    return file


def writable_folder(option: str, folder: Path) -> Path:
    """The folder, absolute, if it can be written in, or made, and its name written down.

    Raises:
        Refused: it cannot.
    """
    path = folder.resolve()
    if fault := fault_of(str(path)):
        raise Refused(f"{option}: the path of the folder {fault}", "Name another folder.")
    try:
        there = next(each for each in (path, *path.parents) if each.exists())
    except OSError as error:
        raise Refused(f"{option}: {folder} cannot be looked at: {error.strerror}", "Name another folder.") from None
    if not there.is_dir():
        raise Refused(f"{option}: {folder} cannot be a folder, since {there} is a file", "Name another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Refused(f"{option}: nothing can be written in {there}", "Name a folder that you can write in.")
    return path


def _try(path: Path) -> None:
    """Open the file as it will be opened, but for emptying it. A pipe is not opened: that waits for its reader."""
    try:
        is_plain = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        path.open("xb").close()
        path.unlink()
        return
    if is_plain:
        path.open("ab").close()
    elif not os.access(path, os.W_OK):
        raise PermissionError(None, "Permission denied")


def _no_folder(option: str, parent: Path) -> Refused:
    if parent.exists():
        return Refused(f"{option}: {parent} is a file, so nothing can be in it", "Name a file in a folder.")
    return Refused(f"{option}: there is no folder {parent}", f"Make it: mkdir -p {shlex.quote(str(parent))}")
