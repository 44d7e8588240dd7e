"""Fair shares among clients: whoever has been served least goes first.

Owns the virtual token counters (VTC, Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): a call is
charged its prompt tokens once and its output tokens twice. They are kept for each band, since only calls of one band
compete. What an answer will be long is a guess at first, which is set right when it is done.
"""

from __future__ import annotations

PROMPT_WEIGHT = 1.0
OUTPUT_WEIGHT = 2.0
_FIRST_GUESS_TOKENS = 256.0
_SMOOTHING = 0.2
_CLIENTS_KEPT = 4096


class Account:
    """What one client has had of a band, in weighted tokens."""

    __slots__ = ("_shares", "active", "client", "counter", "credit", "usual")

    def __init__(self, client: str, shares: Shares) -> None:
        self.client = client
        self.active = 0
        """Its calls that wait or are served."""
        self.counter = 0.0
        """Never goes down, so that an order by it stays true."""
        self.credit = 0.0
        """What it was charged too much; it goes off the next charge."""
        self.usual: float | None = None
        """Output tokens of its calls, a running average; None: none was answered yet."""
        self._shares = shares

    def charge(self, prompt_tokens: int) -> float:
        """A call got a slot; what was charged for it."""
        before, credit, usual, shares = self.counter, self.credit, self.usual, self._shares
        if before > shares.clock:
            shares.clock = before
        cost = PROMPT_WEIGHT * prompt_tokens + OUTPUT_WEIGHT * (_FIRST_GUESS_TOKENS if usual is None else usual)
        if credit > cost:
            self.credit = credit - cost
        else:
            self.counter = before + cost - credit
            self.credit = 0.0
        return cost

    def settle(self, charged: float, prompt_tokens: int, output_tokens: int) -> None:
        """What the call really took; what was charged too much goes off the next one."""
        over = charged - PROMPT_WEIGHT * prompt_tokens - OUTPUT_WEIGHT * output_tokens
        if over > 0:
            self.credit += over
        else:
            self.counter -= over
        usual = self.usual
        self.usual = float(output_tokens) if usual is None else usual + _SMOOTHING * (output_tokens - usual)

    def leave(self) -> None:
        """A call is over, or was never served."""
        self.active -= 1
        if not self.active:
            self._shares.forget_some()


class Shares:
    """The accounts of one band: of the clients that wait or are served, and of the most recent others."""

    def __init__(self) -> None:
        self.clock = 0.0
        """What the client had had that was last given a slot: where the others are."""
        self._accounts: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def enter(self, client: str) -> Account:
        """A call of the client waits; its account.

        One that had nothing here is lifted to where the others are: what it did not use is not saved up.
        """
        account = self._accounts.get(client)
        if account is None or not account.active:
            account = self._accounts.pop(client, None) or Account(client, self)
            account.counter = max(account.counter, self.clock)
            self._accounts[client] = account  # as the most recent one
        account.active += 1
        return account

    def forget_some(self) -> None:
        """Of too many clients, drop those that ask nothing now and would be lifted; then who asked longest ago."""
        if len(self._accounts) <= _CLIENTS_KEPT:
            return
        idle = [each for each in self._accounts.values() if not each.active]
        ahead = [each for each in idle if each.counter > self.clock]
        kept = {each.client for each in ahead[-_CLIENTS_KEPT // 2 :]}
        self._accounts = {
            client: account for client, account in self._accounts.items() if account.active or client in kept
        }
