"""What was sent and what was sent again: the totals of each group, and what they say.

Counts are of segments, as the kernel counts them; docs/measuring.md says from which fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from tcpvitals.model.event import Cause

if TYPE_CHECKING:
    from tcpvitals.model.histogram import Counts, Flags, Floats, Indices
    from tcpvitals.model.snapshot import Interval, Rows, Snapshot

CAUSES: Final = tuple(Cause)
FIELDS: Final = (
    "segments_sent",
    "bytes_sent",
    "segments_retransmitted",
    "bytes_retransmitted",
    "segments_unnecessary",
    "segments_failed",
    "segments_control",
    "attempts_put_off",
    "timeouts",
    "timeouts_last",
    "handshakes_timed_out",
    "handshakes_late",
    "connections_opened",
    "connections_closed",
    "connections_failed",
    *(cause.value for cause in CAUSES),
)
"""The columns, in order; those of causes are segments that left this host."""

_AT: Final = {name: index for index, name in enumerate(FIELDS)}
_TROUBLE: Final = [
    _AT[name]
    for name in ("segments_retransmitted", "segments_unnecessary", "segments_failed", *CAUSES)
]


@dataclass(frozen=True, slots=True, eq=False)
class TotalsTable:
    """The totals of G groups: `ids` uint64[G] as in `Counters`, `values` uint64[G, FIELDS]."""

    ids: Counts
    values: Counts

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together, with a ValueError."""
        if self.values.shape != (*self.ids.shape, len(FIELDS)):
            message = f"totals of {self.ids.shape} groups are {self.values.shape}"
            raise ValueError(message)

    @classmethod
    def empty(cls) -> TotalsTable:
        """Return the totals of no group at all."""
        return cls(np.zeros(0, np.uint64), np.zeros((0, len(FIELDS)), np.uint64))

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.ids)

    @property
    def counts(self) -> Counts:
        """What shows that a group is alive: uint64[G]."""
        return np.asarray(self.column("segments_sent") + self.column("segments_retransmitted"))

    @property
    def busy(self) -> Flags:
        """Which groups are kept for more than what they count: none, bool[G]."""
        return np.zeros(len(self), np.bool_)

    @property
    def quiet(self) -> Flags:
        """Which groups had nothing to do with retransmissions: bool[G]."""
        return np.asarray(~self.values[:, _TROUBLE].any(axis=1))

    def column(self, name: str) -> Counts:
        """One field of every group: uint64[G]."""
        return self.values[:, _AT[name]]

    def row(self, row: int) -> Totals:
        """One group."""
        return Totals(self.values[row])

    def total(self) -> Totals:
        """All groups in one."""
        return Totals(np.asarray(self.values.sum(axis=0), np.uint64))

    def take(self, rows: Indices) -> TotalsTable:
        """Return the groups at these rows, in this order."""
        return TotalsTable(self.ids[rows], self.values[rows])

    def since(self, earlier: TotalsTable, rows: Rows) -> TotalsTable:
        """Return what was counted after `earlier`, whose groups are at these rows here."""
        values = self.values.copy()
        values[rows] = _grown(values[rows], earlier.values)
        return TotalsTable(self.ids, values)

    @property
    def ratios(self) -> Floats:
        """Retransmission ratios: float[G], nan where nothing was sent."""
        return ratio(self.values)

    def worst(self, min_ratio: float = 0) -> list[int]:
        """Return the rows of groups that were active, what hurts most first.

        That is the most segments retransmitted, then the highest ratio; groups below `min_ratio`
        (0 to 1) are left out.
        """
        retransmitted = self.column("segments_retransmitted")
        ratios = np.nan_to_num(self.ratios)
        order = np.lexsort((self.ids, -ratios, -retransmitted.astype(np.int64)))
        shown = self.values.any(axis=1) & (ratios >= min_ratio)
        return [int(row) for row in order if shown[row]]


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """One group's: `values` uint64[FIELDS]."""

    values: Counts

    @classmethod
    def empty(cls) -> Totals:
        """Return zeroes."""
        return cls(np.zeros(len(FIELDS), np.uint64))

    def __add__(self, other: Totals) -> Totals:
        """Return the totals of both."""
        return Totals(self.values + other.values)

    def since(self, earlier: Totals) -> Totals:
        """Return what was counted after `earlier`."""
        return Totals(_grown(self.values, earlier.values))

    def __getitem__(self, name: str) -> int:
        """One field."""
        return int(self.values[_AT[name]])

    def by_cause(self) -> dict[Cause, int]:
        """Return the segments of each cause."""
        return {cause: self[cause] for cause in CAUSES}

    @property
    def without_cause(self) -> int:
        """Segments that the kernel counted and of which no event told, neither why nor a failure.

        The two are counted one after the other, and may be read in between: never below 0.
        """
        seen = sum(self.by_cause().values()) + self["segments_failed"]
        return max(0, self["segments_retransmitted"] - seen)

    def unattributed(self, *, shows_errors: bool) -> int:
        """Segments whose cause was not seen; 0 where they may as well have failed.

        `shows_errors` says that events tell of failures, too.
        """
        return self.without_cause if shows_errors else 0

    @property
    def ratio(self) -> float | None:
        """The retransmission ratio, 0 to 1; None if nothing was sent."""
        value = float(ratio(self.values))
        return None if np.isnan(value) else value


def ratio(values: Counts) -> Floats:
    """Return the retransmission ratios of totals in the last axis, nan where nothing was sent.

    Segments without data (SYN, SYN-ACK, FIN) are not in `data_segs_out`, the kernel's count of what
    was sent: the retransmitted ones are added, so that no ratio is above 1.
    """
    retransmitted = values[..., _AT["segments_retransmitted"]].astype(np.float64)
    sent = values[..., _AT["segments_sent"]] + values[..., _AT["segments_control"]]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = retransmitted / sent
    return np.where(sent > 0, np.minimum(found, 1.0), np.nan)


TotalsSnapshot: TypeAlias = "Snapshot[TotalsTable, Totals]"
TotalsInterval: TypeAlias = "Interval[TotalsTable, Totals]"


def _grown(later: Counts, earlier: Counts) -> Counts:
    """Return the difference, 0 where the later one was read in the middle of an addition."""
    return np.asarray(later - np.minimum(earlier, later), np.uint64)
