"""How likely it is that tests and candidates come out as they did, if one group of candidates is right. Pure.

Owns the model behind `agreement`. For each group it is asked how likely all that was seen would be, were it right:

1. The tests that it passes ask for the right thing, those that it fails do not.
2. Each of its candidates is right, or wrong in a way that no test shows.
3. All others are wrong. Each makes a mistake of its own, or the one that an earlier wrong one has made. A mistake
   passes a right test where the test is too weak to see it, and a wrong test by luck. Some mistakes are blatant and
   pass hardly any test: they say nothing of which tests are right.

Beside them stands the case that none is right. How good the tests and the candidates are is not known before, so it is
all asked in several worlds (`WORLDS`), each as likely as the others: what was seen itself tells them apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

_LITTLE = 1e-12
_BLATANT_PASSES = 0.04
"""Share of tests, right or wrong, that a blatant mistake passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How good candidates and tests are; shares between 0 and 1.

    Attributes:
        right: Of candidates that are right.
        valid: Of written tests that ask for the right thing.
        slips: Of right tests that a wrong candidate passes all the same, if its mistake is not blatant.
        luck: Of wrong tests that such a candidate passes.
        shared: Of wrong candidates that repeat the mistake of an earlier one.
        blatant: Of mistakes, those that pass hardly any test.
    """

    right: float
    valid: float
    slips: float
    luck: float
    shared: float
    blatant: float = 0.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """Mistakes that are as visible: how many of all they are, and which shares of right and wrong tests they pass."""

    share: float
    slips: float
    luck: float


WORLDS: tuple[World, ...] = tuple(
    World(right=0.4, valid=0.6, slips=0.5, luck=luck, shared=shared, blatant=0.3)
    for luck, shared in product((0.2, 0.5), (0.01, 0.2))
)
"""Of small models 35 to 73 % of the tests were valid (arXiv 2602.10522). What is least known and matters most is left
open: whether wrong candidates please wrong tests, and whether they repeat each other. Without blatant mistakes, each
candidate that passes nothing would speak for a group that passes few tests: fewer right tests were missed then. One
world, and a wide grid of them, choose worse: docs/benchmarks.md, `python -m benchmarks.selection --models`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A group as the model sees it.

    Attributes:
        size: How many candidates it has.
        passes: Whether it passes each test.
        tried: Whether its behaviour on common inputs is known, so that a mistake of its own would show.
    """

    size: int
    passes: tuple[bool, ...]
    tried: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """What the model comes to: for each group, that it and one of its candidates is right; and that none is."""

    groups: tuple[float, ...]
    members: tuple[float, ...]
    none: float


def weigh(groups: Sequence[Standing], known: Sequence[float | None], worlds: Sequence[World] = WORLDS) -> Shares:
    """Weigh the groups against each other; the shares of groups and none add up to 1.

    Args:
        groups: At least one.
        known: For each test, how likely it asks for the right thing; None for one that a model wrote, which is as
            likely right as the world's share.
        worlds: How good candidates and tests may be.
    """
    matrix = _Matrix(groups, known)
    weights = [[matrix.if_right(group, world) for world in worlds] for group in range(len(groups))]
    none = [matrix.if_none(world) for world in worlds]
    highest = max(*map(max, weights), *none)
    parts = [[math.exp(each - highest) for each in row] for row in weights]
    nothing = math.fsum(math.exp(each - highest) for each in none)
    total = math.fsum(map(math.fsum, parts)) + nothing
    members = [
        math.fsum(part * matrix.member_right(group, world) for part, world in zip(row, worlds, strict=True))
        for group, row in enumerate(parts)
    ]
    return Shares(
        groups=tuple(math.fsum(row) / total for row in parts),
        members=tuple(each / total for each in members),
        none=nothing / total,
    )


@dataclass(frozen=True, slots=True)
class _Overlap:
    """How one group does on the tests that another passes, and on those that it fails."""

    slipped: int
    caught: int
    lucky: int
    unlucky: int


class _Matrix:
    """Groups against tests, counted once; the logarithm of how likely they are, for any world."""

    def __init__(self, groups: Sequence[Standing], known: Sequence[float | None]) -> None:
        self._groups = groups
        self._overlaps = [[_overlap(right.passes, other.passes) for other in groups] for right in groups]
        patterns = zip(*(group.passes for group in groups), strict=True)
        self._columns = Counter(zip(patterns, known, strict=True))
        self._verdicts = [Counter(zip(group.passes, known, strict=True)) for group in groups]

    def if_right(self, right: int, world: World) -> float:
        """The group `right` is right, and no other."""
        tests = math.fsum(
            count * _log(_valid(known, world) if passed else 1 - _valid(known, world))
            for (passed, known), count in self._verdicts[right].items()
        )
        unseen = (1 - world.right) * self._unseen(right, world)
        size = self._groups[right].size
        own = _log((world.right + unseen) ** size - unseen**size)
        others = [group for group in range(len(self._groups)) if group != right]
        return tests + own + _mistaken([(self._groups[i], self._chance(right, i, world)) for i in others], world)

    def if_none(self, world: World) -> float:
        """None is right; each test may be either. Of a group's further candidates the tests are taken as they come."""
        chances = [self._any_chances(group, world) for group in range(len(self._groups))]
        rates = [_likely(kinds, world) for kinds in chances]
        together = math.fsum(
            times * _together(pattern, rates, _valid(known, world)) for (pattern, known), times in self._columns.items()
        )
        firsts = [(group, _log_sum(kinds)) for group, kinds in zip(self._groups, chances, strict=True)]
        return together + _mistaken(firsts, world)

    def member_right(self, group: int, world: World) -> float:
        """How likely one candidate of a right group is right itself: its mistake may be one that no test shows."""
        return world.right / (world.right + (1 - world.right) * self._unseen(group, world))

    def _unseen(self, group: int, world: World) -> float:
        """How likely a wrong candidate looks like the right ones of its group."""
        return 0.0 if self._groups[group].tried else math.exp(self._chance(group, group, world))

    def _chance(self, right: int, group: int, world: World) -> float:
        """The logarithm of how likely a mistake passes just the tests that a group passes, if `right` is right."""
        over = self._overlaps[right][group]
        return _log_sum(
            [
                _log(kind.share)
                + over.slipped * _log(kind.slips)
                + over.caught * _log(1 - kind.slips)
                + over.lucky * _log(kind.luck)
                + over.unlucky * _log(1 - kind.luck)
                for kind in _kinds(world)
            ]
        )

    def _any_chances(self, group: int, world: World) -> list[float]:
        """The same where it is open which tests are right, for each kind of mistake."""
        chances: list[float] = []
        for kind in _kinds(world):
            total = _log(kind.share)
            for (passed, known), count in self._verdicts[group].items():
                passes = _valid(known, world) * kind.slips + (1 - _valid(known, world)) * kind.luck
                total += count * _log(passes if passed else 1 - passes)
            chances.append(total)
        return chances


@lru_cache(maxsize=256)
def _kinds(world: World) -> tuple[_Kind, ...]:
    plain = _Kind(1 - world.blatant, world.slips, world.luck)
    return (plain, _Kind(world.blatant, _BLATANT_PASSES, _BLATANT_PASSES)) if world.blatant else (plain,)


def _likely(chances: Sequence[float], world: World) -> tuple[float, float]:
    """The shares of right and of wrong tests that a group's mistake passes, as the chances of its kinds weigh them."""
    total = _log_sum(chances)
    weights = [math.exp(chance - total) for chance in chances]
    kinds = _kinds(world)
    slips = math.fsum(weight * kind.slips for weight, kind in zip(weights, kinds, strict=True))
    return slips, math.fsum(weight * kind.luck for weight, kind in zip(weights, kinds, strict=True))


def _together(pattern: Sequence[bool], rates: Sequence[tuple[float, float]], valid: float) -> float:
    """The logarithm of how much likelier wrong groups do so on one test than if each met a test of its own."""
    asks_right, asks_wrong, apart = valid, 1 - valid, 0.0
    for passed, (slips, luck) in zip(pattern, rates, strict=True):
        slipped, lucky = (slips, luck) if passed else (1 - slips, 1 - luck)
        asks_right, asks_wrong = asks_right * slipped, asks_wrong * lucky
        apart += _log(valid * slipped + (1 - valid) * lucky)
    return _log(asks_right + asks_wrong) - apart


def _mistaken(groups: Sequence[tuple[Standing, float]], world: World) -> float:
    """These groups are all wrong: the first of each has made a mistake of its own, the further ones repeat it."""
    total = 0.0
    for place, (group, chance) in enumerate(groups):
        alike = 0.0 if group.tried else (1 - world.shared) * math.exp(chance)
        total += group.size * _log(1 - world.right) + chance + (group.size - 1) * _log(world.shared + alike)
        total += _log(1 - world.shared) if place else 0.0
    return total


def _overlap(right: Sequence[bool], other: Sequence[bool]) -> _Overlap:
    pairs = Counter(zip(right, other, strict=True))
    return _Overlap(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False])


def _valid(known: float | None, world: World) -> float:
    return world.valid if known is None else known


def _log(value: float) -> float:
    return math.log(max(value, _LITTLE))


def _log_sum(logarithms: Sequence[float]) -> float:
    """The logarithm of the sum of what they are logarithms of."""
    highest = max(logarithms)
    return highest + math.log(math.fsum(math.exp(each - highest) for each in logarithms))
