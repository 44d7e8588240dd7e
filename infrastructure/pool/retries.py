"""How many calls may be asked twice.

Owns the budgets: extra requests are a share of the calls that were answered, so that trouble is never multiplied.
"""

from __future__ import annotations

RETRY_SHARE = 0.1
"""Calls that a server failed and another one is asked for, of all that were answered."""
HEDGE_SHARE = 0.03
"""Calls that a second server is asked beside the first one, of all that were answered."""


class RetryBudget:
    """Fills with the calls that are answered, and is spent by each extra one."""

    def __init__(self, share: float = RETRY_SHARE, *, start: float = 10.0, most: float = 50.0) -> None:
        """A budget with something in it, since trouble may come first.

        Args:
            share: what each answered call adds.
            start: extra calls at the beginning.
            most: extra calls that can be saved up.
        """
        self._share = share
        self._most = most
        self._left = start

    def answered(self) -> None:
        """A call was answered."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Take one extra call out; whether there was one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
