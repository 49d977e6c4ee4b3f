"""Counters as they stood at one moment, and what happened between two moments.

Counters only ever grow, so an interval is a subtraction: nothing is lost by looking.  Groups are
columns of arrays, never objects, so the work depends on numpy and not on how many groups there are.
Minima and maxima cannot be subtracted; `between` says what stands in for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.histogram import BUCKETS, HIGHS, LOWS, outer_buckets, quantiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tcpvitals.model.histogram import Counts, Flags, Floats, Indices
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.measurement import Unit


# Arrays have no single truth value, so these classes cannot have the usual equality: eq=False.
@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One histogram: `buckets` uint64[384]; without samples it has neither minimum nor maximum."""

    buckets: Counts
    sum_us: int
    min_us: int | None
    max_us: int | None

    @classmethod
    def empty(cls) -> Distribution:
        """Return the distribution of no samples."""
        return cls(np.zeros(BUCKETS, dtype=np.uint64), 0, None, None)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(self.buckets.sum())

    def __add__(self, other: Distribution) -> Distribution:
        """Return the distribution of the samples of both."""
        lows = [low for low in (self.min_us, other.min_us) if low is not None]
        highs = [high for high in (self.max_us, other.max_us) if high is not None]
        return Distribution(
            self.buckets + other.buckets,
            self.sum_us + other.sum_us,
            min(lows, default=None),
            max(highs, default=None),
        )

    def quantiles(self, qs: Sequence[float], unit: Unit) -> list[float | None]:
        """Return the quantiles in the unit of the buckets, None if there are no samples."""
        row = self.as_counters().quantiles(qs, unit)[0]
        return [None if np.isnan(value) else float(value) for value in row]

    def as_counters(self) -> Counters:
        """Return it as the counters of a single group, whose identity is 0."""
        return Counters(
            np.zeros(1, dtype=np.uint64),
            self.buckets[np.newaxis],
            np.array([self.sum_us], dtype=np.uint64),
            np.array([self.min_us or 0], dtype=np.uint64),
            np.array([self.max_us or 0], dtype=np.uint64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """The histograms of G groups, one column each.

    `ids` uint64[G] is slot << 32 | generation, never used twice; `buckets` uint64[G, 384];
    `sum_us`, `min_us` and `max_us` uint64[G], 0 where a group has no samples.
    """

    ids: Counts
    buckets: Counts
    sum_us: Counts
    min_us: Counts
    max_us: Counts

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together, with a ValueError."""
        groups = self.ids.shape
        columns = (self.sum_us.shape, self.min_us.shape, self.max_us.shape)
        if self.buckets.shape != (*groups, BUCKETS) or any(shape != groups for shape in columns):
            msg = f"columns of {groups} groups: buckets {self.buckets.shape}, others {columns}"
            raise ValueError(msg)

    @classmethod
    def empty(cls) -> Counters:
        """Return the counters of no group at all."""
        none = np.zeros(0, dtype=np.uint64)
        return cls(none, np.zeros((0, BUCKETS), dtype=np.uint64), none, none, none)

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.ids)

    @property
    def counts(self) -> Counts:
        """How many samples each group has: uint64[G]."""
        return np.asarray(self.buckets.sum(axis=1), dtype=np.uint64)

    @property
    def busy(self) -> Flags:
        """Which groups are kept for more than what they count: none, bool[G]."""
        return np.zeros(len(self), np.bool_)

    def take(self, rows: Sequence[int] | Indices) -> Counters:
        """Return the groups at these rows, in this order."""
        chosen = np.asarray(rows, dtype=np.intp)
        return Counters(
            self.ids[chosen],
            self.buckets[chosen],
            self.sum_us[chosen],
            self.min_us[chosen],
            self.max_us[chosen],
        )

    def row(self, row: int) -> Distribution:
        """Return one group."""
        if not self.buckets[row].any():
            return Distribution(self.buckets[row], int(self.sum_us[row]), None, None)
        return Distribution(
            self.buckets[row],
            int(self.sum_us[row]),
            int(self.min_us[row]),
            int(self.max_us[row]),
        )

    def total(self) -> Distribution:
        """Return all groups in one."""
        filled = self.buckets.any(axis=1)
        some = bool(filled.any())
        return Distribution(
            np.asarray(self.buckets.sum(axis=0), dtype=np.uint64),
            int(self.sum_us.sum()),
            int(self.min_us[filled].min()) if some else None,
            int(self.max_us[filled].max()) if some else None,
        )

    def quantiles(self, qs: Sequence[float], unit: Unit) -> Floats:
        """Return quantiles float[G, len(qs)] in the unit of the buckets, nan where empty."""
        return quantiles(self.buckets, qs, self.min_us / unit.divisor, self.max_us / unit.divisor)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All counters since the program was attached, as they stood at `taken_ns` (boot time).

    `keys` are in the order of `counters`.  `other` has the samples of groups past `groups_limit`,
    `retired` those of groups that were idle for so long that their slot was given away, `losses`
    what was not counted, by reason.
    """

    taken_ns: int
    keys: tuple[GroupKey, ...]
    counters: Counters
    other: Distribution
    retired: Distribution
    losses: Mapping[str, int]
    groups_limit: int
    unit: Unit

    def __post_init__(self) -> None:
        """Refuse keys and counters of different length, with a ValueError."""
        if len(self.keys) != len(self.counters):
            msg = f"{len(self.keys)} keys for the counters of {len(self.counters)} groups"
            raise ValueError(msg)

    def total(self) -> Distribution:
        """Return every sample that was counted."""
        return self.counters.total() + self.other + self.retired

    def since_start(self, start_ns: int) -> Interval:
        """Return the interval from the beginning, with exact minima and maxima."""
        return Interval(
            start_ns,
            self.taken_ns,
            self.keys,
            self.counters,
            self.other,
            self.retired,
            self.losses,
            self.groups_limit,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """What was counted from `start_ns` to `end_ns` (boot time); the rest is as in a `Snapshot`."""

    start_ns: int
    end_ns: int
    keys: tuple[GroupKey, ...]
    counters: Counters
    other: Distribution
    retired: Distribution
    losses: Mapping[str, int]
    groups_limit: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / 1e9

    def total(self) -> Distribution:
        """Return every sample that was counted."""
        return self.counters.total() + self.other + self.retired


def between(later: Snapshot, earlier: Snapshot) -> Interval:
    """Return what was counted after `earlier` and up to `later`.

    Groups are matched by identity.  One that is gone has been added to `later.retired`, so what
    it had before is taken off there: the interval's total is exactly the difference of totals.
    The minimum and maximum are the tightest that can be known: the edges of the interval's outer
    buckets, within the minimum and maximum since the start; for a new group they are exact.

    Raises:
        ValueError: `later` is not later: some counter would have to run backwards.
    """
    if later.unit is not earlier.unit or later.taken_ns < earlier.taken_ns:
        msg = "the snapshots are not two of one run, in order"
        raise ValueError(msg)
    before, gone = _aligned(later.counters, earlier.counters)
    return Interval(
        earlier.taken_ns,
        later.taken_ns,
        later.keys,
        _subtract(later.counters, before, later.unit),
        _rest(later.other, earlier.other, later.unit),
        _rest(later.retired, earlier.retired + gone, later.unit),
        _lost_since(later.losses, earlier.losses),
        later.groups_limit,
    )


def busiest(recent: Interval, cumulative: Interval, limit: int | None = None) -> Indices:
    """Return rows of groups in the order they deserve to be seen, at most `limit` of them.

    The most samples recently first; idle groups follow, and equals are ordered, by the most
    samples in all, and then by identity so that the order never flickers.  Both intervals are
    of the same snapshot.
    """
    in_all = cumulative.counters.counts.astype(np.int64)
    lately = recent.counters.counts.astype(np.int64)
    return np.lexsort((recent.counters.ids, -in_all, -lately))[:limit]


def _aligned(later: Counters, earlier: Counters) -> tuple[Counters, Distribution]:
    """Return the earlier counters in the rows of the later ones, and the sum of those gone."""
    if np.array_equal(later.ids, earlier.ids):
        return earlier, Distribution.empty()
    _, here, there = np.intersect1d(later.ids, earlier.ids, assume_unique=True, return_indices=True)
    gone = np.ones(len(earlier), dtype=np.bool_)
    gone[there] = False
    before = Counters(
        later.ids,
        _placed(earlier.buckets, there, here, later.buckets.shape),
        _placed(earlier.sum_us, there, here, later.sum_us.shape),
        _placed(earlier.min_us, there, here, later.min_us.shape),
        _placed(earlier.max_us, there, here, later.max_us.shape),
    )
    return before, earlier.take(np.flatnonzero(gone)).total()


def _placed(column: Counts, there: Indices, here: Indices, shape: tuple[int, ...]) -> Counts:
    moved = np.zeros(shape, dtype=np.uint64)
    moved[here] = column[there]
    return moved


def _rest(later: Distribution, earlier: Distribution, unit: Unit) -> Distribution:
    return _subtract(later.as_counters(), earlier.as_counters(), unit).row(0)


def _subtract(later: Counters, earlier: Counters, unit: Unit) -> Counters:
    if (later.buckets < earlier.buckets).any() or (later.sum_us < earlier.sum_us).any():
        msg = "a counter ran backwards: the snapshots are not two of one run, in order"
        raise ValueError(msg)
    buckets = later.buckets - earlier.buckets
    low, high = _bounds(buckets, later, unit)
    return Counters(later.ids, buckets, later.sum_us - earlier.sum_us, low, high)


def _bounds(buckets: Counts, since_start: Counters, unit: Unit) -> tuple[Counts, Counts]:
    lowest, highest = outer_buckets(buckets)
    low = np.maximum(_edges_us(lowest, unit)[0], since_start.min_us)
    high = np.minimum(_edges_us(highest, unit)[1], since_start.max_us)
    return _where_filled(buckets, low), _where_filled(buckets, high)


def believable(counters: Counters, unit: Unit) -> Counters:
    """Return the counters with extremes that their outermost buckets agree with.

    A sample's bucket and its extreme are written one after the other, and not every kernel can
    raise an extreme atomically.  One that was read too early is cut to its bucket; for one that was
    lost, the outer edge of its bucket stands in.
    """
    lowest, highest = outer_buckets(counters.buckets)
    least, low_end = _edges_us(lowest, unit)
    high_start, most = _edges_us(highest, unit)
    lows = np.where(counters.min_us > low_end, least, np.maximum(counters.min_us, least))
    highs = np.where(counters.max_us < high_start, most, np.minimum(counters.max_us, most))
    return replace(
        counters,
        min_us=_where_filled(counters.buckets, lows),
        max_us=_where_filled(counters.buckets, highs),
    )


def _edges_us(buckets: Indices, unit: Unit) -> tuple[Counts, Counts]:
    return LOWS[buckets] * unit.divisor, (HIGHS[buckets] + 1) * unit.divisor - 1


def _where_filled(buckets: Counts, values: Counts) -> Counts:
    return np.where(buckets.any(axis=1), values, 0).astype(np.uint64)


def _lost_since(later: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    lost = {
        reason: later.get(reason, 0) - earlier.get(reason, 0) for reason in {**earlier, **later}
    }
    if any(count < 0 for count in lost.values()):
        msg = f"a loss counter ran backwards: {lost}"
        raise ValueError(msg)
    return lost
