"""Our totals of each network namespace beside the kernel's own: what is read, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from tcpvitals.model.totals import FIELDS, Totals
from tcpvitals.model.verification import Observation, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tcpvitals.kernel.netns_counters import NetnsCounters
    from tcpvitals.model.verification import NamespaceReport

    Kernel: TypeAlias = Mapping[int, NetnsCounters]
    Ours: TypeAlias = Mapping[tuple[int, int], Totals]


class Comparer:
    """Remembers where the kernel's counters stood when we attached, and compares from there on."""

    def __init__(self, read: Callable[[], Kernel], *, shows_errors: bool, tries: int) -> None:
        """Compare with what `read` reads of the kernel.

        Ours are read between two readings of the kernel's; where packets never stop, no two are of
        the same moment: it is tried again so often, and then the difference is told.
        """
        self._read_kernel = read
        self._shows_errors = shows_errors
        self._tries = tries
        self._before: Kernel = {}
        self._after: Kernel = {}
        self.kernel: Kernel = {}

    def before_attaching(self) -> None:
        """Read where the kernel's counters stand, just before anything is attached."""
        self._before = self._read_kernel()

    def after_attaching(self) -> None:
        """And just after."""
        self._after = self._read_kernel()

    def compare(
        self, ours: Callable[[], Ours], skipped: Callable[[], int]
    ) -> list[NamespaceReport]:
        """Compare; `kernel` is then the newest reading.

        Args:
            ours: reads our totals of each namespace, by inode number and cookie.
            skipped: reads how many runs of our programs the kernel skipped.
        """
        low = self._read_kernel()
        totals, high = ours(), self._read_kernel()
        for _ in range(self._tries - 1):
            if low == high:
                break
            low, totals, high = high, ours(), self._read_kernel()
        self.kernel = high
        observations = [
            self._observation(inode, cookie, found, low)
            for (inode, cookie), found in _complete(totals, high).items()
        ]
        return verify(observations, shows_errors=self._shows_errors, skipped=skipped())

    def _observation(self, inode: int, cookie: int, totals: Totals, low: Kernel) -> Observation:
        return Observation(
            inode=inode,
            ours={name: totals[name] for name in FIELDS},
            before=_counters(self._before, inode, cookie) or {},
            after=_counters(self._after, inode, cookie) or {},
            now_low=_counters(low, inode, cookie) or {},
            now_high=_counters(self.kernel, inode, cookie),
        )


def _counters(kernel: Kernel, inode: int, cookie: int) -> Mapping[str, int] | None:
    """The kernel's counters of a namespace, unless another has its inode number by now."""
    found = kernel.get(inode)
    same = found and (not cookie or not found.cookie or cookie == found.cookie)
    return found.counters if found and same else None


def _complete(ours: Ours, kernel: Kernel) -> dict[tuple[int, int], Totals]:
    """All that we counted in, and all in which the kernel may have counted without us."""
    inodes = {inode for inode, _ in ours}
    missing = {(one.inode, one.cookie) for one in kernel.values() if one.inode not in inodes}
    return {**ours, **dict.fromkeys(missing, Totals.empty())}
