"""`tcp_retransmissions_total`: segments sent again, by the two ends of the connection.

The name, the labels and the help are those that existing dashboards know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.model.topflows import TopFlows
from tcpvitals.sinks.prometheus.labels import OTHER, RETIRED, Labels
from tcpvitals.sinks.prometheus.table import Family, Table, rows, single

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.vitals import FlowsSnapshot

_NAMES: Final = ("ip_version", "src_ip", "src_port", "dst_ip", "dst_port")

SEGMENTS: Final = Family("tcp_retransmissions", "counter", "Total number of TCP retransmissions")
KNOWN: Final = Family(
    "tcpvitals_flows", "gauge", "Flows whose retransmissions are counted one by one."
)
LIMIT: Final = Family("tcpvitals_flows_limit", "gauge", "How many flows may be counted one by one.")


class Flows:
    """Makes tables of snapshots; remembers which flows it has shown."""

    def __init__(self, limit: int) -> None:
        """Show at most so many flows one by one."""
        self._top = TopFlows(limit)
        self._labels: dict[GroupKey, Labels] = {}

    def allow(self, limit: int) -> None:
        """Show at most so many from the next snapshot on."""
        self._top.allow(limit)

    def tables(self, snapshot: FlowsSnapshot | None) -> Iterator[Table]:
        """Return the tables of a snapshot, none if flows are not counted."""
        if snapshot is None:
            return
        shown = self._top.choose(snapshot)
        known = self._labels
        self._labels = {key: known.get(key) or _labels(key) for key, _ in shown.flows}
        values = {self._labels[key]: float(segments) for key, segments in shown.flows}
        values |= {_sum(OTHER): float(shown.other), _sum(RETIRED): float(shown.retired)}
        yield rows(SEGMENTS, values)
        yield single(KNOWN, len(snapshot.keys))
        yield single(LIMIT, snapshot.limit)


def _labels(key: GroupKey) -> Labels:
    version = key.raddr.version if key.raddr is not None else ""
    values = (version, key.laddr, key.lport, key.raddr, key.rport)
    texts = ("" if value is None else str(value) for value in values)
    return Labels.of(zip(_NAMES, texts, strict=True))


def _sum(of: str) -> Labels:
    return Labels.of((name, of) for name in _NAMES)
