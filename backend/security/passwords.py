"""The password of a door that is open to more than loopback: compared in constant time, and not to be guessed."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from collections.abc import Callable

from backend.security.errors import TooManyAttempts, WrongPassword

ATTEMPTS = 10
WITHIN_SECONDS = 60.0


class Password:
    """Checks a password; after ten wrong ones within a minute nobody is heard until the minute is over.

    All callers share the ten: who can reach the door can have as many addresses as they like.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._secret = secret.encode()
        self.digest = hashlib.sha256(self._secret).hexdigest()
        """Tells it from others."""
        self._clock = clock
        self._wrong: deque[float] = deque(maxlen=ATTEMPTS)

    def listen(self) -> None:
        """Let pass while attempts are heard, so that nothing of one need be read where they are not.

        Raises:
            TooManyAttempts: there were too many wrong ones.
        """
        now = self._clock()
        if len(self._wrong) == ATTEMPTS and (left := self._wrong[0] + WITHIN_SECONDS - now) > 0:
            raise TooManyAttempts(left)

    def check(self, given: str) -> None:
        """Let the right one pass.

        Raises:
            WrongPassword: it is another.
            TooManyAttempts: there were too many wrong ones.
        """
        self.listen()
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._secret):
            self._wrong.append(self._clock())
            raise WrongPassword
