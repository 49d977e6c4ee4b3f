"""The running kernel as a source of everything at once: what `serve` exposes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel.flows_beside_groups import FlowsBesideGroups
from tcpvitals.kernel.loaded import Loaded
from tcpvitals.kernel.netns_counters import read_through
from tcpvitals.model.key import Field, FlowPorts
from tcpvitals.model.ratchet import Steady
from tcpvitals.model.vitals import FlowsSnapshot, VitalsSnapshot
from tcpvitals.sources.comparing import Comparer
from tcpvitals.sources.live import boot_time_ns
from tcpvitals.sources.namespaces import LiveNamespaces
from tcpvitals.sources.owners import OwnerSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Self

    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import Request
    from tcpvitals.model.key import GroupKey
    from tcpvitals.model.names import Names
    from tcpvitals.model.namespaces import NamespaceTotals

_NS: Final = 1_000_000_000
# What moves while it is read is told as that; another reading may be had at the next refresh.
_TRIES: Final = 1


class LiveVitals:
    """All of this host's vitals, from the moment it is made until it is closed.

    Once it is made, nothing it does needs a capability but, before 5.19, CAP_BPF.
    """

    def __init__(self, request: Request, plan: Plan, idle_s: float) -> None:
        """Load and attach.

        Groups and flows without anything new for `idle_s` seconds may lose their slot when slots
        run short.

        Raises:
            TcpvitalsError: it cannot be done here.
        """
        self._shows_errors = plan.shows_errors
        idle_ns = round(idle_s * _NS)
        with ExitStack() as undo:
            self._loaded = undo.enter_context(Loaded(request, plan))
            groups = self._table, self._counters = self._loaded.vitals_table(idle_ns)
            with_flows = request.flows is not FlowPorts.OFF
            flows = self._loaded.flows_table(idle_ns) if with_flows else None
            self._flows, self._both = flows and flows[0], FlowsBesideGroups(groups, flows)
            self._namespaces = LiveNamespaces(self._loaded, read_through)
            self._loaded.attach()
            self._comparer = self._comparing()
            self._undo = undo.pop_all()
        # Who owns a socket matters only to those who group by it; the search was done once.
        by_process = Field.PROCESS in request.grouping.fields
        self._owners = OwnerSearch(self._loaded) if by_process else None
        self._unattributed = Steady()
        self.start_ns = boot_time_ns()

    def _comparing(self) -> Comparer:
        comparer = Comparer(
            self._namespaces.kernel, self._totals, shows_errors=self._shows_errors, tries=_TRIES
        )
        comparer.begin()
        return comparer

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach."""
        self._undo.close()

    def set_idle(self, idle_s: float) -> None:
        """From now on, how long a group or flow may be idle; as when this was made."""
        for table in (self._table, self._flows):
            if table:
                table.idle_limit_ns = round(idle_s * _NS)

    def keep_up(self) -> None:
        """Between snapshots: look for network namespaces that are gone, before slots run short."""
        self._namespaces.look_if_filling()

    def snapshot(
        self, host_netns: int, names: Callable[[Collection[GroupKey]], Names]
    ) -> VitalsSnapshot:
        """All there is at this moment; `names` finds what those groups' parts are called.

        Raises:
            TcpvitalsError: an iterator could not be run.
        """
        began_s = time.monotonic()
        if self._owners:
            self._owners.look()
        verification = self._comparer.compare(self._loaded.missed)
        now_ns = boot_time_ns()
        reading = self._table.read(now_ns)
        flows = self._read_flows(now_ns)
        self._namespaces.look()  # the last: it may run the iterator that counts open connections
        totals = (reading.figures.total() + reading.other + reading.retired).totals
        lost = totals.unattributed(shows_errors=self._shows_errors)
        return VitalsSnapshot(
            start_ns=self.start_ns,
            taken_ns=now_ns,
            keys=reading.keys,
            table=reading.figures,
            other=reading.other,
            retired=reading.retired,
            groups_limit=self._table.limit,
            flows=flows,
            namespaces=verification.reports,
            kernel=self._comparer.kernel,
            losses={**self._loaded.losses(), "unattributed": self._unattributed.follow(lost)},
            programs=self._loaded.programs(),
            names=names(reading.keys),
            host_netns=host_netns,
            shows_errors=self._shows_errors,
            took_s=time.monotonic() - began_s,
        )

    def _read_flows(self, now_ns: int) -> FlowsSnapshot | None:
        if not self._flows:
            return None
        reading = self._flows.read(now_ns)
        return FlowsSnapshot(
            reading.keys, reading.figures, reading.other, reading.retired, self._flows.limit
        )

    def _totals(self) -> NamespaceTotals:
        """Each network namespace's; those of groups and flows are held as they are by then."""
        self._counters.begin_census()
        totals = self._namespaces.totals()
        self._both.hold()
        return totals
