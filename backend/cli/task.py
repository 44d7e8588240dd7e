"""The task's text, from the command line, a file or standard input.

Owns what is refused: nothing, too much, and what is no text.
"""

import sys
from pathlib import Path
from typing import BinaryIO

from backend.cli.errors import Refused

STDIN = "-"


def read_task(task: str | None, file: str | None, most_bytes: int, stdin: BinaryIO | None = None) -> str:
    """The one task that was given, without the white space around it.

    Args:
        task: The text itself.
        file: A file that holds it; `-` is standard input.
        most_bytes: The longest task, in bytes of UTF-8.
        stdin: Standard input; the process's own when None.

    Raises:
        Refused: there is none, there are two, it is empty, too long or no UTF-8, or the file cannot be read.
    """
    if task is not None and file is not None:
        raise Refused("a task and a task file were given", "Give one of them.")
    if task is None and file is None:
        raise Refused("no task was given", 'Type it: corral run "add a --json option", or name a file with --file.')
    content = _of_argument(task) if task is not None else _of_file(str(file), most_bytes, stdin)
    if len(content) > most_bytes:
        raise Refused(
            f"the task is longer than {most_bytes:,} bytes",
            "Say it shorter, and leave code and data in files of the repository; run.task_bytes sets the limit.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"the task is not UTF-8 text (byte {error.start + 1})", "Save it as UTF-8.") from None
    if "\0" in text:
        raise Refused("the task holds a zero byte, so it is no text", "Name a text file.")
    if not text.strip():
        raise Refused("the task is empty", "Say what is to be done.")
    return text.strip()


def _of_argument(task: str) -> bytes:
    return task.encode("utf-8", "surrogateescape")


def _of_file(file: str, most_bytes: int, stdin: BinaryIO | None) -> bytes:
    if file == STDIN:
        return (stdin or sys.stdin.buffer).read(most_bytes + 1)
    path = Path(file)
    try:
        with path.open("rb") as opened:
            return opened.read(most_bytes + 1)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", "Name a file that can be read.") from None
