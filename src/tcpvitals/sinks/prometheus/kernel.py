"""The kernel's own counters of each network namespace, and how far ours are from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.sinks.prometheus.labels import Labels, netns_label
from tcpvitals.sinks.prometheus.table import Family, Table, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tcpvitals.model.verification import NamespaceReport
    from tcpvitals.model.vitals import VitalsSnapshot

SHOWN: Final = (
    "RetransSegs",
    "TCPSynRetrans",
    "TCPRetransFail",
    "TCPTimeouts",
    "TCPLossProbes",
    "TCPFastRetrans",
    "TCPSlowStartRetrans",
)
"""The counters that have something to do with retransmissions."""

COUNTS: Final = Family(
    "tcpvitals_kernel_counts",
    "counter",
    "The kernel's own counters, since the network namespace began.",
)
DIFFERENCE: Final = Family(
    "tcpvitals_kernel_difference_segments",
    "gauge",
    "Our count less the kernel's, since tcpvitals started.",
)
UNEXPLAINED: Final = Family(
    "tcpvitals_kernel_unexplained_differences",
    "gauge",
    "How many of the kernel's counters differ from ours for no known reason.",
)


def tables(snapshot: VitalsSnapshot) -> Iterator[Table]:
    """Return the tables of a snapshot; a namespace that is gone has no series."""
    reports = {netns_label(one.inode, snapshot.host_netns): one for one in snapshot.namespaces}
    yield rows(COUNTS, _counts(snapshot))
    yield rows(DIFFERENCE, _differences(reports))
    yield rows(
        UNEXPLAINED,
        {Labels.of([("netns", netns)]): _unexplained(one) for netns, one in reports.items()},
    )


def _counts(snapshot: VitalsSnapshot) -> dict[Labels, float]:
    return {
        _labels(netns_label(one.inode, snapshot.host_netns), counter): value
        for one, counters in snapshot.kernel.items()
        for counter, value in _by_short_name(counters.items())
        if counter in SHOWN
    }


def _by_short_name(counters: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for name, value in counters:
        yield name.removeprefix("TcpExt").removeprefix("Tcp"), value


def _differences(reports: dict[str, NamespaceReport]) -> dict[Labels, float]:
    return {
        _labels(netns, one.counter): one.difference
        for netns, report in reports.items()
        for one in report.comparisons
    }


def _unexplained(report: NamespaceReport) -> float:
    return sum(one.status == "unexplained" for one in report.comparisons)


def _labels(netns: str, counter: str) -> Labels:
    return Labels.of([("netns", netns), ("counter", counter)])
