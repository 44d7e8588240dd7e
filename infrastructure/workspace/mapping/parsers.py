"""Parsing away from the engine: worker processes, fed and watched.

Owns how many files a process gets, how long it may take, and what becomes of the file one dies of. The engine's own
threads never hold a parser, so no stream waits for one.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.workspace.mapping.tags import NO_TAGS, dump_tags

AT_ONCE = 250
"""Files of one process."""
SECONDS = 60.0
"""For one process. Real source takes a few milliseconds a file."""
_DEATHS = 5
_OUTPUT_BYTES = 64 << 20
PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from infrastructure.workspace.mapping.worker import main; main()"
_UNREADABLE = dump_tags(NO_TAGS)

_log = logging.getLogger(__name__)


class Parse(Protocol):
    """Parses files of a folder."""

    async def __call__(self, root: Path, files: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Packed tags by path, of files given as path and language; those that were not reached are not in it."""
        ...


async def parse_files(
    root: Path, files: Sequence[tuple[str, str]], *, program: str = PROGRAM, seconds: float = SECONDS
) -> dict[str, bytes]:
    """Parse in worker processes, one after the other. A file that a worker dies of has no tags; five deaths end it."""
    found: dict[str, bytes] = {}
    waiting, deaths = list(files), 0
    while waiting and deaths < _DEATHS:
        batch = waiting[:AT_ONCE]
        try:
            answered = await _parsed(root, batch, program, seconds)
        except ProcessNotStarted as error:
            _log.warning("files cannot be parsed for the map of the repository: %s", error)
            break
        found.update(zip((path for path, _ in batch), answered, strict=False))
        if len(answered) < len(batch):
            deaths += 1
            found[batch[len(answered)][0]] = _UNREADABLE
            answered.append(_UNREADABLE)
        waiting = waiting[len(answered) :]
    return found


def request(root: Path, files: Sequence[tuple[str, str]]) -> bytes:
    """What a worker is asked: a folder, and paths below it with the language of each. Names may be no UTF-8."""
    return json.dumps({"root": str(root), "files": list(files)}).encode("ascii")


async def _parsed(root: Path, batch: list[tuple[str, str]], program: str, seconds: float) -> list[bytes]:
    finished = await run_process(
        [sys.executable, "-I", "-c", program, *sys.path],
        cwd=None,
        env={"LC_ALL": "C.UTF-8"},
        stdin=request(root, batch),
        timeout=seconds,
        output_limit=_OUTPUT_BYTES,
    )
    answered: list[bytes] = []
    for line in finished.stdout.split(b"\n")[:-1]:
        try:
            answered.append(base64.b64decode(line, validate=True))
        except binascii.Error:
            break  # the notice where the middle of a flood was left out
    return answered[: len(batch)]
