"""The running kernel as a source of snapshots and events."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from tcpvitals.errors import ResourceError
from tcpvitals.kernel import libbpf
from tcpvitals.kernel.event_records import EventRecords
from tcpvitals.kernel.loaded import Loaded
from tcpvitals.kernel.netns_counters import read_all
from tcpvitals.model.measurement import Measurement
from tcpvitals.model.ratchet import Steady
from tcpvitals.model.rtt import Counters, Distribution
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.model.totals import Totals, TotalsTable
from tcpvitals.sources.namespaces import LiveNamespaces
from tcpvitals.sources.owners import OwnerSearch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from tcpvitals.kernel.group_table import GroupTable
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import Request
    from tcpvitals.model.event import Event
    from tcpvitals.model.expectations import Missed
    from tcpvitals.model.rtt import RttSnapshot
    from tcpvitals.model.totals import TotalsSnapshot

_Table = TypeVar("_Table", Counters, TotalsTable)
_Total = TypeVar("_Total", Distribution, Totals)

_NS: Final = 1_000_000_000
# So many events are decoded and shown at a time: signals and prints wait no longer than that.  A
# ring of 64 KiB holds 546 state changes, which are told at once, before what was lost.
_BATCH: Final = 640


def boot_time_ns() -> int:
    """The clock of all snapshots and events: it counts on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class LiveRtt:
    """RTT counters of this host, from the moment it is made until it is closed."""

    def __init__(self, request: Request, plan: Plan, idle_s: float) -> None:
        """Load and attach.

        Groups without a sample for `idle_s` seconds may lose their slot when slots run short.

        Raises:
            TcpvitalsError: it cannot be done here.
        """
        unit = (request.measurement or Measurement()).unit
        with ExitStack() as undo:
            self._loaded = undo.enter_context(Loaded(request, plan))
            self._table = self._loaded.rtt_table(unit, round(idle_s * _NS))
            self._loaded.attach()
            self._undo = undo.pop_all()
        self._owners = OwnerSearch(self._loaded) if request.needs_owner else None
        self.start_ns = boot_time_ns()

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach."""
        self._undo.close()

    def missed(self) -> Missed:
        """What was not seen so far, as far as it may make totals differ from the kernel's."""
        return self._loaded.missed()

    def find_owners(self) -> None:
        """Look for whose each new socket is, when that is due and of any use."""
        if self._owners:
            self._owners.look()

    def snapshot(self) -> RttSnapshot:
        """All counters at this moment."""
        self.find_owners()
        return _snapshot(self._loaded, self._table)


class LiveSockets:
    """This host's sockets, followed through their lives: events, totals, or both."""

    def __init__(self, request: Request, plan: Plan, idle_s: float) -> None:
        """Load and attach; from then on everything is counted and told.

        Groups that send nothing for `idle_s` seconds may lose their slot when slots run short.

        Raises:
            TcpvitalsError: it cannot be done here.
        """
        self.shows_errors = plan.shows_errors
        with ExitStack() as undo:
            self._loaded = undo.enter_context(Loaded(request, plan))
            self._table = self._loaded.totals_table(round(idle_s * _NS))
            self._records = EventRecords(self._loaded.layouts)
            self.namespaces = LiveNamespaces(self._loaded, read_all) if request.namespaces else None
            self._ring = self._open_ring() if request.telling else None
            if self._ring:
                undo.callback(self._ring.close)
            self._loaded.attach()
            self._undo = undo.pop_all()
        self.start_ns = boot_time_ns()
        self._owners = OwnerSearch(self._loaded)
        self._unattributed = Steady()

    def _open_ring(self) -> libbpf.Ring:
        try:
            return libbpf.Ring(self._loaded.map("events"))
        except OSError as error:
            message = f"cannot map the ring of events: {error.strerror}; lower --buffer"
            raise ResourceError(message) from error

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach."""
        self._undo.close()

    @property
    def events_fd(self) -> int | None:
        """Readable when there are events; None if none were asked for."""
        return self._ring.fd if self._ring else None

    def events(self) -> list[Event]:
        """What happened since the last call, in order; not all of it at once after a flood."""
        return self._records.decode(self._ring.consume(_BATCH)) if self._ring else []

    def losses(self) -> Mapping[str, int]:
        """What was not counted or told so far, by reason."""
        return self._loaded.losses()

    def missed(self) -> Missed:
        """What was not seen so far, as far as it may make totals differ from the kernel's."""
        return self._loaded.missed()

    def find_owners(self) -> None:
        """Look for whose each new socket is, when that is due."""
        self._owners.look()

    def keep_up(self) -> None:
        """Look for owners, and for network namespaces that are gone, when that is due."""
        self.find_owners()
        if self.namespaces:
            self.namespaces.look_again()

    def totals(self) -> TotalsSnapshot:
        """All totals at this moment, live sockets included.

        A segment is counted just before its cause is known: what is without one must be so at a
        second look, too, before it is a loss.  So must a socket whose end was not seen.
        """
        self._loaded.settle()
        snapshot = _snapshot(self._loaded, self._table)
        unsure = self._without_cause(snapshot) > self._unattributed.value
        if unsure or self._loaded.is_unsure:
            self._loaded.settle()
            self._without_cause(_snapshot(self._loaded, self._table))
        losses = {**self._loaded.losses(), "unattributed": self._unattributed.value}
        return replace(snapshot, losses=losses)

    def _without_cause(self, snapshot: TotalsSnapshot) -> int:
        count = snapshot.total().unattributed(shows_errors=self.shows_errors)
        self._unattributed.follow(count)
        return count


def _snapshot(loaded: Loaded, table: GroupTable[_Table, _Total]) -> Snapshot[_Table, _Total]:
    now_ns = boot_time_ns()
    reading = table.read(now_ns)
    return Snapshot(
        taken_ns=now_ns,
        keys=reading.keys,
        table=reading.figures,
        other=reading.other,
        retired=reading.retired,
        losses=loaded.losses(),
        groups_limit=table.limit,
    )
