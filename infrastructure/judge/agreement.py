"""Which of several candidates to take, where only tests that were written here can tell. Pure.

Owns dual agreement: candidates that cannot be told apart form a group, and tests and groups vouch for each other. A
test that is believed because many candidates pass it speaks for a candidate; a group that is believed because many
candidates came to it on their own speaks against the tests that it fails. CodeT (arXiv 2207.10397) multiplies the two
counts. Here `likelihood` weighs them, which also says how sure the choice is: when to stop, and when to look again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from infrastructure.judge.likelihood import WORLDS, Standing, World, weigh

DECIDED = 0.85
"""As sure as this, and no further candidate would change the choice often enough to be worth its calls."""
RULED = 0.999
"""How likely a test that a person's answer became asks for the right thing."""
STATED = 0.95
"""How likely an example that a task states is right. Of 238 in half of HumanEval 5 are wrong, in 3 of 77 problems."""
_SPLIT = 0.8
"""The leading group's part of what speaks for any group; with less, a second look is worth its calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A candidate that is compared.

    Attributes:
        number: Its number in the run.
        passed: The written tests that it passes.
        behaviour: What it does on the inputs that all were tried on, as any text that is equal where that is; empty
            where it is not known, for all of them.
        lines: How many lines it changes: of two that are alike, the smaller is taken.
    """

    number: int
    passed: frozenset[str]
    behaviour: str = ""
    lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Candidates that cannot be told apart, by number, the one to take first; and how likely that one is right."""

    members: tuple[int, ...]
    passed: frozenset[str]
    behaviour: str
    sure: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What comparing came to.

    Attributes:
        groups: The most believed first.
        kept: The tests that the first group passes, sorted.
        dropped: The others, which are probably wrong, sorted.
        none_right: How likely it is that no candidate is right.
        split: Whether another group is nearly as likely as the first, so that a second look is worth its calls.
    """

    groups: tuple[Group, ...]
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    none_right: float
    split: bool

    @property
    def chosen(self) -> int:
        """The number of the candidate to take."""
        return self.groups[0].members[0]

    @property
    def sure(self) -> float:
        """How likely it is that the chosen candidate is right, by the model of `likelihood`."""
        return self.groups[0].sure

    @property
    def decided(self) -> bool:
        """Whether a further candidate would hardly change the choice: sampling can stop."""
        return self.sure >= DECIDED


def agree(
    contenders: Sequence[Contender],
    tests: Collection[str],
    *,
    known: Mapping[str, float] | None = None,
    worlds: Sequence[World] = WORLDS,
) -> Agreement | None:
    """Compare candidates; None where there are none. The order in which anything is given does not matter.

    Args:
        contenders: Those that nothing else speaks against.
        tests: The written tests, by id.
        known: Those among them of which it is known how likely they are right (`RULED`, `STATED`), and how likely.
        worlds: How good candidates and tests may be.
    """
    if not contenders:
        return None
    names = sorted(frozenset(tests))
    alike = _alike(contenders, frozenset(names))
    standings = [
        Standing(len(each), tuple(test in each[0].passed for test in names), tried=bool(each[0].behaviour))
        for each in alike
    ]
    shares = weigh(standings, [(known or {}).get(test) for test in names], worlds)
    order = sorted(range(len(alike)), key=lambda index: (-round(shares.members[index], 9), *_smallest(alike[index])))
    groups = [_group(alike[index], names, shares.members[index]) for index in order]
    return Agreement(
        groups=tuple(groups),
        kept=tuple(sorted(groups[0].passed)),
        dropped=tuple(sorted(frozenset(names) - groups[0].passed)),
        none_right=shares.none,
        split=len(groups) > 1 and shares.groups[order[0]] < _SPLIT * math.fsum(shares.groups),
    )


def _alike(contenders: Sequence[Contender], tests: frozenset[str]) -> list[list[Contender]]:
    """Groups of those that pass the same tests and do the same; in each the smallest change first."""
    groups: dict[tuple[frozenset[str], str], list[Contender]] = {}
    for each in sorted(contenders, key=lambda each: (each.lines, each.number)):
        groups.setdefault((each.passed & tests, each.behaviour), []).append(each)
    return list(groups.values())


def _smallest(group: Sequence[Contender]) -> tuple[int, int]:
    return group[0].lines, group[0].number


def _group(members: Sequence[Contender], tests: Sequence[str], sure: float) -> Group:
    passed = members[0].passed & frozenset(tests)
    numbers = tuple(each.number for each in members)
    return Group(members=numbers, passed=passed, behaviour=members[0].behaviour, sure=sure)
