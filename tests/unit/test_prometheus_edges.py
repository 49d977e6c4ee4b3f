"""The edges of the exposed histograms are exact."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.errors import UsageError
from tcpvitals.model.histogram import BUCKETS, HIGHS, bucket_index
from tcpvitals.model.measurement import HISTOGRAMS, Sample
from tcpvitals.sinks.prometheus.edges import edges_for, usual_edges
from tcpvitals.sinks.prometheus.group_families import BY_CAUSE, BY_FIELD, FAILED, LIVE

CHOICES = [chosen for count in (1, 2, 3, 4) for chosen in itertools.combinations(HISTOGRAMS, count)]
FINE = (
    *("0.000255", "0.000367", "0.000511", "0.000735", "0.001023", "0.001471", "0.002047"),
    *("0.002943", "0.004095", "0.005887", "0.008191", "0.011775", "0.016383", "0.023551"),
    *("0.032767", "0.047103", "0.065535", "0.094207", "0.131071", "0.188415", "0.262143"),
    *("0.376831", "0.524287", "0.753663", "1.048575", "1.507327", "2.097151"),
)


def test_network_round_trips_have_two_edges_for_each_power_of_two_from_250_us_to_2_s() -> None:
    edges = usual_edges((Sample.RTT, Sample.NETWORK))

    assert edges[Sample.NETWORK].le == ("6.3e-05", "0.000127", *FINE, "4.194303", "+Inf")
    assert edges[Sample.RTT].le == ("6.3e-05", *FINE[::2], "4.194303", "16.777215", "+Inf")


@pytest.mark.parametrize("sample", HISTOGRAMS)
def test_the_only_histogram_has_the_finest_edges_of_all(sample: Sample) -> None:
    le = usual_edges((sample,))[sample].le
    assert le == ("6.3e-05", "0.000127", *FINE, "4.194303", "8.388607", "16.777215", "+Inf")


@pytest.mark.parametrize("samples", CHOICES, ids=",".join)
def test_a_group_has_at_most_72_series_whichever_histograms_it_has(
    samples: tuple[Sample, ...],
) -> None:
    """An edge or infinity is a line, and so are the count and the sum."""
    edges = usual_edges(samples)
    others = sum(len(list(family.each())) for family in (BY_CAUSE, *BY_FIELD, FAILED, LIVE))

    assert others == 19
    assert others + sum(len(edges[one]) + 2 for one in samples) <= 72


@pytest.mark.parametrize("q", [0.5, 0.99])
def test_a_percentile_of_network_round_trips_is_within_44_percent_of_the_exact_one(
    q: float,
) -> None:
    """Of samples that are all alike, from 256 us to 2 s: the worst case of any interpolation."""
    edges = usual_edges((Sample.RTT, Sample.NETWORK))[Sample.NETWORK]
    upper_us = np.array([float(le) for le in edges.le]) * 1e6
    for sample in np.unique(np.geomspace(256, 2_097_151, 1000).astype(int)):
        at = int(np.searchsorted(upper_us, sample))
        told = upper_us[at - 1] + q * (upper_us[at] - upper_us[at - 1])
        assert abs(told - sample) <= 0.44 * sample


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
