"""The cookies of browsers that have signed in: made, known again, and taken back.

Owns what a cookie holds by: the token, the password (or that there is none), and a secret of its own that lies beside
the token. So another password ends every cookie, and so does signing out, which makes the secret anew: what a browser
forgets, somebody else may still have, and a server that remembers no cookie cannot tell them apart. A cookie is not the
token, since a browser sends it to every port of a host, where another program may keep it; whoever has it may do what
the browser may, until then or for 30 days.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from backend.security.token import Keys
from infrastructure.storage.directory import write_durably
from infrastructure.storage.errors import from_system

SECRET_BYTES = 32
COOKIE_SECONDS = 30 * 24 * 3600
_COOKIE = re.compile(r"[0-9]{1,15}\.[0-9a-f]{64}")
"""The second that it is good until, and the mark."""


@dataclass(slots=True)
class Cookies:
    """The cookies that are good now.

    Attributes:
        keys: They sign.
        secret: Of all that were made since somebody last signed out.
        path: Where it is kept.
    """

    keys: Keys
    secret: str
    path: Path

    @classmethod
    def open(cls, keys: Keys, path: Path) -> Self:
        """Those of a data directory. Touches the disk: on a loop, use a thread.

        Raises:
            StorageError: the file cannot be read or made.
        """
        try:
            secret = path.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            secret = ""
        except OSError as error:
            raise from_system(error, path) from error
        cookies = cls(keys, secret, path)
        if len(secret) < SECRET_BYTES:
            cookies._renew()
        return cookies

    def make(self, password: str) -> str:
        """One for a browser that has signed in, good for 30 days where this password is."""
        until = str(int(self.keys.now()) + COOKIE_SECONDS)
        return f"{until}.{self._mark(until, password)}"

    def knows(self, text: str, password: str) -> bool:
        """Whether the text is one and still good."""
        if not _COOKIE.fullmatch(text):
            return False
        until, _, mark = text.partition(".")
        return hmac.compare_digest(mark, self._mark(until, password)) and int(until) > self.keys.now()

    async def end_all(self) -> None:
        """Let none of them be good any more, also after a restart.

        Raises:
            StorageError: that could not be written down; until a restart it holds all the same.
        """
        await asyncio.to_thread(self._renew)

    def _renew(self) -> None:
        self.secret = secrets.token_urlsafe(SECRET_BYTES)
        try:
            write_durably(self.path, self.secret.encode())
        except OSError as error:
            raise from_system(error, self.path) from error

    def _mark(self, until: str, password: str) -> str:
        return self.keys.sign("cookie", f"{until} {self.secret} {password}")
