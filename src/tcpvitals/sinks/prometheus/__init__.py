"""Where figures go that a Prometheus scrapes: snapshots become text, in either of its formats.

The only room that imports prometheus_client.  HTTP is not its business: `Exposition` returns bytes.
`table` and `text` are how families are written; `groups`, `flows`, `kernel`, `names` and `own` are
which ones there are.
"""

from __future__ import annotations

from tcpvitals.sinks.prometheus.edges import Edges, edges_for, usual_edges
from tcpvitals.sinks.prometheus.exposition import Exposition, Options

__all__ = ["Edges", "Exposition", "Options", "edges_for", "usual_edges"]
