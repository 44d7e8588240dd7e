"""The token of a data directory, and what is signed with it.

Owns its file (0600, made once, so a restart changes nothing) and constant-time comparison.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infrastructure.storage.directory import make_private_file
from infrastructure.storage.errors import from_system

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the door.

    Attributes:
        token: For programs.
        now: Seconds since 1970.
    """

    token: str
    now: Callable[[], float] = time.time

    def is_token(self, text: str) -> bool:
        """Whether the text is the token."""
        return hmac.compare_digest(text.encode(), self.token.encode())

    def sign(self, use: str, text: str) -> str:
        """A mark that only who has the token can make; one for each use."""
        return hmac.new(self.token.encode(), f"{use}\0{text}".encode(), hashlib.sha256).hexdigest()


def open_keys(path: Path) -> Keys:
    """The keys of a data directory; the token is made where there is none. Touches the disk: on a loop, use a thread.

    Raises:
        StorageError: the file cannot be read or made.
    """
    try:
        make_private_file(path)
        with path.open("r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # two commands may come first at once
            token = file.read().strip()
            if len(token) < TOKEN_BYTES:  # new, or cut off by a crash while it was written
                token = secrets.token_urlsafe(TOKEN_BYTES)
                file.seek(0)
                file.write(token)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise from_system(error, path) from error
    return Keys(token)
