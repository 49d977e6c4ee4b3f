"""The metric families of groups: names, help, and which figures they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.model.measurement import Sample
from tcpvitals.model.totals import CAUSES
from tcpvitals.sinks.prometheus.table import Family, Line

if TYPE_CHECKING:
    from tcpvitals.sinks.prometheus.edges import Edges

NO_CAUSE: Final = ("failed", "unattributed")
"""Beside the causes: what did not leave this host, and what no event reported."""

_HISTOGRAMS: Final = {
    Sample.RTT: ("tcpvitals_rtt_seconds", "Round trips, one sample for each ACK that took one."),
    Sample.NETWORK: (
        "tcpvitals_network_rtt_seconds",
        "Round trips whose ACK had to be sent at once: no delayed ACK and no application in them.",
    ),
    Sample.SRTT: (
        "tcpvitals_srtt_seconds",
        "The kernel's smoothed round-trip time, at every received segment.",
    ),
    Sample.INFLATION: (
        "tcpvitals_rtt_inflation_seconds",
        "How far network round trips are above the connection's own minimum: time spent in queues.",
    ),
}


def histogram(sample: Sample, edges: Edges) -> Family:
    """Return the histogram of a sample, with these edges."""
    name, documentation = _HISTOGRAMS[sample]
    buckets = (Line("_bucket", "le", le) for le in edges.le)
    lines = (*buckets, Line("_count"), Line("_sum"))
    return Family(name, "histogram", documentation, "seconds", lines)


BY_CAUSE: Final = Family(
    "tcpvitals_retransmitted_segments",
    "counter",
    "Segments retransmitted, by cause; their sum is what the kernel counts as RetransSegs.",
    lines=tuple(Line("_total", "cause", cause) for cause in (*CAUSES, *NO_CAUSE)),
)

BY_FIELD: Final = {
    Family(
        "tcpvitals_sent_segments",
        "counter",
        "Segments with data that were sent, those sent again included.",
    ): "segments_sent",
    Family(
        "tcpvitals_sent_bytes",
        "counter",
        "Payload that was sent, what was sent again included.",
        "bytes",
    ): "bytes_sent",
    Family(
        "tcpvitals_retransmitted_bytes", "counter", "Payload that was sent again.", "bytes"
    ): "bytes_retransmitted",
    Family(
        "tcpvitals_unnecessary_retransmitted_segments",
        "counter",
        "Segments sent again that the other end says it had already (D-SACK).",
    ): "segments_unnecessary",
    Family(
        "tcpvitals_retransmitted_control_segments",
        "counter",
        "Segments without data sent again: SYN, SYN-ACK, FIN.",
    ): "segments_control",
    Family(
        "tcpvitals_connections_opened", "counter", "Connections that were established."
    ): "connections_opened",
    Family(
        "tcpvitals_connections_closed", "counter", "Connections that were established and ended."
    ): "connections_closed",
    Family(
        "tcpvitals_connections_failed", "counter", "Attempts to connect that came to nothing."
    ): "connections_failed",
}
"""Counters that are just one of the totals."""

FAILED: Final = Family(
    "tcpvitals_failed_retransmitted_segments",
    "counter",
    "Segments sent again that did not leave this host.",
)

LIVE: Final = Family(
    "tcpvitals_connections", "gauge", "Connections that are open now, as the kernel's CurrEstab."
)
