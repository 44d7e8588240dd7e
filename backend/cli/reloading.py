"""Starting again when the source changes.

Owns the watch on the packages' files, and the start of the new program in place of this one, which keeps the listening
socket: a browser that asks meanwhile waits instead of being refused.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import agents
import backend
import infrastructure

POLL_SECONDS = 0.5


async def source_changed(roots: Sequence[Path] = (), *, began: asyncio.Event | None = None) -> tuple[Path, ...]:
    """Wait until a source file has changed and all changed ones can be compiled; those files.

    `began` is set as soon as a change would be seen.
    """
    watched = roots or [Path(str(package.__file__)).parent for package in (agents, infrastructure, backend)]
    try:
        before = await asyncio.to_thread(_stamps, watched)
    finally:
        if began is not None:
            began.set()
    while True:
        await asyncio.sleep(POLL_SECONDS)
        now = await asyncio.to_thread(_stamps, watched)
        changed = tuple(path for path in {*before, *now} if before.get(path) != now.get(path))
        if changed and await asyncio.to_thread(_compile, changed):
            return changed


def start_again(descriptor: int) -> None:
    """Become the same command anew, with a listening socket of this one. Does not return."""
    os.set_inheritable(descriptor, True)
    kept = [word for word in sys.orig_argv[1:] if not word.startswith("--fd=") and word != "--no-browser"]
    os.execv(sys.executable, [sys.executable, *kept, f"--fd={descriptor}", "--no-browser"])


def _stamps(roots: Sequence[Path]) -> Mapping[Path, int]:
    stamps: dict[Path, int] = {}
    for path in (path for root in roots for path in root.rglob("*.py")):
        with suppress(FileNotFoundError):  # an editor has just put another in its place
            stamps[path] = path.stat().st_mtime_ns
    return stamps


def _compile(changed: Sequence[Path]) -> bool:
    """Whether all can be; a half-saved file would end the server."""
    try:
        for path in changed:
            if path.exists():
                compile(path.read_bytes(), str(path), "exec")
    except (SyntaxError, ValueError, OSError):
        return False
    return True
