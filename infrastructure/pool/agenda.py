"""What is worth a decision.

Owns the slots that were freed and the lanes for which calls came since the last decision: only those can bring one. A
change that may matter to every lane puts all of them here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane
    from infrastructure.pool.queue import CallQueue
    from infrastructure.pool.residency import Residency

_QUIET_CHECK_SECONDS = 1.0
"""How often calls that were held back for a reader are looked at again, if nothing happens."""


class Agenda:
    """Places and lanes to look at."""

    def __init__(self, queue: CallQueue, residency: Residency, quiet: dict[tuple[str, Lane], None]) -> None:
        self.freed: dict[tuple[str, Lane], None] = {}
        """Servers and lanes that have a slot more than before, the first first."""
        self.arrived: dict[Lane, None] = {}
        """Lanes for which calls came, the first first."""
        self.full: set[Lane] = set()
        """Lanes of which no server had a free slot, and none was freed since."""
        self.joined: dict[tuple[str, Lane], None] = {}
        """Servers and lanes where a person's call got a slot while there were guesses somewhere."""
        self.doubtful = False
        """Whether a call may wait that no server can take."""
        self.quiet = quiet
        """Servers and lanes of which a free slot was kept from a waiting call for a reader's sake."""
        self.quiet_until = math.inf
        """When those are looked at again though nothing has happened."""
        self._queue = queue
        self._residency = residency

    def reopen(self) -> None:
        """Something changed for every lane: each is worth a look. Else only those are whose slots or calls changed."""
        self._residency.changed()
        self.doubtful = True
        self.full.clear()
        self.arrived.clear()
        self.arrived.update(dict.fromkeys(self._queue.lanes()))

    def quiet_is_over(self) -> None:
        """What was kept for a reader's sake may be given now."""
        self.freed.update(self.quiet)
        self.quiet.clear()
        self.quiet_until = math.inf

    def quiet_begins(self, now: float) -> None:
        """Something is kept for a reader's sake; in a while it is looked at again, if a call still waits."""
        if not self._queue.calls:
            self.quiet.clear()
            self.quiet_until = math.inf
        elif self.quiet_until == math.inf:
            self.quiet_until = now + _QUIET_CHECK_SECONDS

    def forget(self, server: str) -> None:
        """A server is gone: nothing is to be looked at there."""
        for places in (self.freed, self.quiet, self.joined):
            for place in [place for place in places if place[0] == server]:
                del places[place]
