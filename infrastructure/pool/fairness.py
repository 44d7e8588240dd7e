"""Fair shares among clients: whoever has been served least goes first.

Owns the virtual token counters (VTC, Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): a call is
charged its prompt tokens once and its output tokens twice. They are kept for each band, since only calls of one band
compete. What an answer will be long is a guess at first, which is set right when it is done.
"""

from __future__ import annotations

from collections import OrderedDict

PROMPT_WEIGHT = 1.0
OUTPUT_WEIGHT = 2.0
_FIRST_GUESS_TOKENS = 256.0
_SMOOTHING = 0.2
_CLIENTS_KEPT = 4096


class Shares:
    """What each client has had, in weighted tokens. Counters never go down, so that an order by them stays true."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = {}
        """By client; only of those who wait or are served, and of the most recent others."""
        self._clock = 0.0
        self._credit: dict[str, float] = {}
        self._lengths: OrderedDict[str, float] = OrderedDict()
        self._active: dict[str, int] = {}

    def enter(self, client: str) -> None:
        """A call of the client waits.

        One that had nothing here is lifted to where the others are: what it did not use is not saved up.
        """
        active = self._active.get(client, 0)
        if not active:
            self.counters[client] = max(self.counters.get(client, 0.0), self._clock)
        self._active[client] = active + 1

    def leave(self, client: str) -> None:
        """A call of the client is over, or was never served."""
        left = self._active[client] - 1
        if left:
            self._active[client] = left
            return
        del self._active[client]
        if len(self.counters) > _CLIENTS_KEPT:
            self._forget()

    def charge(self, client: str, prompt_tokens: int) -> float:
        """The client's call got a slot; what was charged for it."""
        before = self.counters[client]
        self._clock = max(self._clock, before)
        guess = self._lengths.get(client, _FIRST_GUESS_TOKENS)
        cost = PROMPT_WEIGHT * prompt_tokens + OUTPUT_WEIGHT * guess
        credit = self._credit.pop(client, 0.0)
        if credit > cost:
            self._credit[client] = credit - cost
        else:
            self.counters[client] = before + cost - credit
        return cost

    def settle(self, client: str, charged: float, prompt_tokens: int, output_tokens: int) -> None:
        """What the call really took; what was charged too much goes off the next one."""
        over = charged - PROMPT_WEIGHT * prompt_tokens - OUTPUT_WEIGHT * output_tokens
        if over > 0:
            self._credit[client] = self._credit.get(client, 0.0) + over
        else:
            self.counters[client] = self.counters.get(client, self._clock) - over
        known = self._lengths.get(client, float(output_tokens))
        self._lengths[client] = known + _SMOOTHING * (output_tokens - known)
        self._lengths.move_to_end(client)
        if len(self._lengths) > _CLIENTS_KEPT:
            self._lengths.popitem(last=False)

    def _forget(self) -> None:
        """Drop the clients that ask nothing now and would be lifted anyway."""
        self.counters = {
            client: value for client, value in self.counters.items() if client in self._active or value > self._clock
        }
        self._credit = {client: value for client, value in self._credit.items() if client in self.counters}
