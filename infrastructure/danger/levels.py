"""How dangerous a call is: three levels, and a judgement with its reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Danger(StrEnum):
    """What is to be done about a call. Whatever is not known to be safe asks."""

    SAFE = "safe"
    """Only reads in the workspace: it is done."""
    ASKS = "asks"
    """A person, or a rule that one made, says yes first."""
    DANGEROUS = "dangerous"
    """A person says yes first, each time: no rule covers it."""

    @property
    def rank(self) -> int:
        """Higher is more dangerous."""
        return tuple(Danger).index(self)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A level and why, in words; empty for what is safe."""

    level: Danger
    why: str = ""

    def raised(self, other: Judgement) -> Judgement:
        """The more dangerous of both; this one where they are equal."""
        return other if other.level.rank > self.level.rank else self


SAFE = Judgement(Danger.SAFE)


def asks(why: str) -> Judgement:
    """A judgement that wants a yes."""
    return Judgement(Danger.ASKS, why)


def dangerous(why: str) -> Judgement:
    """A judgement that wants a yes each time."""
    return Judgement(Danger.DANGEROUS, why)


def worst(*judgements: Judgement) -> Judgement:
    """The most dangerous of them; safe where there are none."""
    worst_yet = SAFE
    for judgement in judgements:
        worst_yet = worst_yet.raised(judgement)
    return worst_yet
