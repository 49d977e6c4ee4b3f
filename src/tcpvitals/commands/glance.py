"""What `serve` shows of a refresh: round trips and retransmissions of the network, worst first.

The network is what is neither loopback nor a request to `serve` itself: a host that is only asked
for its metrics has none.  As far as `--by` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.key import Field, Role
from tcpvitals.model.rtt_report import RttPrint
from tcpvitals.model.scope import Scope
from tcpvitals.model.snapshot import Snapshot, between
from tcpvitals.model.totals_report import TotalsPrint

if TYPE_CHECKING:
    import datetime as dt

    from tcpvitals.model.key import Grouping, GroupKey
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.names import Names
    from tcpvitals.model.rtt import Counters, Distribution
    from tcpvitals.model.totals import Totals, TotalsTable
    from tcpvitals.model.vitals import VitalsSnapshot


def is_network(key: GroupKey, port: int) -> bool:
    """Return whether a group may be of the network; `port` is the one that `serve` listens on."""
    is_request = key.service == port and key.role is not Role.CLIENT
    return key.scope is not Scope.LOOPBACK and not is_request


def left_out(grouping: Grouping, port: int) -> str:
    """Return what `is_network` can leave out with this grouping, "" if nothing."""
    parts = ["loopback"] if Field.SCOPE in grouping.fields else []
    if Field.SERVICE in grouping.fields:
        parts.append(f"requests to port {port}")
    return " and ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """The groups of the network in one snapshot."""

    rtt: Snapshot[Counters, Distribution]
    totals: Snapshot[TotalsTable, Totals]
    start_ns: int
    names: Names
    shows_errors: bool

    @classmethod
    def of(cls, snapshot: VitalsSnapshot, sample: Sample, port: int) -> Glance:
        """Take what is of the network out of a snapshot; round trips are of this sample."""
        keys = snapshot.keys
        table = snapshot.table
        rows = np.flatnonzero([is_network(key, port) for key in keys])
        chosen = tuple(keys[row] for row in rows)
        rtt = Snapshot(
            taken_ns=snapshot.taken_ns,
            keys=chosen,
            table=table.histograms[sample].take(rows),
            other=snapshot.other.histograms[sample],
            retired=snapshot.retired.histograms[sample],
            losses=snapshot.losses,
            groups_limit=snapshot.groups_limit,
        )
        totals = Snapshot(
            taken_ns=snapshot.taken_ns,
            keys=chosen,
            table=table.totals.take(rows),
            other=snapshot.other.totals,
            retired=snapshot.retired.totals,
            losses={},  # those of round trips are shown above
            groups_limit=snapshot.groups_limit,
        )
        return cls(rtt, totals, snapshot.start_ns, snapshot.names, snapshot.shows_errors)

    def has_moved(self, before: Glance | None) -> bool:
        """Return whether the network did anything after another glance, or at all."""
        if before is None:
            counts = (self.rtt.table.counts, self.totals.table.counts)
        else:
            rtt, totals = between(self.rtt, before.rtt), between(self.totals, before.totals)
            counts = (rtt.table.counts, totals.table.counts)
        return any(bool(one.any()) for one in counts)

    def round_trips(self, before: Glance | None, wall: dt.datetime) -> RttPrint:
        """Return those since the start, the busiest after another glance first."""
        cumulative = self.rtt.since_start(self.start_ns)
        recent = between(self.rtt, before.rtt) if before else cumulative
        return RttPrint(wall, cumulative, recent, delta=False, names=self.names)

    def retransmissions(self, wall: dt.datetime) -> TotalsPrint:
        """Return those since the start."""
        cumulative = self.totals.since_start(self.start_ns)
        return TotalsPrint(
            wall,
            cumulative,
            cumulative,
            delta=False,
            names=self.names,
            min_ratio=0.0,
            shows_errors=self.shows_errors,
        )
