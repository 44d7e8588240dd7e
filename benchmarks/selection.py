"""Choosing among candidates by written tests of which many are wrong: how often each rule takes a right one.

No model and no sandbox: candidates, mistakes and tests are drawn, and the rules see who passes what. A right candidate
passes the right tests only. A wrong one has a mistake of its own, or repeats one: it passes each right test with the
chance `slips`, each wrong one with the chance `luck`. On the inputs of the examiner its mistake shows but for `HIDDEN`.
Examples that the task states are tests of which nearly all are right.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from infrastructure.judge.agreement import STATED, Contender, agree
from infrastructure.judge.likelihood import WORLDS, World

COUNTS, TESTS = (1, 2, 4, 8), (3, 6, 10, 16)
HIDDEN = 0.1
"""Of mistakes, those that none of the examiner's inputs shows."""
EXAMPLES, RIGHT_EXAMPLES = 3, 0.97
"""How many a task states, and how many of them are right, as in HumanEval; `STATED` is what Corral takes for it."""
TRUE_WORLDS: Mapping[str, World] = {
    "own mistakes": World(right=0.4, valid=0.6, slips=0.5, luck=0.2, shared=0.0),
    "a third of the mistakes repeated": World(right=0.4, valid=0.6, slips=0.5, luck=0.2, shared=0.33),
    "wrong tests that wrong candidates pass as often": World(right=0.4, valid=0.6, slips=0.5, luck=0.5, shared=0.0),
}
MORE_WORLDS: Mapping[str, World] = {
    **TRUE_WORLDS,
    "stronger tests": World(right=0.4, valid=0.6, slips=0.3, luck=0.2, shared=0.1),
    "a quarter right": World(right=0.25, valid=0.5, slips=0.5, luck=0.3, shared=0.15),
    "two thirds right": World(right=0.65, valid=0.6, slips=0.5, luck=0.3, shared=0.15),
}
MODELS: Mapping[str, Sequence[World]] = {
    "one world": (World(right=0.4, valid=0.6, slips=0.5, luck=0.2, shared=0.15),),
    "four worlds": WORLDS,
    "32 worlds": tuple(
        World(right=right, valid=valid, slips=slips, luck=luck, shared=shared)
        for right, valid, slips, luck, shared in product((0.3, 0.6), (0.45, 0.7), (0.3, 0.6), (0.2, 0.5), (0.05, 0.35))
    ),
}
"""What may be taken for known of candidates and tests; Corral takes `WORLDS`."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A candidate of a trial: which written tests it passes, what it does, and which examples it passes."""

    right: bool
    passed: tuple[bool, ...]
    behaviour: str
    stated: tuple[bool, ...]


Rule = Callable[[Sequence[Drawn], World, random.Random], int]


def draw(world: World, candidates: int, tests: int, chance: random.Random) -> list[Drawn]:
    """One trial."""
    valid = tuple(chance.random() < world.valid for _ in range(tests))
    others = random.Random(str(hash(chance.getstate()[1])))  # so that examples change nothing else
    true = tuple(others.random() < RIGHT_EXAMPLES for _ in range(EXAMPLES))
    mistakes: list[Drawn] = []
    drawn: list[Drawn] = []
    for number in range(candidates):
        if chance.random() < world.right:
            drawn.append(Drawn(True, valid, "right", true))
            continue
        if not mistakes or chance.random() >= world.shared:
            passed = tuple(chance.random() < (world.slips if right else world.luck) for right in valid)
            behaviour = "right" if chance.random() < HIDDEN else f"mistake {number}"
            stated = tuple(others.random() < (world.slips if right else world.luck) for right in true)
            mistakes.append(Drawn(False, passed, behaviour, stated))
            drawn.append(mistakes[-1])
        else:
            drawn.append(chance.choice(mistakes))
    return drawn


def first(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """The first that comes."""
    del drawn, world, chance
    return 0


def at_random(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Any."""
    del world
    return chance.randrange(len(drawn))


def most_passed(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """The fewest red tests, then the lower number: the rule before there was any comparing."""
    del world, chance
    return max(range(len(drawn)), key=lambda index: (sum(drawn[index].passed), -index))


def codet(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Candidates with the same tests passed, times the tests that they pass."""
    del world, chance
    alike = [sum(other.passed == each.passed for other in drawn) for each in drawn]
    return max(range(len(drawn)), key=lambda index: (alike[index] * sum(drawn[index].passed), -index))


def agreement(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Corral's, on written tests alone."""
    del world, chance
    return _chosen(drawn)


def with_behaviour(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Corral's, with what each does on the examiner's inputs."""
    del world, chance
    return _chosen(drawn, tried=True)


def with_examples(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Corral's, on written tests and on examples that the task states."""
    del world, chance
    return _chosen(drawn, examples=True)


def with_all(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """Corral's, with all of it."""
    del world, chance
    return _chosen(drawn, tried=True, examples=True)


def ceiling(drawn: Sequence[Drawn], world: World, chance: random.Random) -> int:
    """The same on written tests alone, told how good candidates and tests truly are: no rule can do better."""
    del chance
    return _chosen(drawn, worlds=(world,))


RULES: Mapping[str, Rule] = {
    "first": first,
    "random": at_random,
    "most passed": most_passed,
    "CodeT": codet,
    "agreement": agreement,
    "best possible": ceiling,
    "and behaviour": with_behaviour,
}
STATED_RULES: Mapping[str, Rule] = {
    "agreement": agreement,
    "and behaviour": with_behaviour,
    "and examples": with_examples,
    "and both": with_all,
}


def _chosen(
    drawn: Sequence[Drawn], *, tried: bool = False, examples: bool = False, worlds: Sequence[World] = WORLDS
) -> int:
    contenders, tests = _compared(drawn, tried=tried)
    known = {f"e{number}": STATED for number in range(EXAMPLES)} if examples else {}
    found = agree(contenders, [*tests, *known], known=known, worlds=worlds)
    assert found is not None
    return found.chosen - 1


def _compared(drawn: Sequence[Drawn], *, tried: bool) -> tuple[list[Contender], list[str]]:
    contenders = [
        Contender(
            number=number,
            passed=frozenset(_names("t", each.passed) + _names("e", each.stated)),
            behaviour=each.behaviour if tried else "",
        )
        for number, each in enumerate(drawn, 1)
    ]
    return contenders, [f"t{test}" for test in range(len(drawn[0].passed))]


def _names(kind: str, passed: Sequence[bool]) -> list[str]:
    return [f"{kind}{number}" for number, passes in enumerate(passed) if passes]


def measure(
    world: World, candidates: int, tests: int, trials: int, seed: int, rules: Mapping[str, Rule] = RULES
) -> dict[str, float]:
    """The share of trials in which each rule takes a right candidate, and in which there is one (`oracle`)."""
    chance, rolls = random.Random(f"{seed}/{candidates}/{tests}"), random.Random(seed)
    hits = dict.fromkeys(("oracle", *rules), 0)
    for _ in range(trials):
        drawn = draw(world, candidates, tests, chance)
        hits["oracle"] += any(each.right for each in drawn)
        for name, rule in rules.items():
            hits[name] += drawn[rule(drawn, world, rolls)].right
    return {name: count / trials for name, count in hits.items()}


def stopping(world: World, candidates: int, tests: int, trials: int, seed: int) -> tuple[float, float, float, float]:
    """Of agreement on written tests: how often decided and then right; how often split and then right."""
    chance = random.Random(f"{seed}/{candidates}/{tests}")
    decided = decided_right = split = split_right = 0
    for _ in range(trials):
        drawn = draw(world, candidates, tests, chance)
        found = agree(*_compared(drawn, tried=False))
        assert found is not None
        right = drawn[found.chosen - 1].right
        decided, decided_right = decided + found.decided, decided_right + (found.decided and right)
        split, split_right = split + found.split, split_right + (found.split and right)
    return decided / trials, decided_right / max(decided, 1), split / trials, split_right / max(split, 1)


def table(world: World, trials: int, seed: int, rules: Mapping[str, Rule] = RULES) -> str:
    """One world: the share of right choices in %, and in brackets how much less than if an oracle chose."""
    lines = [f"| n | tests | oracle@n | {' | '.join(rules)} |", f"|{'---|' * (len(rules) + 3)}"]
    for candidates in COUNTS:
        for tests in TESTS:
            found = measure(world, candidates, tests, trials, seed, rules)
            cells = [f"{100 * found[name]:.1f} (−{100 * (found['oracle'] - found[name]):.1f})" for name in rules]
            lines.append(f"| {candidates} | {tests} | {100 * found['oracle']:.1f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def stopping_table(world: World, trials: int, seed: int) -> str:
    """When it stops, and how right it is then; when it looks again."""
    lines = ["| n | tests | decided | right then | split | right then |", "|---|---|---|---|---|---|"]
    for candidates in COUNTS[1:]:
        for tests in TESTS:
            shares = stopping(world, candidates, tests, trials, seed)
            lines.append(f"| {candidates} | {tests} | {' | '.join(f'{100 * share:.0f}' for share in shares)} |")
    return "\n".join(lines)


def models_table(trials: int, seed: int) -> str:
    """Each kind of truth, means over n = 4 and 8 and 6 and 10 tests: how much it matters what is taken for known."""
    lines = [f"| truth | oracle@n | CodeT | {' | '.join(MODELS)} | best possible |", f"|{'---|' * (len(MODELS) + 4)}"]
    means: list[list[float]] = []
    for name, world in MORE_WORLDS.items():
        cells = [_by_models(world, candidates, tests, trials, seed) for candidates in (4, 8) for tests in (6, 10)]
        means.append([100 * sum(column) / len(cells) for column in zip(*cells, strict=True)])
        lines.append(f"| {name} | {' | '.join(f'{mean:.1f}' for mean in means[-1])} |")
    over_all = [sum(column) / len(means) for column in zip(*means, strict=True)]
    return "\n".join([*lines, f"| mean | {' | '.join(f'{mean:.1f}' for mean in over_all)} |"])


def _by_models(world: World, candidates: int, tests: int, trials: int, seed: int) -> list[float]:
    chance, hits = random.Random(f"{seed}/{candidates}/{tests}"), [0] * (len(MODELS) + 3)
    for _ in range(trials):
        drawn = draw(world, candidates, tests, chance)
        chosen = [codet(drawn, world, chance), *(_chosen(drawn, worlds=each) for each in (*MODELS.values(), (world,)))]
        right = [any(each.right for each in drawn), *(drawn[index].right for index in chosen)]
        hits = [count + good for count, good in zip(hits, right, strict=True)]
    return [count / trials for count in hits]


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("trials", nargs="?", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--models", action="store_true", help="only what may be taken for known of candidates and tests"
    )
    parser.add_argument("--examples", action="store_true", help="only what examples add that the task states")
    asked = parser.parse_args()
    if asked.examples:
        for name, world in TRUE_WORLDS.items():
            print(f"{name}: {world}\n\n{table(world, asked.trials, asked.seed, STATED_RULES)}\n", flush=True)
        return
    if asked.models:
        print(models_table(asked.trials, asked.seed))
        return
    for name, world in TRUE_WORLDS.items():
        print(f"{name}: {world}\n\n{table(world, asked.trials, asked.seed)}\n", flush=True)
    print(f"stopping, own mistakes\n\n{stopping_table(TRUE_WORLDS['own mistakes'], asked.trials, asked.seed)}")


if __name__ == "__main__":
    main()
