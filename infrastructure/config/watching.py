"""Waiting for a file to become another one.

Owns what tells two states of a file apart, and when a change is over: editors write in several steps, or put a new file
in the place of the old one; a link may point elsewhere. A poll, since every file system has one: a round is one `stat`
for each file, in a thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

POLL_SECONDS = 1.0
"""How often a file is looked at."""
SETTLE_SECONDS = 0.25
"""A change is over when the file looks the same for so long."""

Stamp: TypeAlias = tuple[int, ...]
"""Device, inode, size, and the times of the last write and of the last change of the inode; empty: there is none."""
Stamps: TypeAlias = "dict[Path, Stamp]"


def stamps_of(places: Iterable[Path]) -> Stamps:
    """What these files look like now, and all files of those that are folders. Links are followed.

    The time of the inode's change tells also a file that another program gave its old time of writing.
    """
    found: Stamps = {}
    for place in places:
        found[place] = _stamp(place)
        for file in _within(place):
            found[file] = _stamp(file)
    return found


async def changed(
    places: Callable[[], Iterable[Path]],
    known: Callable[[], Stamps],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Stamps:
    """Wait until the files look otherwise than `known`, and have stopped changing; what they look like then.

    Args:
        places: Which files there are to look at, asked each time.
        known: What they looked like when they were last read, asked each time.
        sleep: Waits so many seconds.
    """
    while True:
        now = await asyncio.to_thread(lambda: stamps_of(places()))
        if now == known():
            await sleep(POLL_SECONDS)
            continue
        await sleep(SETTLE_SECONDS)
        if await asyncio.to_thread(lambda: stamps_of(places())) == now:
            return now


def _stamp(place: Path) -> Stamp:
    try:
        found = place.stat()
    except OSError as error:
        return () if isinstance(error, FileNotFoundError) else (error.errno or 0,)
    if place.is_dir():
        return (found.st_dev, found.st_ino)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _within(folder: Path) -> list[Path]:
    """The files of a folder, those that editors keep beside them left out."""
    try:
        return sorted(
            file for file in folder.iterdir() if not file.name.startswith(".") and not file.name.endswith("~")
        )
    except OSError:
        return []
