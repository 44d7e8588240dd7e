"""Comparing candidates by tests of which some are wrong: tables of who passes what."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from infrastructure.judge.agreement import RULED, Contender, agree
from infrastructure.judge.likelihood import WORLDS, Standing, World, weigh

TESTS = ("a", "b", "c", "d", "e", "f", "g")


def contenders(*passed: str, behaviours: str = "", lines: tuple[int, ...] = ()) -> list[Contender]:
    return [
        Contender(
            number=number,
            passed=frozenset(each),
            behaviour=behaviours[number - 1] if behaviours else "",
            lines=lines[number - 1] if lines else 0,
        )
        for number, each in enumerate(passed, 1)
    ]


def test_nobody_to_compare_is_no_agreement():
    assert agree([], TESTS) is None


def test_three_that_agree_are_taken_before_one_that_passes_more_by_itself():
    found = agree(contenders("abcde", "abcdfg", "abcde", "abcde"), TESTS)
    assert found is not None
    assert (found.chosen, found.groups[0].members) == (1, (1, 3, 4))
    assert (found.kept, found.dropped) == (tuple("abcde"), tuple("fg"))
    assert found.sure > 0.5 > found.none_right


def test_more_tests_passed_is_taken_where_nobody_agrees():
    found = agree(contenders("a", "abcde", "g"), TESTS)
    assert found is not None
    assert (found.chosen, found.dropped) == (2, ("f", "g"))


def test_agreement_on_passing_nothing_is_no_agreement():
    found = agree(contenders("", "", "abcdef"), TESTS)
    assert found is not None
    assert found.chosen == 3


@pytest.mark.parametrize(
    ("lines", "chosen"), [((5, 5, 5), 1), ((5, 3, 9), 2), ((9, 9, 1), 3)], ids=["number", "lines", "last"]
)
def test_ties_go_to_the_smaller_change_then_to_the_lower_number(lines: tuple[int, ...], chosen: int):
    alike = agree(contenders("abc", "abc", "abc", lines=lines), TESTS)
    apart = agree(contenders("ab", "cd", "ef", lines=lines), TESTS)
    assert alike is not None
    assert apart is not None
    assert (alike.chosen, apart.chosen) == (chosen, chosen)


def test_order_of_candidates_and_tests_changes_nothing():
    given = contenders("abc", "abd", "abc", "efg")
    once = agree(given, TESTS)
    for shuffled in itertools.permutations(given):
        assert agree(shuffled, tuple(reversed(TESTS))) == once


def test_tests_that_none_of_them_is_do_not_count():
    found = agree(contenders("abz", "aby"), ("a", "b"))
    assert found is not None
    assert (found.groups[0].members, found.kept) == ((1, 2), ("a", "b"))


def test_split_where_two_groups_are_alike_and_decided_where_many_agree():
    split = agree(contenders("abcd", "abce"), TESTS)
    decided = agree(contenders(*["abcdef"] * 6, "a"), TESTS)
    assert split is not None
    assert decided is not None
    assert (split.split, split.decided) == (True, False)
    assert (decided.split, decided.decided) == (False, True)


def test_lone_candidate_is_less_sure_the_more_tests_it_fails():
    sure = [found.sure for passed in ("abcdefg", "abcde", "abc", "a") if (found := agree(contenders(passed), TESTS))]
    assert len(sure) == 4
    assert sure == sorted(sure, reverse=True)


def test_behaviour_parts_what_the_tests_cannot_tell_apart():
    found = agree(contenders("abc", "abc", "abc", "abc", behaviours="xyyy"), TESTS)
    assert found is not None
    assert [group.members for group in found.groups] == [(2, 3, 4), (1,)]


def test_behaviour_decides_where_there_are_no_tests():
    found = agree(contenders("", "", "", behaviours="xyy"), ())
    assert found is not None
    assert (found.chosen, found.kept, found.dropped) == (2, (), ())
    evenly = agree(contenders("", "", behaviours="xy"), ())
    assert evenly is not None
    assert evenly.split


def test_candidates_that_pass_nothing_do_not_speak_for_one_that_passes_little():
    tests = "abcdefghijklmnopqrst"
    given = contenders("abcdefghijkl", "ab", "ab", "ab", "", "", "", "", behaviours="rvvwxyzo")
    found = agree(given, tests)
    without = agree(given, tests, worlds=[replace(world, blatant=0.0) for world in WORLDS])
    assert found is not None
    assert without is not None
    assert found.chosen == 1
    assert without.chosen != 1


def test_ruled_test_outweighs_any_number_that_agree_otherwise():
    given = contenders("abcdef", "abcdef", "abcdef", "ag")
    before, after = agree(given, TESTS), agree(given, TESTS, known={"g": RULED})
    assert before is not None
    assert after is not None
    assert (before.chosen, after.chosen) == (1, 4)
    nobody = agree(contenders("abcdef", "abcdef"), TESTS, known={"g": RULED})
    assert nobody is not None
    assert nobody.none_right > 0.9


# ------------------------------------------------------------------------------------------ the model


def test_shares_of_groups_and_none_add_up_to_one():
    groups = [Standing(2, (True, True, False)), Standing(1, (True, False, True)), Standing(1, (False, False, False))]
    shares = weigh(groups, (None, None, 0.999))
    assert math.isclose(sum(shares.groups) + shares.none, 1.0)
    assert all(member <= group for member, group in zip(shares.members, shares.groups, strict=True))


def test_one_candidate_without_tests_is_as_likely_right_as_the_worlds_say():
    shares = weigh([Standing(1, (), tried=True)], ())
    assert math.isclose(shares.groups[0], sum(world.right for world in WORLDS) / len(WORLDS))


def test_two_candidates_and_one_test_by_hand():
    """Both pass the only test: right, or wrong and slipped past it; against both wrong."""
    world = replace(WORLDS[1], blatant=0.0)
    unseen = (1 - world.right) * world.slips
    right = world.valid * ((world.right + unseen) ** 2 - unseen**2)
    passes = world.valid * world.slips + (1 - world.valid) * world.luck
    repeats = world.shared + (1 - world.shared) * passes
    none = (world.valid * world.slips + (1 - world.valid) * world.luck) * (1 - world.right) ** 2 * repeats
    shares = weigh([Standing(2, (True,))], (None,), (world,))
    assert math.isclose(shares.none, none / (right + none))


def test_blatant_mistakes_by_hand():
    """One passes both tests, the other neither; the mistake of either may be blatant, or pass a test by chance."""
    world = World(right=0.4, valid=0.6, slips=0.5, luck=0.2, shared=0.0, blatant=0.3)
    fails_both = 0.7 * 0.5**2 + 0.3 * 0.96**2
    passes_both = 0.7 * 0.2**2 + 0.3 * 0.04**2
    one = 0.6**2 * 0.4 * 0.6 * fails_both
    other = 0.4**2 * 0.4 * 0.6 * passes_both
    shares = weigh(
        [Standing(1, (True, True), tried=True), Standing(1, (False, False), tried=True)], (None,) * 2, (world,)
    )
    assert math.isclose(shares.groups[0] / shares.groups[1], one / other)


def test_where_no_mistake_is_blatant_none_right_is_reckoned_over_all_tests():
    """Two wrong candidates, one test that both pass and one that parts them: each test is right or wrong for both."""
    world = World(right=0.4, valid=0.6, slips=0.5, luck=0.2, shared=0.1)
    both = 0.6 * 0.5 * 0.5 + 0.4 * 0.2 * 0.2
    parted = 0.6 * 0.5 * 0.5 + 0.4 * 0.2 * 0.8
    none = both * parted * 0.6**2 * (1 - world.shared)
    first = 0.6**2 * 0.4 * 0.6 * 0.5 * 0.5
    other = 0.6 * 0.4 * 0.4 * 0.6 * 0.5 * 0.2
    groups = [Standing(1, (True, True), tried=True), Standing(1, (True, False), tried=True)]
    assert math.isclose(weigh(groups, (None,) * 2, (world,)).none, none / (none + first + other))


def test_many_candidates_and_tests_stay_finite():
    groups = [Standing(1, tuple((test * 7 + group) % 3 > 0 for test in range(200))) for group in range(16)]
    shares = weigh(groups, [None] * 200)
    assert math.isclose(sum(shares.groups) + shares.none, 1.0)
