"""One-time sign-in codes.

Owns their making and spending. A code is signed with the token and belongs to one engine, so another command of the
same user can make one without asking the server; the server remembers which were spent.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from backend.security.token import Keys

CODE_SECONDS = 300


def mint(keys: Keys, epoch: str) -> str:
    """A code for one sign-in within five minutes.

    Args:
        keys: Of the data directory.
        epoch: Which engine it is for: when it took its lock.
    """
    text = f"{int(keys.now()) + CODE_SECONDS}-{secrets.token_hex(8)}"
    return f"{text}-{_mark(keys, epoch, text)}"


@dataclass(slots=True)
class Codes:
    """Spends the codes of one engine."""

    keys: Keys
    epoch: str
    _spent: dict[str, int] = field(default_factory=dict[str, int])
    """Each with the second after which nobody would take it anyway."""

    def spend(self, code: str) -> bool:
        """Whether the code is good; it is not a second time."""
        now = self.keys.now()
        self._spent = {spent: until for spent, until in self._spent.items() if until > now}
        text, _, mark = code.rpartition("-")
        if not hmac.compare_digest(mark.encode(), _mark(self.keys, self.epoch, text).encode()):
            return False
        until = int(text.partition("-")[0])  # signed, so it is a number
        if until <= now or text in self._spent:
            return False
        self._spent[text] = until
        return True


def _mark(keys: Keys, epoch: str, text: str) -> str:
    return keys.sign("code", f"{epoch} {text}")[:32]  # 128 bits: the address stays short enough to be copied
