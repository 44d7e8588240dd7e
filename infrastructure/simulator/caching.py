"""Owns which prompts a runner still has: one text in each slot, and those that were pushed out of slots.

A prompt is found by its real common beginning with a text, never by who sent it. The rules and their shares are those
of llama.cpp's server (`get_available_slot`, `server_prompt_cache::load`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

_LEAST_SIMILARITY = 0.1
"""Share of a prompt that a slot must know to be preferred; else the one that was not used for longest is taken."""

_LEAST_HELD = 0.5
"""Share of a slot's text that a prompt must begin with for the slot to go on without a look into memory."""
_LEAST_KEPT = 0.25
"""Share of a text in memory that a prompt must begin with to take it out of there."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a prompt goes, and what of it need not be evaluated."""

    slot: int
    shared: int
    """Characters at its beginning that are known."""
    restored: bool
    """Whether they come out of memory and not out of the slot."""
    put_away: bool
    """Whether what the slot held went into memory first."""


class PromptCache:
    """What a runner knows of earlier prompts and answers.

    Args:
        slots: how many slots it has.
        kept: texts that stay in memory after they lost their slot; 0 where the version keeps none.
    """

    def __init__(self, slots: int, kept: int) -> None:
        self._slots = [""] * slots
        self._used = [0] * slots
        self._uses = 0
        self._kept = kept
        self._memory: OrderedDict[str, None] = OrderedDict()

    def take(self, free: Sequence[int], prompt: str) -> Found:
        """Choose among the free slots and bring what is known of the prompt into it."""
        best = max(free, key=lambda number: common(self._slots[number], prompt))
        shared = common(self._slots[best], prompt)
        similar = shared > _LEAST_SIMILARITY * len(prompt)
        if not similar:
            best = min(free, key=lambda number: self._used[number])
            shared = common(self._slots[best], prompt)
        held, restored, put_away = self._slots[best], False, False
        if not similar or shared < _LEAST_HELD * len(held):
            text, found = self._best_in_memory(prompt, shared, shared / len(held) if held else -1.0)
            restored = text is not None
            if text is not None:
                del self._memory[text]
            put_away = self._push_out(held)
            shared = found
        self._uses += 1
        self._used[best] = self._uses
        self._slots[best] = prompt[:shared]
        return Found(best, shared, restored, put_away)

    def keep(self, slot: int, text: str) -> None:
        """What a slot holds now."""
        self._slots[slot] = text

    def _best_in_memory(self, prompt: str, shared: int, share: float) -> tuple[str | None, int]:
        """The text that knows more of the prompt, and is itself made more use of, than what the slot holds."""
        best: str | None = None
        for text in self._memory:
            known = common(text, prompt)
            if known / len(text) >= _LEAST_KEPT and known > shared and known / len(text) > share:
                best, shared, share = text, known, known / len(text)
        return best, shared

    def _push_out(self, text: str) -> bool:
        """Into memory, unless a longer text there says it all; the oldest one goes where there is no room."""
        if not text or not self._kept or any(known.startswith(text) for known in self._memory):
            return False
        for known in [known for known in self._memory if text.startswith(known)]:
            del self._memory[known]
        self._memory[text] = None
        while len(self._memory) > self._kept:
            self._memory.popitem(last=False)
        return True


def common(one: str, other: str) -> int:
    """Length of the longest common beginning, found by halving."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while low < high - 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
