"""Keeps what is exposed from going backwards: what stands in for a counter while it steps back.

A total that telescopes (bpf/totals.h) may step back: one program adds what it read, another adds
the difference to what it had read a moment earlier, and only the next makes that good.  Whoever
reads in between sees a little less than the time before.  For a print that does not matter; for
Prometheus a counter that is lower has begun again at 0, and `rate()` would count all of it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from tcpvitals.model.histogram import Counts, Indices

# A counter that stepped back below 0; none ever counts as far as that.
_NEGATIVE: Final = np.uint64(2**63)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Figures by identity: `ids` uint64[G], each there once, and `values` uint64[G, ...]."""

    ids: Counts
    values: Counts

    @classmethod
    def empty(cls, columns: int) -> Rows:
        """Return no rows, of this many columns."""
        return cls(np.zeros(0, np.uint64), np.zeros((0, columns), np.uint64))

    def placed(self, ids: Counts) -> Counts:
        """Return the figures in the order of these identities, 0 for those that are not here."""
        if np.array_equal(ids, self.ids):
            return self.values
        placed = np.zeros((len(ids), *self.values.shape[1:]), np.uint64)
        here, there = self._common(ids)
        placed[there] = self.values[here]
        return placed

    def without(self, ids: Counts) -> Rows:
        """Return the rows of all but these identities."""
        if np.array_equal(ids, self.ids):
            return Rows(self.ids[:0], self.values[:0])
        rest = np.ones(len(self.ids), np.bool_)
        rest[self._common(ids)[0]] = False
        return Rows(self.ids[rest], self.values[rest])

    def _common(self, ids: Counts) -> tuple[Indices, Indices]:
        _, here, there = np.intersect1d(self.ids, ids, assume_unique=True, return_indices=True)
        return here, there


class Ratchet:
    """Figures that never go backwards, by identity; what is no longer there is forgotten.

    Identities are as in `Counters`: never used twice, so a lower figure is a step back and not
    another group.  A figure that stepped back shows what it had before, until it has caught up:
    no more than it will be a moment later.  One below 0, because the group's first step was back,
    is 0.
    """

    def __init__(self, columns: int) -> None:
        """Begin with nothing; each row will have so many columns."""
        self._held = Rows.empty(columns)

    @property
    def held(self) -> Rows:
        """What was returned last."""
        return self._held

    def hold(self, ids: Counts, values: Counts) -> Counts:
        """Return each row's figures, none lower than what it had the last time: uint64[G, C]."""
        positive = np.where(values >= _NEGATIVE, np.uint64(0), values)
        held = np.maximum(positive, self._held.placed(ids))
        self._held = Rows(ids, held)
        return held


class Steady:
    """One figure that counts as far as it was there the time before as well, and never goes back.

    For what is left over between two counts, as with `Settled`, where it is one number.
    """

    def __init__(self) -> None:
        """Begin with 0."""
        self._seen = 0
        self.value = 0

    def follow(self, now: int) -> int:
        """Take a newer figure; return what is certain of it."""
        self.value = max(self.value, min(now, self._seen))
        self._seen = now
        return self.value


class Settled:
    """What is left over between two counts that are read one after the other.

    Retransmissions without a known cause are total_retrans less all causes.  The kernel adds to
    total_retrans first and tells the cause a moment later: whoever reads in between sees a
    segment without a cause, which has one the next time.  Shown at once it could never be taken
    back.  So a figure counts only as far as it was there the time before as well; what is really
    left over is shown one refresh later, and what was on its way is not.
    """

    def __init__(self) -> None:
        """Begin with nothing: of what is new, nothing is settled."""
        self._seen = Rows.empty(1)

    def settle(self, ids: Counts, values: Counts, heir: int) -> Counts:
        """Return the lower one of now and the time before: uint64[G].

        What had a row that is gone is in the row `heir` now, where it was settled already.
        """
        positive = np.where(values >= _NEGATIVE, np.uint64(0), values)
        gone = self._seen.without(ids).values.sum(dtype=np.uint64)
        before = self._seen.placed(ids)[:, 0].copy()
        before[heir] += gone
        self._seen = Rows(ids, positive[:, np.newaxis])
        return np.minimum(positive, before)
