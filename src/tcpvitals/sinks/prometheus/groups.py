"""What each group has: histograms of its round trips, what was sent, what was sent again.

Counters of all groups are columns of a few matrices, so that they are folded, held and added up in
a few steps of numpy, however many groups there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.model.totals import CAUSES, FIELDS
from tcpvitals.sinks.prometheus.group_families import (
    BY_CAUSE,
    BY_FIELD,
    FAILED,
    LIVE,
    histogram,
)
from tcpvitals.sinks.prometheus.labels import OTHER, RETIRED, group_labels, same_label
from tcpvitals.sinks.prometheus.series import Merged, Series, with_sums
from tcpvitals.sinks.prometheus.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot
    from tcpvitals.sinks.prometheus.edges import Edges
    from tcpvitals.sinks.prometheus.labels import Labels
    from tcpvitals.sinks.prometheus.table import Family

_US: Final = 1e6
_AT: Final = {name: index for index, name in enumerate(FIELDS)}
_CAUSES: Final = [_AT[cause.value] for cause in CAUSES]


def all_totals(snapshot: VitalsSnapshot) -> Counts:
    """Return the totals of all groups, of `other` and of `retired`: uint64[G + 2, FIELDS]."""
    sums = (snapshot.other.totals.values, snapshot.retired.totals.values)
    return np.vstack((snapshot.table.totals.values, *sums))


def without_cause(totals: Counts) -> Counts:
    """Return what was retransmitted without a cause, and is not known to have failed: uint64[G].

    A little below 0 (2**64) for a moment.
    """
    seen = totals[:, [*_CAUSES, _AT["segments_failed"]]].sum(axis=1, dtype=np.uint64)
    return np.asarray(totals[:, _AT["segments_retransmitted"]] - seen, np.uint64)


def _folded(snapshot: VitalsSnapshot, sample: Sample, edges: Edges) -> Counts:
    """Return a sample's folded buckets and its sum, in microseconds: uint64[G + 2, E + 1]."""
    groups = snapshot.table.histograms[sample]
    sums = (snapshot.other.histograms[sample], snapshot.retired.histograms[sample])
    buckets = np.vstack([edges.fold(groups.buckets), *(edges.fold(one.buckets) for one in sums)])
    sum_us = np.append(groups.sum_us, np.array([one.sum_us for one in sums], np.uint64))
    return np.column_stack((buckets, sum_us))


class Groups:
    """Makes tables of snapshots; remembers what it has shown, so that nothing goes backwards."""

    def __init__(self, grouping: Grouping, edges: Mapping[Sample, Edges]) -> None:
        """Begin with nothing shown; there will be a histogram of each sample that has edges."""
        self._grouping = grouping
        self._totals = Series(len(FIELDS) + 1)
        self.fold(edges)
        self._sums = [same_label(grouping, OTHER), same_label(grouping, RETIRED)]
        self._labels: dict[int, Labels] = {}
        self._ids = np.zeros(0, np.uint64)
        self._merged = Merged.of([])

    def fold(self, edges: Mapping[Sample, Edges]) -> None:
        """Show histograms with these edges; what has been shown with others cannot be compared."""
        self._edges = edges
        self._histograms = {
            sample: (histogram(sample, one), Series(len(one) + 1)) for sample, one in edges.items()
        }

    def tables(self, snapshot: VitalsSnapshot, unknown: Counts) -> Iterator[Table]:
        """Return the tables of a snapshot, with what has `unknown` causes: uint64[G + 2]."""
        merged, ids = self._merge(snapshot), with_sums(snapshot.table.ids)
        for sample, (family, series) in self._histograms.items():
            folded = _folded(snapshot, sample, self._edges[sample])
            yield _histogram(family, merged.labels, series.follow(ids, merged, folded))
        totals = np.column_stack((all_totals(snapshot), unknown))
        totals = self._totals.follow(ids, merged, totals)
        yield from _counters(merged.labels, totals, shows_errors=snapshot.shows_errors)
        sums = np.array([snapshot.other.live, snapshot.retired.live], np.uint64)
        live = merged.add_up(np.append(snapshot.table.live, sums))
        yield Table(LIVE, merged.labels, live.astype(np.float64)[:, np.newaxis])

    def _merge(self, snapshot: VitalsSnapshot) -> Merged:
        """Find the label sets; they are made once for each group, however often it is shown."""
        ids = snapshot.table.ids
        if self._merged.labels and np.array_equal(ids, self._ids):
            return self._merged
        known, host = self._labels, snapshot.host_netns
        self._labels = {
            one: known.get(one) or group_labels(key, self._grouping, host)
            for one, key in zip(ids.tolist(), snapshot.keys, strict=True)
        }
        self._ids = ids
        self._merged = Merged.of([*self._labels.values(), *self._sums])
        return self._merged


def _histogram(family: Family, labels: list[Labels], folded: Counts) -> Table:
    """A group without samples has no histogram: it would be lines of 0."""
    buckets = np.cumsum(folded[:, :-1], axis=1, dtype=np.uint64)
    filled = np.flatnonzero(buckets[:, -1])
    count, sum_s = buckets[:, -1:], folded[:, -1:] / _US
    values = np.hstack((buckets, count, sum_s)).astype(np.float64)[filled]
    return Table(family, [labels[row] for row in filled], values)


def _counters(labels: list[Labels], totals: Counts, *, shows_errors: bool) -> Iterator[Table]:
    """Return all that is counted; the last column is what has no known cause."""
    failed, unattributed = totals[:, [_AT["segments_failed"]]], totals[:, [-1]]
    if not shows_errors:
        # The tracepoint is silent about failures: they are all that has no known cause.
        failed, unattributed = unattributed, failed
    by_cause = np.hstack((totals[:, _CAUSES], failed, unattributed))
    yield Table(BY_CAUSE, labels, by_cause.astype(np.float64))
    for family, name in BY_FIELD.items():
        yield Table(family, labels, totals[:, [_AT[name]]].astype(np.float64))
    yield Table(FAILED, labels, failed.astype(np.float64))
