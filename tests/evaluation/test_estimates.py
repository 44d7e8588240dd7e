"""The estimators against values worked out by hand or by enumeration."""

from __future__ import annotations

from itertools import combinations

import pytest

from infrastructure.evaluation.estimates import bootstrap, paired, pass_at, share_of, wilson


def samples(count: int, passed: int) -> list[bool]:
    return [number < passed for number in range(count)]


@pytest.mark.parametrize(
    ("count", "passed", "k", "value"),
    [
        (5, 2, 1, 2 / 5),
        (5, 2, 3, 1 - 1 / 10),  # C(3,3) / C(5,3)
        (4, 1, 2, 1 - 3 / 6),  # C(3,2) / C(4,2)
        (3, 0, 3, 0.0),
        (3, 1, 3, 1.0),
        (10, 10, 4, 1.0),
    ],
)
def test_pass_at_k_of_one_problem(count: int, passed: int, k: int, value: float):
    assert pass_at([samples(count, passed)], k).value == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(("count", "passed", "k"), [(6, 2, 3), (7, 1, 4), (5, 3, 2)])
def test_pass_at_k_is_the_share_of_draws_of_k_in_which_one_passes(count: int, passed: int, k: int):
    draws = list(combinations(samples(count, passed), k))

    assert pass_at([samples(count, passed)], k).value == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-6)


def test_pass_at_k_is_averaged_over_problems_whatever_their_samples():
    assert pass_at([samples(2, 1), samples(4, 0)], 1).value == pytest.approx(0.25)


def test_pass_at_more_than_there_are_samples_is_refused():
    with pytest.raises(ValueError, match="pass@3 of 2 samples"):
        pass_at([samples(2, 1)], 3)


def test_wilson_against_published_values():
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for hits, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = wilson(hits, trials)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
        assert found.value == pytest.approx(hits / trials, abs=1e-6)


def test_nothing_is_known_of_no_trials():
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    assert (bootstrap([]).low, bootstrap([]).high) == (0.0, 1.0)


def test_bootstrap_is_near_the_normal_interval_and_always_the_same():
    values = [1.0] * 60 + [0.0] * 40
    found = bootstrap(values)

    assert found.value == 0.6
    assert found.low == pytest.approx(0.504, abs=0.021)
    assert found.high == pytest.approx(0.696, abs=0.021)
    assert bootstrap(values) == found


def test_a_share_of_one_sample_each_has_wilsons_interval_and_of_several_a_bootstrap():
    assert share_of([[True], [False], [True]]) == wilson(2, 3)
    several = share_of([[True, False], [False, False]])

    assert several.method == "bootstrap over problems"
    assert (several.value, several.low, several.high) == (0.25, 0.0, 0.5)


def test_samples_of_one_problem_go_together():
    # Ten samples of each of four problems tell as much as one each, where they always agree.
    agreeing = share_of([[True] * 10, [True] * 10, [False] * 10, [False] * 10])

    assert agreeing.high - agreeing.low > 0.7


def test_a_paired_difference_is_of_the_same_problems():
    better = paired([0.0, 0.5, 1.0], [1.0, 0.5, 1.0])

    assert better.value == pytest.approx(1 / 3, abs=1e-6)
    assert 0.0 <= better.low <= better.value <= better.high <= 1.0
    assert paired([0.2, 0.7], [0.2, 0.7]).high == 0.0
    with pytest.raises(ValueError, match="zip"):
        paired([0.0], [0.0, 1.0])
