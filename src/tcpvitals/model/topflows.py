"""Which flows have a series of their own, when not all can have one.

There may be far more flows than a Prometheus should keep.  At most `limit` of them are shown one
by one, and the rest in two sums, so that nothing is ever missing:

    shown + other + retired == all flows + the snapshot's other + the snapshot's retired

and no figure ever goes backwards, except by disappearing.

The scheme: a shown flow grows by what it counted since the last look.  One that is shown as soon as
it is seen begins with all it has; one that is shown later, when a place is free, begins with what
it counted since the last look, and what it had before stays in `other`, where it was.  When a shown
flow disappears, what it showed moves to `retired`, and `other` is what is left of the whole.  The
whole only grows, each shown flow takes from it just what it grew by, and `retired` just what is no
longer shown: so `other` only grows, too.  How the snapshot divides the rest does not matter.

A flow keeps its place until the kernel half forgets it, or until one without a place has more than
twice its segments: so often can a place not change hands, and two flows never take it in turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.ratchet import Ratchet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.vitals import FlowsSnapshot


@dataclass(frozen=True, slots=True)
class ShownFlows:
    """The segments of each flow that is shown, each key once, and of all others."""

    flows: tuple[tuple[GroupKey, int], ...]
    other: int
    retired: int


@dataclass(slots=True)
class _Shown:
    """A flow that is shown; more than one identity when several namespaces have the same ends."""

    value: int
    ids: list[int]


@dataclass(frozen=True, slots=True)
class _Look:
    """A snapshot beside the one before: what each flow has, and grew by."""

    keys: tuple[GroupKey, ...]
    ids: list[int]
    row_of: dict[int, int]
    segments: Counts
    growth: list[int]

    def grown(self, ids: list[int]) -> int:
        return sum(self.growth[self.row_of[one]] for one in ids)

    def has(self, ids: list[int]) -> int:
        return sum(int(self.segments[self.row_of[one]]) for one in ids)


class TopFlows:
    """Chooses at most `limit` flows, and remembers what it has shown."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing shown."""
        self._limit = limit
        self._ratchet = Ratchet(1)
        self._shown: dict[GroupKey, _Shown] = {}
        self._retired = 0
        self._total = 0

    def allow(self, limit: int) -> None:
        """Show at most so many from the next snapshot on; those with the fewest segments go."""
        self._limit = limit

    def choose(self, snapshot: FlowsSnapshot) -> ShownFlows:
        """Return what to show of a snapshot, which is later than all before."""
        look = self._look(snapshot)
        self._follow(look)
        left = self._shrink(look)
        self._promote(look, left)
        whole = int(look.segments.sum()) + snapshot.other + snapshot.retired
        self._total = max(self._total, whole)
        shown = sum(one.value for one in self._shown.values())
        return ShownFlows(
            tuple((key, one.value) for key, one in self._shown.items()),
            self._total - shown - self._retired,
            self._retired,
        )

    def _look(self, snapshot: FlowsSnapshot) -> _Look:
        before = self._ratchet.held
        ids = snapshot.table.ids
        held = self._ratchet.hold(ids, snapshot.table.segments[:, np.newaxis])
        growth = held - before.placed(ids)
        listed: list[int] = ids.tolist()
        return _Look(
            snapshot.keys,
            listed,
            {one: row for row, one in enumerate(listed)},
            held[:, 0],
            growth[:, 0].tolist(),
        )

    def _follow(self, look: _Look) -> None:
        """Add what the shown flows grew by, and drop those that are gone."""
        orphans = set()
        for key, one in self._shown.items():
            one.ids = [each for each in one.ids if each in look.row_of]
            one.value += look.grown(one.ids)
            if not one.ids:
                orphans.add(key)
        if orphans:
            self._adopt(look, orphans)
            for key in orphans:
                self._drop(key)

    def _adopt(self, look: _Look, orphans: set[GroupKey]) -> None:
        """Let a flow whose ends another one has, too, go on with that; the others are left."""
        for row, key in enumerate(look.keys):
            if key in orphans:
                self._join(look, row)
                orphans.discard(key)

    def _shrink(self, look: _Look) -> set[GroupKey]:
        """Take places away that are no longer allowed, and return who had them."""
        surplus = max(len(self._shown) - self._limit, 0)
        left = {key for _, key in islice(self._places(look), surplus)}
        for key in left:
            self._drop(key)
        return left

    def _promote(self, look: _Look, left: set[GroupKey]) -> None:
        """Give places to flows without one, the greatest first, as long as they deserve it.

        None of those that have just `left` gets one: its series has to disappear first.
        """
        places = self._places(look)
        for row in self._hidden(look):
            key = look.keys[row]
            if key in self._shown:
                self._join(look, row)
            elif key not in left:
                if not self._make_room(int(look.segments[row]), places, left):
                    break
                self._shown[key] = _Shown(look.growth[row], [look.ids[row]])

    def _hidden(self, look: _Look) -> list[int]:
        shown = [look.row_of[each] for one in self._shown.values() for each in one.ids]
        hidden = np.ones(len(look.ids), np.bool_)
        hidden[shown] = False
        rows = np.flatnonzero(hidden)
        order = np.argsort(-look.segments[rows].astype(np.int64), kind="stable")
        chosen: list[int] = rows[order].tolist()
        return chosen

    def _places(self, look: _Look) -> Iterator[tuple[int, GroupKey]]:
        """The flows that have a place now, the least first."""
        having = [(look.has(one.ids), key) for key, one in self._shown.items()]
        return iter(sorted(having, key=lambda pair: pair[0]))

    def _make_room(
        self, segments: int, places: Iterator[tuple[int, GroupKey]], left: set[GroupKey]
    ) -> bool:
        """Make sure that there is a free place for a flow with so many segments, if it may be."""
        if len(self._shown) < self._limit:
            return True
        least, key = next(places, (segments, None))
        if key is None or segments <= 2 * least:
            return False
        self._drop(key)
        left.add(key)
        return True

    def _join(self, look: _Look, row: int) -> None:
        """Count another identity of a shown flow with it."""
        one = self._shown[look.keys[row]]
        one.ids.append(look.ids[row])
        one.value += look.growth[row]

    def _drop(self, key: GroupKey) -> None:
        self._retired += self._shown.pop(key).value
