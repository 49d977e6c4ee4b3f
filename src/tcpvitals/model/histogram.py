"""The one bucket function, the same as the kernel half's, and what can be told from its buckets.

Values are unsigned 32-bit, in whatever unit the BPF side counted.  There are 16 linear buckets for
0..15, then 16 for each power of two up to 2**27 (as HdrHistogram does): none is wider than 1/16 of
its lower edge.  Folding them gives bcc's log2 histogram exactly, not approximately.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

Counts: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.intp]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

BUCKETS = 384
"""Fine buckets: 16 linear ones, then 16 for each exponent from 4 to 26."""

LOG2_SLOTS = 27
"""Slots of the log2 histogram of bcc's tcprtt (MAX_SLOTS)."""

LARGEST = 2**32 - 1
"""The largest value there is; the last bucket reaches up to it."""

_SUB = 16
_SUB_BITS = 4
_CLAMP = 2**LOG2_SLOTS - 1


def _lows() -> Counts:
    index = np.arange(BUCKETS, dtype=np.uint64)
    block, sub = index // _SUB, index % _SUB
    return np.where(block == 0, sub, (_SUB + sub) << (np.maximum(block, 1) - 1)).astype(np.uint64)


LOWS: Counts = _lows()
"""uint64[384]: the smallest value in each bucket."""

HIGHS: Counts = np.append(LOWS[1:] - 1, np.uint64(LARGEST)).astype(np.uint64)
"""uint64[384]: the largest value in each bucket, inclusive; the last one takes all the rest."""

_WIDTHS: Floats = (HIGHS - LOWS + 1).astype(np.float64)

_FOLD_STARTS = np.array([0, 2, 4, 8, *range(_SUB, BUCKETS, _SUB)], dtype=np.intp)

for _table in (LOWS, HIGHS, _WIDTHS, _FOLD_STARTS):
    _table.setflags(write=False)


def bucket_index(values: ArrayLike) -> Indices:
    """Return the bucket of each value, in the shape of the values.

    The same steps as `bucket_of` in the BPF half: linear below 16, then the exponent and the four
    bits below the leading one.
    """
    clamped = np.minimum(np.asarray(values, dtype=np.int64), _CLAMP)
    # A double holds these values exactly, so its exponent is floor(log2(value)) plus one.
    exponent = np.frexp(np.maximum(clamped, 1).astype(np.float64))[1].astype(np.int64) - 1
    block = np.maximum(exponent - (_SUB_BITS - 1), 0)
    sub = (clamped >> np.maximum(exponent - _SUB_BITS, 0)) & (_SUB - 1)
    return np.asarray(block * _SUB + sub, dtype=np.intp)


def outer_buckets(buckets: Counts) -> tuple[Indices, Indices]:
    """Return the lowest and the highest bucket with samples in each row of [G, 384].

    A row without samples has the first and the last bucket.
    """
    filled = buckets > 0
    return filled.argmax(axis=1), BUCKETS - 1 - filled[:, ::-1].argmax(axis=1)


def fold_log2(buckets: Counts) -> Counts:
    """Fold buckets [..., 384] into log2 slots [..., 27]: what bcc's tcprtt would have counted."""
    return np.add.reduceat(buckets, _FOLD_STARTS, axis=-1)


def log2_edges(slot: int) -> tuple[int, int]:
    """Return the smallest and the largest value of a log2 slot, both inclusive.

    Slot 0 holds 0 and 1 (the logarithm of 0 counts as 0), the last slot all that is above.

    Raises:
        ValueError: there is no such slot.
    """
    if not 0 <= slot < LOG2_SLOTS:
        msg = f"log2 slot {slot} is not one of 0..{LOG2_SLOTS - 1}"
        raise ValueError(msg)
    low = 0 if slot == 0 else 2**slot
    return low, LARGEST if slot == LOG2_SLOTS - 1 else 2 ** (slot + 1) - 1


def quantile(
    buckets: Counts, q: float, minimum: float | None = None, maximum: float | None = None
) -> float | None:
    """Return the q-quantile (0 <= q <= 1) of one histogram [384], or None if it is empty.

    In the unit of the buckets; the other arguments and errors are those of `quantiles`.
    """
    low = None if minimum is None else np.array([minimum], dtype=np.float64)
    high = None if maximum is None else np.array([maximum], dtype=np.float64)
    value = float(quantiles(buckets[np.newaxis], (q,), low, high)[0, 0])
    return None if np.isnan(value) else value


def quantiles(
    buckets: Counts,
    qs: Sequence[float],
    minimum: Floats | None = None,
    maximum: Floats | None = None,
) -> Floats:
    """Return quantiles [G, len(qs)] of histograms [G, 384], nan where a histogram is empty.

    The result lies in the bucket of the sample of rank ceil(q * count), so it is within 1/16 of
    it.  Inside a bucket samples are taken to be spread evenly over [low, high + 1): values were
    rounded down when they were counted.  `minimum` and `maximum` [G], nan where unknown, are
    limits that no quantile passes.

    Raises:
        ValueError: a quantile is not within 0..1.
    """
    if not all(0 <= q <= 1 for q in qs):
        msg = f"quantiles must be within 0..1, not {list(qs)}"
        raise ValueError(msg)
    cumulative = np.cumsum(buckets, axis=1, dtype=np.uint64)
    result = np.empty((len(buckets), len(qs)))
    for column, q in enumerate(qs):
        result[:, column] = _at_quantile(buckets, cumulative, q)
    _limit(result, minimum, maximum)
    result[cumulative[:, -1] == 0] = np.nan
    return result


def _at_quantile(buckets: Counts, cumulative: Counts, q: float) -> Floats:
    rank = cumulative[:, -1].astype(np.float64) * q
    wanted = np.maximum(np.ceil(rank), 1.0).astype(np.uint64)
    passed = np.count_nonzero(cumulative < wanted[:, np.newaxis], axis=1)
    index = np.minimum(passed, BUCKETS - 1)
    rows = np.arange(len(buckets))
    inside = buckets[rows, index]
    before = (cumulative[rows, index] - inside).astype(np.float64)
    fraction = np.clip((rank - before) / np.maximum(inside, 1).astype(np.float64), 0.0, 1.0)
    return np.asarray(LOWS[index] + fraction * _WIDTHS[index], dtype=np.float64)


def _limit(values: Floats, minimum: Floats | None, maximum: Floats | None) -> None:
    # fmax and fmin leave a value alone where its limit is nan.
    if minimum is not None:
        np.fmax(values, minimum[:, np.newaxis], out=values)
    if maximum is not None:
        np.fmin(values, maximum[:, np.newaxis], out=values)
