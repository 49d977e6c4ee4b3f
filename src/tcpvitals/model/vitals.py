"""Everything that is counted at once, as it stood at one moment: what `serve` exposes.

All counters are since the start and only ever grow, but for what sums of them say about the order
in which they were read; whoever exposes them sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.model.key import Field, Grouping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tcpvitals.model.histogram import Counts, Flags
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.names import Names
    from tcpvitals.model.namespaces import Netns
    from tcpvitals.model.rtt import Counters, Distribution
    from tcpvitals.model.totals import Totals, TotalsTable
    from tcpvitals.model.verification import NamespaceReport

ENDS: Final = Grouping((Field.LADDR, Field.RADDR, Field.LPORT, Field.RPORT))
"""What tells flows apart."""


@dataclass(frozen=True, slots=True, eq=False)
class VitalsTotal:
    """What some groups have together; `live` are connections that are open now."""

    histograms: Mapping[Sample, Distribution]
    totals: Totals
    live: int

    def __add__(self, other: VitalsTotal) -> VitalsTotal:
        """Return what both have together."""
        return VitalsTotal(
            {sample: one + other.histograms[sample] for sample, one in self.histograms.items()},
            self.totals + other.totals,
            self.live + other.live,
        )


@dataclass(frozen=True, slots=True, eq=False)
class VitalsTable:
    """What each of G groups has: `ids` uint64[G] as in `Counters`, `live` uint64[G]."""

    ids: Counts
    histograms: Mapping[Sample, Counters]
    totals: TotalsTable
    live: Counts

    @property
    def counts(self) -> Counts:
        """What shows that a group is alive: uint64[G]."""
        samples = (one.counts for one in self.histograms.values())
        return np.asarray(sum(samples, start=self.totals.counts))

    @property
    def busy(self) -> Flags:
        """Which groups have connections, and so are not idle whatever they count: bool[G]."""
        return np.asarray(self.live > 0)

    def total(self) -> VitalsTotal:
        """All groups in one."""
        return VitalsTotal(
            {sample: counters.total() for sample, counters in self.histograms.items()},
            self.totals.total(),
            int(self.live.sum()),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FlowsTable:
    """Segments sent again by each of F flows: `ids` uint64[F], never used twice, and uint64[F]."""

    ids: Counts
    segments: Counts

    @property
    def counts(self) -> Counts:
        """What shows that a flow is alive."""
        return self.segments

    @property
    def busy(self) -> Flags:
        """None is kept for anything but what it counts."""
        return np.zeros(len(self.ids), np.bool_)

    def total(self) -> int:
        """All flows in one."""
        return int(self.segments.sum())


@dataclass(frozen=True, slots=True, eq=False)
class FlowsSnapshot:
    """Segments sent again, by the two ends of the connection.

    Each key has `laddr`, `raddr`, `lport` and `rport`; a port that was not to be told apart is 0.
    `other` are those of flows past `limit`, `retired` those of flows that were idle for so long
    that their place was given away: with them it is all there ever was.
    """

    keys: tuple[GroupKey, ...]
    table: FlowsTable
    other: int
    retired: int
    limit: int


@dataclass(frozen=True, slots=True)
class ProgramRuns:
    """What the kernel says of one BPF program; `runs` and `run_ns` are 0 unless it keeps them."""

    name: str
    runs: int
    run_ns: int
    skipped: int


@dataclass(frozen=True, slots=True, eq=False)
class VitalsSnapshot:
    """All there is to expose, at `taken_ns` (boot time); counted since `start_ns`.

    `keys` are in the order of `table`.  `other` and `retired` are as in `Snapshot`.  `namespaces`
    compares our count of each network namespace with the kernel's own, and `kernel` is that, by
    namespace and by name as in `nstat`.  `losses` is what was not counted, by reason.
    `host_netns` is the inode number of the host's own namespace, `shows_errors` is as in
    `TotalsPrint`, and `took_s` is how long it took to read all this.
    """

    start_ns: int
    taken_ns: int
    keys: tuple[GroupKey, ...]
    table: VitalsTable
    other: VitalsTotal
    retired: VitalsTotal
    groups_limit: int
    flows: FlowsSnapshot | None
    namespaces: tuple[NamespaceReport, ...]
    kernel: Mapping[Netns, Mapping[str, int]]
    losses: Mapping[str, int]
    programs: tuple[ProgramRuns, ...]
    names: Names
    host_netns: int
    shows_errors: bool
    took_s: float
