"""The newest snapshot as Prometheus wants it: `show` takes it, `render` writes it.

Nothing is done for a snapshot that nobody asks for, but to note which retransmissions have no cause
yet.  What was written is kept until the next snapshot, so ten scrapers cost as much as one.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector

from tcpvitals.model.measurement import USUAL_HISTOGRAMS
from tcpvitals.model.ratchet import Settled
from tcpvitals.sinks.prometheus import kernel, names, own
from tcpvitals.sinks.prometheus.edges import Edges, same_edges, usual_edges
from tcpvitals.sinks.prometheus.flows import Flows
from tcpvitals.sinks.prometheus.groups import Groups, all_totals, without_cause
from tcpvitals.sinks.prometheus.negotiation import choose
from tcpvitals.sinks.prometheus.page import Page
from tcpvitals.sinks.prometheus.series import with_sums

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot
    from tcpvitals.sinks.prometheus.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What does not change while the exporter runs.

    `kernel` and `attach` are what `tcpvitals_build_info` says.  There is a histogram of each sample
    that has `edges`; the snapshots have them all.  `wall` turns boot time (ns) into time of day.
    At most `flows_shown` flows have a series of their own.
    """

    grouping: Grouping
    version: str
    kernel: str
    attach: str
    wall: Callable[[int], dt.datetime]
    edges: Mapping[Sample, Edges] = field(default_factory=lambda: usual_edges(USUAL_HISTOGRAMS))
    flows_shown: int = 500


@dataclass(frozen=True, slots=True, eq=False)
class _Newest:
    number: int  # from 1
    snapshot: VitalsSnapshot
    unknown: Counts


class Exposition:
    """Shows the newest snapshot to any number of scrapers, from any thread.

    It is also a Collector of prometheus_client.
    """

    def __init__(self, options: Options, clock: Callable[[], float] = time.perf_counter) -> None:
        """Begin without a snapshot; `clock` (s) is what writing is timed with."""
        self._options, self._clock = options, clock
        self._settled = Settled()
        self._newest: _Newest | None = None
        self._finished: dict[tuple[bool, bool], tuple[int, bytes]] = {}
        # What follows belongs to whoever has the lock.
        self._lock = threading.Lock()
        self._edges = options.edges
        self._groups = Groups(options.grouping, options.edges)
        self._flows = Flows(options.flows_shown)
        self._process = ProcessCollector(registry=None)
        self._page: Page | None = None
        self._page_of: _Newest | None = None
        self._took_s: float | None = None

    def show(self, snapshot: VitalsSnapshot) -> None:
        """Take a snapshot, which is later than all before; never waits.  From one thread only."""
        unknown = without_cause(all_totals(snapshot))
        ids = with_sums(snapshot.table.ids)
        settled = self._settled.settle(ids, unknown, heir=-1)
        number = self._newest.number + 1 if self._newest else 1
        self._newest = _Newest(number, snapshot, settled)

    def change(self, edges: Mapping[Sample, Edges], flows_shown: int) -> None:
        """Show histograms with other edges, and more flows or fewer, from the next scrape on.

        Other edges are other series.  Of histograms whose group had come back, what it had before
        is in `retired` from then on; nothing else is lost.
        """
        with self._lock:
            if not same_edges(edges, self._edges):
                self._groups.fold(edges)
            self._edges = edges
            self._flows.allow(flows_shown)
            self._page = None
            self._finished.clear()

    def render(self, accept: str, *, gzip: bool) -> tuple[str, bytes]:
        """Return the content type and the body that an Accept header asks for.

        The body is compressed if `gzip`.  Without a snapshot yet, there is only what the process
        says of itself.
        """
        chosen = choose(accept)
        with self._lock:
            began = self._clock()
            fresh = self._page_of is not self._newest or self._page is None
            page = self._current()
            body = page.body(in_openmetrics=chosen.openmetrics, compressed=gzip)
            number = self._page_of.number if self._page_of else 0
            self._finished[chosen.openmetrics, gzip] = (number, body)
            if fresh:
                self._took_s = self._clock() - began
        return chosen.content_type, body

    def finished(self, accept: str, *, gzip: bool, previous: bool) -> tuple[str, bytes] | None:
        """Return what `render` has written of the newest snapshot already, without waiting.

        With `previous`, of the one before will do: while the newest is still being written.
        """
        chosen = choose(accept)
        number, body = self._finished.get((chosen.openmetrics, gzip), (0, b""))
        newest = self._newest.number if self._newest else 0
        is_new = number > 0 and number >= newest - previous
        return (chosen.content_type, body) if is_new else None

    def collect(self) -> Iterator[Metric]:
        """Return what `render` writes, as objects of prometheus_client."""
        with self._lock:
            page = self._current()
        return page.metrics()

    def _current(self) -> Page:
        """The page of the newest snapshot."""
        newest = self._newest
        if self._page is None or self._page_of is not newest:
            self._page = Page(list(self._tables(newest)), list(self._process.collect()))
            self._page_of = newest
        return self._page

    def _tables(self, newest: _Newest | None) -> Iterator[Table]:
        """Tables of something: a family without any series is not named either."""
        return (table for table in self._all_tables(newest) if len(table.labels))

    def _all_tables(self, newest: _Newest | None) -> Iterator[Table]:
        options = self._options
        yield own.build(options.version, options.kernel, options.attach)
        yield from own.rendered(self._took_s)
        if newest is None:
            return
        snapshot = newest.snapshot
        yield from own.tables(snapshot, lambda boot_ns: options.wall(boot_ns).timestamp())
        yield from kernel.tables(snapshot)
        yield from names.tables(snapshot, options.grouping)
        yield from self._flows.tables(snapshot.flows)
        yield from self._groups.tables(snapshot, newest.unknown)
