"""From the kernel half's groups to series: one for each label set, and none goes backwards.

A group is known by its identity, a series by its labels, and they do not always match: two groups
may have the same labels (two network namespaces, one after the other, with the same number), and
a group whose slot was taken back may come back as another with the same labels.  The groups of one
label set are added up; and what a group had that is gone, while its label set is still there,
stays with the series instead of moving to `retired`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.model.ratchet import Ratchet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.histogram import Counts, Indices
    from tcpvitals.model.ratchet import Rows
    from tcpvitals.sinks.prometheus.labels import Labels

OTHER_ID: Final = 2**64 - 2
RETIRED_ID: Final = 2**64 - 1
"""The identities of the two sums; a slot's number is far lower."""


def with_sums(ids: Counts) -> Counts:
    """Return the groups' identities, and those of `other` and `retired` behind them."""
    return np.append(ids, np.array([OTHER_ID, RETIRED_ID], np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The label sets, each once, and which one each group has: `row_of` int[G]."""

    labels: list[Labels]
    row_of: Indices

    @classmethod
    def of(cls, labels: Sequence[Labels]) -> Merged:
        """Find the label sets."""
        numbers: dict[Labels, int] = {}
        row_of = [numbers.setdefault(one, len(numbers)) for one in labels]
        return cls(list(numbers), np.array(row_of, np.intp))

    def add_up(self, values: Counts) -> Counts:
        """Return the sum of the groups of each label set, for values uint64[G, ...]."""
        if len(self.labels) == len(self.row_of):
            return values.copy()
        sums = np.zeros((len(self.labels), *values.shape[1:]), np.uint64)
        np.add.at(sums, self.row_of, values)
        return sums


class Series:
    """Counters by label set; the last two groups are `other` and `retired`, as `with_sums` says."""

    def __init__(self, columns: int) -> None:
        """Begin with none; each will have so many columns."""
        self._ratchet = Ratchet(columns)
        self._labels: dict[int, Labels] = {}
        self._carried: dict[Labels, Counts] = {}
        self._retired = np.zeros(columns, np.uint64)

    def follow(self, ids: Counts, merged: Merged, values: Counts) -> Counts:
        """Return the counters of each label set, from uint64[G, C] of each group."""
        gone = self._ratchet.held.without(ids)
        sums = merged.add_up(self._ratchet.hold(ids, values))
        self._carry(gone, merged)
        self._labels = dict(
            zip(ids.tolist(), (merged.labels[row] for row in merged.row_of), strict=True)
        )
        self._move_back(sums, merged)
        return sums

    def _carry(self, gone: Rows, merged: Merged) -> None:
        """Remember what groups had whose label sets are still there."""
        present = set(merged.labels) if self._carried or len(gone.ids) else set()
        self._carried = {one: row for one, row in self._carried.items() if one in present}
        for number, row in zip(gone.ids.tolist(), gone.values, strict=True):
            labels = self._labels[number]
            if labels in present:
                self._carried[labels] = self._carried.get(labels, np.uint64(0)) + row

    def _move_back(self, sums: Counts, merged: Merged) -> None:
        """Move from `retired`, where the kernel half's sums have it, to the series."""
        retired = int(merged.row_of[-1])
        for row, labels in enumerate(merged.labels if self._carried else ()):
            carried = self._carried.get(labels)
            if carried is not None:
                sums[row] += carried
                sums[retired] -= np.minimum(sums[retired], carried)
        # What a group had was held while it stepped back, and may be less in the sum.
        self._retired = sums[retired] = np.maximum(sums[retired], self._retired)
