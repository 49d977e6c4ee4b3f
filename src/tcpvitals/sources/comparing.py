"""Our totals of each network namespace beside the kernel's own: what is read, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from tcpvitals.model.totals import FIELDS, Totals
from tcpvitals.model.verification import Gone, Observation, Verification, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tcpvitals.model.expectations import Missed
    from tcpvitals.model.namespaces import NamespaceTotals, Netns

    Kernel: TypeAlias = Mapping[Netns, Mapping[str, int]]

_BASELINE_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class _Look:
    """Ours, read between two readings of the kernel's."""

    low: Kernel
    ours: NamespaceTotals
    high: Kernel

    @property
    def moved(self) -> int:
        """How much the kernel's counters moved meanwhile."""
        return sum(
            value - self.low.get(one, {}).get(counter, 0)
            for one, counters in self.high.items()
            for counter, value in counters.items()
        )

    def ours_of(self, one: Netns) -> Totals:
        return self.ours.each.get(one, _NOTHING)


@dataclass(frozen=True, slots=True)
class _Baseline:
    """Where both stood when the comparison of a namespace began; nothing for one born later.

    `retirements` says how often our totals of it had been retired by then.
    """

    ours: Totals
    low: Mapping[str, int]
    high: Mapping[str, int]
    retirements: int = 0


_NOTHING: Final = Totals.empty()
_BORN: Final = _Baseline(_NOTHING, {}, {})


class Comparer:
    """Remembers where both sides stood right after attaching, and compares what came since."""

    def __init__(
        self,
        read: Callable[[], Kernel],
        ours: Callable[[], NamespaceTotals],
        *,
        shows_errors: bool,
        tries: int,
    ) -> None:
        """Compare `ours` with what `read` reads of the kernel.

        Ours are read between two readings of the kernel's; where packets never stop, no two are of
        the same moment: it is tried again so often, and the calmest reading is compared.
        """
        self._read_kernel, self._read_ours = read, ours
        self._shows_errors, self._tries = shows_errors, tries
        # None: could not be read when we attached.
        self._baselines: dict[Netns, _Baseline | None] = {}
        self.kernel: Kernel = {}

    def begin(self) -> None:
        """Read where both sides stand: everything is attached by now."""
        look = self._look(_BASELINE_TRIES)
        hidden = dict.fromkeys(look.ours.each)
        self._baselines = {**hidden, **{one: _baseline(one, look) for one in look.high}}

    def compare(self, missed: Callable[[], Missed]) -> Verification:
        """Compare; `kernel` is then the newest reading.

        Args:
            missed: reads what our programs did not see.
        """
        look = self._look(self._tries)
        self._forget_the_dead(look.high)
        reports = verify(
            [self._observation(one, look) for one in look.high if one.cookie],
            shows_errors=self._shows_errors,
            missed=missed(),
            overflow=_overflow(look.ours.other),
        )
        unknown = tuple(one.inode for one in look.high if not one.cookie)
        return Verification(tuple(reports), unknown, _gone(look))

    def _look(self, tries: int) -> _Look:
        """The calmest of so many readings, or the first in which nothing moved."""
        best = look = _Look(self._read_kernel(), self._read_ours(), self._read_kernel())
        for _ in range(tries - 1):
            if not best.moved:
                break
            look = _Look(look.high, self._read_ours(), self._read_kernel())
            best = min(best, look, key=lambda one: one.moved)
        self.kernel = look.high
        return best

    def _observation(self, one: Netns, look: _Look) -> Observation:
        base = self._baselines.get(one, _BORN)
        if base is None or base.retirements != look.ours.retirements.get(one, 0):
            base = self._baselines[one] = _baseline(one, look)
        ours = look.ours_of(one)
        return Observation(
            inode=one.inode,
            ours={name: ours[name] - base.ours[name] for name in FIELDS},
            base_low=base.low,
            base_high=base.high,
            now_low=look.low.get(one, {}),
            now_high=look.high[one],
        )

    def _forget_the_dead(self, kernel: Kernel) -> None:
        """Where an inode number has been used again, the baseline before is of no use."""
        newest = {one.inode: one.cookie for one in kernel}
        self._baselines = {
            one: base
            for one, base in self._baselines.items()
            if newest.get(one.inode, one.cookie) in {one.cookie, 0}
        }


def _overflow(other: Totals) -> dict[str, int]:
    return {name: other[name] for name in FIELDS} if other.values.any() else {}


def _baseline(one: Netns, look: _Look) -> _Baseline:
    retirements = look.ours.retirements.get(one, 0)
    return _Baseline(look.ours_of(one), look.low.get(one, {}), look.high[one], retirements)


def _gone(look: _Look) -> Gone:
    """All that we counted in and that cannot be read any more, whether or not it has a slot yet."""
    readable = {*look.high, *(one.inode for one in look.high if not one.cookie)}
    left = [totals for one, totals in look.ours.each.items() if not {one, one.inode} & readable]
    total = sum(left, start=look.ours.retired)
    return Gone(len(left) + look.ours.gone, total)
