"""Whether a server has read the whole of a prompt, by its own count.

Owns what a prompt takes at least, for each model, and the one honest reason for less: servers before 0.30.1 leave what
they had in their cache out of the count.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from infrastructure.transport.window import MESSAGE_TOKENS

if TYPE_CHECKING:
    from infrastructure.pool.lanes import Lane

BYTES_TO_JUDGE = 512
"""In shorter prompts what the template adds outweighs the text."""
_LEAST_RATIO = 1 / 12
"""Tokens a byte that every text has at least; nothing but rows of blanks or dashes has fewer."""
_FAR_BELOW = 0.5
"""Of the fewest tokens a byte that a model has shown; a server that cuts leaves about half of a window."""
_PROMPTS_KEPT = 32


class Doubts:
    """Over all servers of a pool."""

    def __init__(self) -> None:
        self._least: dict[str, float] = {}
        self._prompts: OrderedDict[tuple[str, Lane, int], str] = OrderedDict()
        self._number = 0
        self._counts_cached: set[str] = set()

    def doubtful(self, server: str, lane: Lane, text: str, size: int, turns: int, counted: int) -> bool:
        """Whether the count is too small for this prompt to have been read whole; takes the prompt in.

        Args:
            server: where it was sent.
            lane: of which model.
            text: all of it.
            size: what it weighs: see `estimate_tokens` with a ratio of 1.
            turns: its messages.
            counted: tokens, by the server.
        """
        if size < BYTES_TO_JUDGE:
            return False
        shared = self._shared(server, lane, text)
        self._keep(server, lane, text)
        least = max(_LEAST_RATIO, _FAR_BELOW * self._least.get(lane.model, 0.0))
        if counted >= least * size:
            self._learn(lane.model, (counted - MESSAGE_TOKENS * turns) / size)
            if shared > len(text) / 2:
                self._counts_cached.add(server)
            return False
        if server in self._counts_cached:
            return True
        return counted < least * size * (1 - shared / len(text))

    def _learn(self, model: str, ratio: float) -> None:
        if ratio > 0:
            self._least[model] = min(ratio, self._least.get(model, ratio))

    def _shared(self, server: str, lane: Lane, text: str) -> int:
        """How much of its beginning an earlier prompt there had as well: characters."""
        best = 0
        for (name, of, _), kept in self._prompts.items():
            if name == server and of is lane and best < len(text) and kept.startswith(text[: best + 1]):
                best = common_beginning(kept, text, best + 1)
        return best

    def _keep(self, server: str, lane: Lane, text: str) -> None:
        self._number += 1
        self._prompts[server, lane, self._number] = text
        if len(self._prompts) > _PROMPTS_KEPT:
            self._prompts.popitem(last=False)


def common_beginning(one: str, other: str, known: int = 0) -> int:
    """Length of the longest common beginning, found by halving; that it is `known` long at least is known."""
    low, high = known, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
