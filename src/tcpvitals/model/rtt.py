"""Round-trip times: the histograms of each group, and what they say.

Minima and maxima cannot be subtracted; `Counters.since` says what stands in for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from tcpvitals.model.context import Context, Contexts, least
from tcpvitals.model.histogram import BUCKETS, HIGHS, LOWS, outer_buckets, quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.histogram import Counts, Flags, Floats, Indices
    from tcpvitals.model.measurement import Unit
    from tcpvitals.model.snapshot import Interval, Rows, Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """One histogram: `buckets` uint64[384], whose values are in `unit`.

    Without samples it has neither minimum nor maximum.  Clean samples have a `context`.
    """

    buckets: Counts
    sum_us: int
    min_us: int | None
    max_us: int | None
    unit: Unit
    context: Context | None = None

    @classmethod
    def empty(cls, unit: Unit, context: Context | None = None) -> Distribution:
        """Return the distribution of no samples."""
        return cls(np.zeros(BUCKETS, dtype=np.uint64), 0, None, None, unit, context)

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(self.buckets.sum())

    @property
    def taken(self) -> int:
        """How many samples were taken: of clean ones, those that were not are included."""
        return self.context.samples if self.context else self.count

    def __add__(self, other: Distribution) -> Distribution:
        """Return the distribution of the samples of both."""
        lows = [low for low in (self.min_us, other.min_us) if low is not None]
        highs = [high for high in (self.max_us, other.max_us) if high is not None]
        return Distribution(
            self.buckets + other.buckets,
            self.sum_us + other.sum_us,
            min(lows, default=None),
            max(highs, default=None),
            self.unit,
            self.context + other.context if self.context and other.context else None,
        )

    def since(self, earlier: Distribution) -> Distribution:
        """Return what came after `earlier`, as `Counters.since` does."""
        return self.as_counters().since(earlier.as_counters(), slice(None)).row(0)

    def quantiles(self, qs: Sequence[float]) -> list[float | None]:
        """Return the quantiles in the unit of the buckets, None as `Counters.quantiles` has nan."""
        row = self.as_counters().quantiles(qs)[0]
        return [None if np.isnan(value) else float(value) for value in row]

    def as_counters(self) -> Counters:
        """Return it as the counters of a single group, whose identity is 0."""
        return Counters(
            np.zeros(1, dtype=np.uint64),
            self.buckets[np.newaxis],
            np.array([self.sum_us], dtype=np.uint64),
            np.array([self.min_us or 0], dtype=np.uint64),
            np.array([self.max_us or 0], dtype=np.uint64),
            self.unit,
            self.context.as_columns() if self.context else None,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """The histograms of G groups, one column each.

    `ids` uint64[G] is slot << 32 | generation, never used twice; `buckets` uint64[G, 384], whose
    values are in `unit`; `sum_us`, `min_us` and `max_us` uint64[G], 0 where a group has no samples.
    Clean samples have `contexts`.
    """

    ids: Counts
    buckets: Counts
    sum_us: Counts
    min_us: Counts
    max_us: Counts
    unit: Unit
    contexts: Contexts | None = None

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together, with a ValueError."""
        groups = self.ids.shape
        columns = (self.sum_us.shape, self.min_us.shape, self.max_us.shape)
        if self.buckets.shape != (*groups, BUCKETS) or any(shape != groups for shape in columns):
            msg = f"columns of {groups} groups: buckets {self.buckets.shape}, others {columns}"
            raise ValueError(msg)

    @classmethod
    def empty(cls, unit: Unit, contexts: Contexts | None = None) -> Counters:
        """Return the counters of no group at all."""
        none = np.zeros(0, dtype=np.uint64)
        buckets = np.zeros((0, BUCKETS), dtype=np.uint64)
        return cls(none, buckets, none, none, none, unit, contexts)

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.ids)

    @property
    def sizes(self) -> Counts:
        """How many samples each histogram has: uint64[G]."""
        return np.asarray(self.buckets.sum(axis=1), dtype=np.uint64)

    @property
    def counts(self) -> Counts:
        """How many samples were taken of each group: uint64[G], as `taken` of a `Distribution`."""
        return self.contexts.samples if self.contexts else self.sizes

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
            self.unit,
            self.contexts.take(chosen) if self.contexts else None,
        )

    def since(self, earlier: Counters, rows: Rows) -> Counters:
        """Return what was counted after `earlier`, whose groups are at these rows here.

        The minimum and maximum are the tightest that can be known: the edges of the outer buckets
        that grew, within the minimum and maximum since the start; for a new group they are exact.

        Raises:
            ValueError: some counter would have to run backwards, or the units differ.
        """
        if self.unit is not earlier.unit:
            message = f"the snapshots are not two of one run: {self.unit} and {earlier.unit}"
            raise ValueError(message)
        buckets = _grown(self.buckets, earlier.buckets, rows)
        low, high = self._bounds(buckets)
        sum_us = _grown(self.sum_us, earlier.sum_us, rows)
        contexts = _contexts_since(self.contexts, earlier.contexts, rows)
        return Counters(self.ids, buckets, sum_us, low, high, self.unit, contexts)

    def _bounds(self, buckets: Counts) -> tuple[Counts, Counts]:
        lowest, highest = outer_buckets(buckets)
        low = np.maximum(_edges_us(lowest, self.unit)[0], self.min_us)
        high = np.minimum(_edges_us(highest, self.unit)[1], self.max_us)
        filled = _is_filled(buckets, lowest)
        return np.where(filled, low, 0), np.where(filled, high, 0)

    def row(self, row: int) -> Distribution:
        """Return one group."""
        some = self.buckets[row].any()
        return Distribution(
            self.buckets[row],
            int(self.sum_us[row]),
            int(self.min_us[row]) if some else None,
            int(self.max_us[row]) if some else None,
            self.unit,
            self.contexts.row(row) if self.contexts else None,
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
            self.unit,
            self.contexts.total() if self.contexts else None,
        )

    def quantiles(self, qs: Sequence[float]) -> Floats:
        """Return quantiles float[G, len(qs)] in the unit of the buckets.

        They are nan where there are no samples, or too few clean ones.
        """
        divisor = self.unit.divisor
        found = quantiles(self.buckets, qs, self.min_us / divisor, self.max_us / divisor)
        if self.contexts:
            found[self.sizes[:, np.newaxis] < [least(q) for q in qs]] = np.nan
        return found


RttSnapshot: TypeAlias = "Snapshot[Counters, Distribution]"
RttInterval: TypeAlias = "Interval[Counters, Distribution]"


def believable(counters: Counters) -> Counters:
    """Return the counters with extremes that their outermost buckets agree with.

    A sample's bucket and its extreme are written one after the other, and not every kernel can
    raise an extreme atomically.  One that was read too early is cut to its bucket; for one that was
    lost, the outer edge of its bucket stands in.
    """
    lowest, highest = outer_buckets(counters.buckets)
    least, low_end = _edges_us(lowest, counters.unit)
    high_start, most = _edges_us(highest, counters.unit)
    lows = np.where(counters.min_us > low_end, least, np.maximum(counters.min_us, least))
    highs = np.where(counters.max_us < high_start, most, np.minimum(counters.max_us, most))
    filled = _is_filled(counters.buckets, lowest)
    return replace(counters, min_us=np.where(filled, lows, 0), max_us=np.where(filled, highs, 0))


def _grown(later: Counts, earlier: Counts, rows: Rows) -> Counts:
    """Return the difference; `earlier` has these rows of `later`, the others were 0."""
    if (later[rows] < earlier).any():
        message = "a counter ran backwards: the snapshots are not two of one run, in order"
        raise ValueError(message)
    grown = later.copy()
    grown[rows] -= earlier
    return grown


def _contexts_since(
    later: Contexts | None, earlier: Contexts | None, rows: Rows
) -> Contexts | None:
    """Counts are subtracted; the minimum RTT is that since the start."""
    if later is None or earlier is None:
        return later
    return Contexts(_grown(later.counts, earlier.counts, rows), later.floor_us)


def _edges_us(buckets: Indices, unit: Unit) -> tuple[Counts, Counts]:
    return LOWS[buckets] * unit.divisor, (HIGHS[buckets] + 1) * unit.divisor - 1


def _is_filled(buckets: Counts, lowest: Indices) -> Flags:
    """Which rows have samples: others have none in what stands in for their lowest bucket."""
    return np.asarray(buckets[np.arange(len(buckets)), lowest] > 0)
