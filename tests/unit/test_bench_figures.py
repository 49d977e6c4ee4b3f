"""The benchmark's arithmetic: what is compared with what, and when a goal counts as met."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from figures import Goal, Spread, goals_table, in_turn, net, paired_ratios, quantile, table


def test_a_spread_is_the_median_and_the_extremes_in_whatever_order() -> None:
    assert Spread(3, 1, 9) == Spread.of([9, 1, 3])


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])


def test_each_round_is_net_of_its_own_empty_program() -> None:
    expected = [10, 40]
    assert expected == net([30, 80], [20, 40])


def test_rounds_of_unequal_number_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        net([1, 2], [1])


def test_ratios_are_of_the_same_round_not_of_medians() -> None:
    expected = [0.5, 0.25, 0.1]
    assert expected == paired_ratios([1, 2, 10], [2, 8, 100])


def test_a_round_whose_baseline_drowned_in_noise_is_left_out() -> None:
    expected = [0.5]
    assert expected == paired_ratios([1, 5, 3], [2, 0, -4])


def test_no_ratio_is_made_up_when_every_baseline_drowned() -> None:
    with pytest.raises(ValueError, match="too noisy"):
        paired_ratios([1], [-1])


@pytest.mark.parametrize(("measured", "met"), [(0.19, True), (0.2, True), (0.21, False)])
def test_a_goal_is_met_up_to_and_at_its_limit(measured: float, met: bool) -> None:  # noqa: FBT001
    assert met == Goal("cost", measured, 0.2).is_met


def test_a_rate_is_to_be_at_least_its_limit() -> None:
    assert Goal("rate", 0.995, 0.99, at_least=True).is_met
    assert not Goal("rate", 0.98, 0.99, at_least=True).is_met


def test_a_table_aligns_names_left_and_figures_right() -> None:
    expected = "name    ns\n------  --\nlong a   1\nb       22"
    assert expected == table(("name", "ns"), [("long a", "1"), ("b", "22")])


def test_the_verdict_names_limit_figure_and_outcome() -> None:
    goals = [Goal("start", 0.25, 0.5, unit=" s"), Goal("rate", 0.9, 0.99, at_least=True)]
    _, _, start, rate = goals_table(goals).splitlines()
    expected = ["start", "<=", "0.5", "s", "0.250", "s", "yes"]
    assert expected == start.split()
    assert rate.endswith("NO")


def test_every_other_round_goes_backwards() -> None:
    assert list("abccbaabc") == list(in_turn("abc", 3))


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.9, 9), (0.99, 10), (1, 10)])
def test_a_quantile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert expected == quantile([10, 1, 9, 2, 8, 3, 7, 4, 6, 5], share)


def test_the_99th_percentile_of_a_hundred_leaves_out_only_the_worst() -> None:
    assert quantile([*range(99), 1000], 0.99) == 98
