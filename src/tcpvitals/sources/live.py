"""The running kernel as a source of snapshots."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel.rtt_program import RttProgram
from tcpvitals.model.snapshot import Snapshot

if TYPE_CHECKING:
    from typing import Self

    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.settings import RttRequest

_NS: Final = 1_000_000_000


def boot_time_ns() -> int:
    """The clock of all snapshots: it counts on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class LiveRtt:
    """RTT counters of this host, from the moment it is made until it is closed."""

    def __init__(self, request: RttRequest, plan: Plan, idle_s: float) -> None:
        """Load and attach.

        Groups without a sample for `idle_s` seconds may lose their slot when slots run short.

        Raises:
            TcpvitalsError: it cannot be done here.
        """
        self._unit = request.measurement.unit
        self._program = RttProgram(request, plan, round(idle_s * _NS))
        self.start_ns = boot_time_ns()

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Detach."""
        self._program.__exit__()

    def snapshot(self) -> Snapshot:
        """All counters at this moment."""
        now_ns = boot_time_ns()
        reading = self._program.read(now_ns)
        return Snapshot(
            taken_ns=now_ns,
            keys=reading.keys,
            counters=reading.counters,
            other=reading.other,
            retired=reading.retired,
            losses=self._program.losses(),
            groups_limit=self._program.groups_limit,
            unit=self._unit,
        )
