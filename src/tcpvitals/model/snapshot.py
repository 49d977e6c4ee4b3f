"""Counters as they stood at one moment, and what happened between two moments.

Counters only ever grow, so an interval is a subtraction: nothing is lost by looking.  Groups are
rows of a table, never objects, so the work depends on numpy and not on how many groups there are.
What a table counts, and how it is subtracted, is the table's to know: `rtt`, `totals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from tcpvitals.model.histogram import Counts, Indices
    from tcpvitals.model.key import GroupKey

Rows: TypeAlias = "Indices | slice"


class Sum(Protocol):
    """What some groups counted together."""

    def __add__(self, other: Self, /) -> Self:
        """Return what both counted."""

    def since(self, earlier: Self) -> Self:
        """Return what was counted after `earlier`."""


_Total = TypeVar("_Total", bound=Sum)
_Total_co = TypeVar("_Total_co", bound=Sum, covariant=True)


class Table(Protocol[_Total_co]):
    """What each of G groups counted."""

    @property
    def ids(self) -> Counts:
        """Who they are: uint64[G], slot << 32 | generation, never used twice."""

    def __len__(self) -> int:
        """Return how many groups there are."""

    def total(self) -> _Total_co:
        """Return all groups in one."""

    def take(self, rows: Indices) -> Self:
        """Return the groups at these rows, in this order."""

    def since(self, earlier: Self, rows: Rows) -> Self:
        """Return what was counted after `earlier`, whose groups are at these rows here."""


_Table = TypeVar("_Table", bound=Table[Any])


# Arrays have no single truth value, so these classes cannot have the usual equality: eq=False.
@dataclass(frozen=True, slots=True, eq=False)
class Snapshot(Generic[_Table, _Total]):
    """All that was counted since the programs were attached, up to `taken_ns` (boot time).

    `keys` are in the order of `table`.  `other` has what groups past `groups_limit` counted,
    `retired` what those did that were idle for so long that their slot was given away, `losses`
    what was not counted, by reason.
    """

    taken_ns: int
    keys: tuple[GroupKey, ...]
    table: _Table
    other: _Total
    retired: _Total
    losses: Mapping[str, int]
    groups_limit: int

    def __post_init__(self) -> None:
        """Refuse keys and a table of different length, with a ValueError."""
        if len(self.keys) != len(self.table):
            message = f"{len(self.keys)} keys for a table of {len(self.table)} groups"
            raise ValueError(message)

    def total(self) -> _Total:
        """Return everything that was counted."""
        known: _Total = self.table.total()
        return known + self.other + self.retired

    def since_start(self, start_ns: int) -> Interval[_Table, _Total]:
        """Return the interval from the beginning: nothing is subtracted, every figure is exact."""
        return Interval(
            start_ns,
            self.taken_ns,
            self.keys,
            self.table,
            self.other,
            self.retired,
            self.losses,
            self.groups_limit,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Interval(Generic[_Table, _Total]):
    """What was counted from `start_ns` to `end_ns` (boot time); the rest is as in a `Snapshot`."""

    start_ns: int
    end_ns: int
    keys: tuple[GroupKey, ...]
    table: _Table
    other: _Total
    retired: _Total
    losses: Mapping[str, int]
    groups_limit: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.end_ns - self.start_ns) / 1e9

    def total(self) -> _Total:
        """Return everything that was counted."""
        known: _Total = self.table.total()
        return known + self.other + self.retired


def between(
    later: Snapshot[_Table, _Total], earlier: Snapshot[_Table, _Total]
) -> Interval[_Table, _Total]:
    """Return what was counted after `earlier` and up to `later`.

    Groups are matched by identity.  One that is gone has been added to `later.retired`, so what
    it had before is taken off there: the interval's total is exactly the difference of totals.

    Raises:
        ValueError: `later` is not later, or not of the same run.
    """
    if later.taken_ns < earlier.taken_ns:
        message = "the snapshots are not two of one run, in order"
        raise ValueError(message)
    stayed, rows, left = _parted(earlier.table, later.table)
    gone: _Total = left.total()
    return Interval(
        earlier.taken_ns,
        later.taken_ns,
        later.keys,
        later.table.since(stayed, rows),
        later.other.since(earlier.other),
        later.retired.since(earlier.retired + gone),
        _lost_since(later.losses, earlier.losses),
        later.groups_limit,
    )


def intervals(
    snapshots: Iterable[Snapshot[_Table, _Total]], start_ns: int
) -> Iterator[tuple[Interval[_Table, _Total], Interval[_Table, _Total]]]:
    """Return, for each snapshot, what came since the start and what since the one before."""
    earlier = None
    for now in snapshots:
        cumulative = now.since_start(start_ns)
        yield cumulative, between(now, earlier) if earlier else cumulative
        earlier = now


def _parted(earlier: _Table, later: _Table) -> tuple[_Table, Rows, _Table]:
    """Return the groups that stayed, their rows in the later table, and those that are gone."""
    # As a rule nobody comes or goes, and megabytes need not be moved.
    if np.array_equal(earlier.ids, later.ids):
        return earlier, slice(None), earlier.take(np.zeros(0, np.intp))
    _, before, rows = np.intersect1d(
        earlier.ids, later.ids, assume_unique=True, return_indices=True
    )
    gone = np.delete(np.arange(len(earlier)), before)
    return earlier.take(before), rows, earlier.take(gone)


def _lost_since(later: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    lost = {
        reason: later.get(reason, 0) - earlier.get(reason, 0) for reason in {**earlier, **later}
    }
    if any(count < 0 for count in lost.values()):
        message = f"a loss counter ran backwards: {lost}"
        raise ValueError(message)
    return lost
