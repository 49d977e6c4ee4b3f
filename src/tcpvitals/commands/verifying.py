"""`--verify`: our totals of each network namespace beside the kernel's own, at each print."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.commands.naming import Naming
from tcpvitals.commands.output import output_errors
from tcpvitals.errors import UnexplainedError
from tcpvitals.kernel import netns_counters
from tcpvitals.model.totals import FIELDS, Totals
from tcpvitals.model.verification import Observation, has_unexplained, verify
from tcpvitals.sinks.verification import VerificationConsoleSink, VerificationJsonSink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tcpvitals.kernel.netns_counters import NetnsCounters
    from tcpvitals.sources.live import LiveSockets

    Kernel = Mapping[int, NetnsCounters]
    Ours = Mapping[tuple[int, int], Totals]

# Where packets never stop, no two readings are of the same moment: then the difference is told.
_TRIES: Final = 5


class Verifier:
    """Compares, shows, and remembers whether anything was left without an explanation."""

    def __init__(self, stream: TextIO, *, json: bool, shows_errors: bool) -> None:
        """Make one for a run; it reads nothing until `before_attaching`."""
        self._sink = (
            VerificationJsonSink(stream=stream) if json else VerificationConsoleSink(stream=stream)
        )
        self._shows_errors = shows_errors
        self._naming = Naming()
        self._before: Kernel | None = None
        self._after: Kernel = {}
        self._unexplained = False

    def before_attaching(self) -> None:
        """Read where the kernel's counters stand, just before anything is attached."""
        self._before = netns_counters.read_all()

    def after_attaching(self) -> None:
        """And just after."""
        self._after = netns_counters.read_all()

    def show(self, live: LiveSockets) -> None:
        """Compare, if that was asked for, and show it."""
        if self._before is None:
            return
        observations = self._observe(live)
        reports = verify(
            observations,
            shows_errors=self._shows_errors,
            skipped=live.losses()["recursion"],
        )
        self._unexplained |= has_unexplained(reports)
        names = self._naming.names({report.inode for report in reports})
        with output_errors():
            self._sink.show(reports, dt.datetime.now().astimezone(), names)

    def check(self) -> None:
        """At the end.

        Raises:
            UnexplainedError: a difference was left without an explanation.
        """
        if self._unexplained:
            message = "the kernel's counters differ from ours, and nothing explains it"
            raise UnexplainedError(message)

    def _observe(self, live: LiveSockets) -> list[Observation]:
        """Read ours between two readings of the kernel's; again if it went on meanwhile."""
        low, ours, high = self._read(live, netns_counters.read_all())
        for _ in range(_TRIES - 1):
            if low == high:
                break
            low, ours, high = self._read(live, high)
        return [
            self._observation(inode, cookie, totals, low, high)
            for (inode, cookie), totals in _complete(ours, high).items()
        ]

    @staticmethod
    def _read(live: LiveSockets, low: Kernel) -> tuple[Kernel, Ours, Kernel]:
        """Ours, and the kernel's before and after it."""
        return low, live.namespaces(), netns_counters.read_all()

    def _observation(
        self, inode: int, cookie: int, totals: Totals, low: Kernel, high: Kernel
    ) -> Observation:
        return Observation(
            inode=inode,
            ours={name: totals[name] for name in FIELDS},
            before=_counters(self._before or {}, inode, cookie) or {},
            after=_counters(self._after, inode, cookie) or {},
            now_low=_counters(low, inode, cookie) or {},
            now_high=_counters(high, inode, cookie),
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
