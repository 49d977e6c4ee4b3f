"""The edges of the exposed histograms are exact."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.errors import UsageError
from tcpvitals.model.histogram import BUCKETS, HIGHS, bucket_index
from tcpvitals.sinks.prometheus.edges import edges_for, usual_seconds

USUAL = (
    *("6.3e-05", "0.000127", "0.000255", "0.000511", "0.001023", "0.002047", "0.004095"),
    *("0.008191", "0.016383", "0.032767", "0.065535", "0.131071", "0.262143", "0.524287"),
    *("1.048575", "2.097151", "4.194303", "8.388607", "16.777215", "+Inf"),
)


def test_the_usual_edges_are_powers_of_two_in_microseconds() -> None:
    assert edges_for(usual_seconds(2)).le == USUAL


@pytest.mark.parametrize("histograms", [1, 2, 3, 4])
def test_a_group_has_at_most_72_series_however_many_histograms_it_has(histograms: int) -> None:
    """A histogram has a line for each edge, one for infinity, the count and the sum."""
    of_each = len(usual_seconds(histograms)) + 3
    assert 18 + histograms * of_each <= 72
    assert usual_seconds(histograms)[-1] == usual_seconds(1)[-1]


@settings(deadline=None)
@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=30))
def test_every_edge_is_just_the_end_of_a_kernel_bucket_in_order_and_once(
    wanted: list[float],
) -> None:
    edges = edges_for(wanted)

    exact = [Fraction(one) * 10**6 for one in edges.le[:-1]]
    assert exact == sorted(set(exact))
    assert set(exact) <= set(map(int, HIGHS))
    assert edges.le[-1] == "+Inf"


@pytest.mark.parametrize(
    ("wanted", "le"),
    [
        (0.001, "0.000991"),
        (0.00101, "0.001023"),
        (1e-9, "0.0"),
        (5.0, "4.980735"),
        (1e6, "130.023423"),
    ],
)
def test_an_edge_is_moved_to_the_nearest_one_there_is(wanted: float, le: str) -> None:
    assert edges_for([wanted]).le == (le, "+Inf")


def test_edges_that_meet_are_one() -> None:
    assert edges_for([0.01, 0.0100001, 0.001]).le == ("0.000991", "0.010239", "+Inf")


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**28), max_size=50), st.lists(st.floats(1e-6, 200), min_size=1))
def test_folding_counts_just_the_samples_up_to_each_edge(
    samples: list[int], wanted: list[float]
) -> None:
    edges = edges_for(wanted)
    buckets = np.bincount(bucket_index(samples), minlength=BUCKETS).astype(np.uint64)

    cumulative = edges.fold(buckets[np.newaxis])[0].cumsum()

    for le, count in zip(edges.le, cumulative, strict=True):
        most = math.inf if le == "+Inf" else Fraction(le) * 10**6
        assert count == sum(sample <= most for sample in samples)


@pytest.mark.parametrize("bad", [[], [0.0], [-1.0], [math.inf], [0.1, math.nan]])
def test_what_is_no_time_is_refused(bad: list[float]) -> None:
    with pytest.raises(UsageError, match="histogram edges must be seconds above 0"):
        edges_for(bad)
