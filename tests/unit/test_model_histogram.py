"""Buckets, their folding, and quantiles, against plain Python and numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.model.histogram import (
    BUCKETS,
    HIGHS,
    LOG2_SLOTS,
    LOWS,
    Counts,
    bucket_index,
    fold_log2,
    log2_edges,
    quantile,
    quantiles,
)

U32 = st.integers(0, 2**32 - 1)
# Integers alone are nearly all huge; round-trip times are of every size.
TIMES = st.builds(lambda bits, value: value >> bits, st.integers(0, 32), U32)


def straightforward_bucket(value: int) -> int:
    """Return the bucket as the kernel half is told to compute it."""
    if value >= 2**27:
        return 383
    if value < 16:
        return value
    exponent = value.bit_length() - 1
    return (exponent - 3) * 16 + ((value >> (exponent - 4)) & 15)


def counted(values: list[int]) -> Counts:
    """Return the buckets [384] of these values."""
    return np.bincount(bucket_index(values), minlength=BUCKETS).astype(np.uint64)


def test_every_edge_and_its_neighbours_are_in_the_right_bucket() -> None:
    """The vectorised function is the straightforward one."""
    values = [value for power in range(33) for value in (2**power - 1, 2**power, 2**power + 1)]
    values += [*range(5000), *LOWS.tolist(), *HIGHS.tolist()]
    values = [value for value in values if value < 2**32]

    assert bucket_index(values).tolist() == [straightforward_bucket(value) for value in values]


@settings(deadline=None)
@given(TIMES)
def test_a_value_lies_within_the_edges_of_its_bucket(value: int) -> None:
    """Both edges are inclusive."""
    index = int(bucket_index(value))

    assert index == straightforward_bucket(value)
    assert LOWS[index] <= value <= HIGHS[index]


def test_buckets_touch_and_are_at_most_a_sixteenth_wide() -> None:
    """No value is between two; the last one takes the rest of 32 bits."""
    widths = (HIGHS - LOWS + 1)[16:-1]

    assert (LOWS[0], HIGHS[-1]) == (0, 2**32 - 1)
    assert (LOWS[1:] == HIGHS[:-1] + 1).all()
    assert (widths * 16 <= LOWS[16:-1]).all()


@settings(deadline=None)
@given(st.lists(TIMES))
def test_folding_gives_the_seeds_log2_histogram_exactly(values: list[int]) -> None:
    """Slot floor(log2(value)), 0 for 0, 26 at most: for every value, one by one."""
    expected = [0] * LOG2_SLOTS
    for value in values:
        expected[min(int(math.log2(value)) if value else 0, LOG2_SLOTS - 1)] += 1

    assert fold_log2(counted(values)).tolist() == expected


def test_folding_keeps_the_other_dimensions() -> None:
    """Groups are folded at once."""
    folded = fold_log2(np.ones((3, 2, BUCKETS), dtype=np.uint64))

    assert folded.shape == (3, 2, LOG2_SLOTS)
    assert folded[2, 1].tolist() == [2, 2, 4, 8, *[16] * 23]


def test_log2_edges_hold_exactly_the_values_folded_into_the_slot() -> None:
    """The labels of the seed's rows, one bucket higher than the seed had them."""
    edges = [log2_edges(slot) for slot in range(LOG2_SLOTS)]

    assert edges[:4] == [(0, 1), (2, 3), (4, 7), (8, 15)]
    assert edges[-1] == (2**26, 2**32 - 1)
    for slot, (low, high) in enumerate(edges):
        assert fold_log2(counted([low, high]))[slot] == 2
    with pytest.raises(ValueError, match="27"):
        log2_edges(27)


@settings(deadline=None)
@given(st.lists(TIMES.filter(lambda value: value < LOWS[-1]), min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_one_sixteenth_of_the_exact_one(values: list[int], q: float) -> None:
    """Against numpy's, which looks at the samples; below 16 the buckets are 1 wide."""
    exact = int(np.quantile(values, q, method="inverted_cdf"))
    bare = quantile(counted(values), q)
    limited = quantile(counted(values), q, min(values), max(values))

    assert bare is not None
    assert limited is not None
    assert abs(bare - exact) <= max(1, exact / 16)
    assert abs(limited - exact) <= max(1, exact / 16)
    assert min(values) <= limited <= max(values)


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    """Four samples in 32..33 are taken to be at quarters of [32, 34)."""
    buckets = counted([32, 32, 33, 33])

    assert [quantile(buckets, q) for q in (0, 0.25, 0.5, 1)] == [32.0, 32.5, 33.0, 34.0]
    assert quantile(buckets, 1, maximum=33) == 33.0
    assert quantile(buckets, 0, minimum=32.5) == 32.5


def test_the_last_bucket_is_bounded_by_the_maximum() -> None:
    """It is 2**32 wide, so without a maximum it would say little."""
    assert quantile(counted([2**27, 2**27]), 0.5, 2**27, 2**27) == 2**27


def test_an_empty_histogram_has_no_quantile() -> None:
    """None alone, nan among others, even where limits are given."""
    rows = np.stack([counted([7]), counted([])])
    limits = np.array([7.0, 0.0])
    values = quantiles(rows, (0.5, 0.99), limits, limits)

    assert quantile(counted([]), 0.5) is None
    assert values[0].tolist() == [7.0, 7.0]
    assert np.isnan(values[1]).all()


@settings(deadline=None)
@given(st.lists(st.lists(TIMES), max_size=5))
def test_many_rows_give_what_each_alone_gives(groups: list[list[int]]) -> None:
    """Vectorised or not, the figures are the same."""
    rows = np.array([counted(values) for values in groups], dtype=np.uint64).reshape(-1, BUCKETS)
    together = quantiles(rows, (0.5, 0.9))

    assert together.shape == (len(groups), 2)
    for row, buckets in zip(together, rows, strict=True):
        alone = [quantile(buckets, q) for q in (0.5, 0.9)]
        assert [None if np.isnan(value) else value for value in row] == alone


def test_limits_that_are_not_known_do_not_limit() -> None:
    """They are nan."""
    unknown = np.array([np.nan])

    assert quantiles(counted([32]).reshape(1, -1), (1.0,), unknown, unknown).tolist() == [[34.0]]


@pytest.mark.parametrize("q", [-0.1, 1.1, 99])
def test_a_quantile_outside_0_to_1_is_refused(q: float) -> None:
    """Percent, most likely."""
    with pytest.raises(ValueError, match=r"0\.\.1"):
        quantile(counted([1]), q)
