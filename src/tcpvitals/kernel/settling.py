"""Bringing the totals of all live sockets up to date, and finding those that ended unseen.

Holds which iterators do it, and what their census says.  The iterators are in bpf/settling.h, what
they compare with in bpf/lives.h.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tcpvitals.files import FileError, read_file
from tcpvitals.kernel.wanted import SETTLE, SETTLE_BY_POINTER, SETTLE_HELD, STORAGES
from tcpvitals.model.ratchet import Steady

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.kernel.plan import Plan
    from tcpvitals.kernel.variables import Variables

_SETTLINGS: Final = 255
_MAP_ID_BYTES: Final = 4
_SOCKSTAT: Final = "/proc/net/sockstat"
_SOCKSTAT_BYTES: Final = 1 << 16


class Settler:
    """Runs the iterators that settle sockets."""

    def __init__(self, plan: Plan, variables: Variables, run: Callable[[str], bytes]) -> None:
        """Settle with `run`, which runs an iterator and returns what it prints."""
        self._plan, self._run = plan, run
        self._settling, self._lives = variables.number("settling"), variables.record("lives")
        self._settling_before = variables.number("settling_before")
        self._unseen, self._last = Steady(), 0

    @property
    def ends_unseen(self) -> int:
        """Connections whose end no program saw: what they did last is in no total.

        Known of each when two settlings in a row miss it.
        """
        return self._unseen.value

    @property
    def is_unsure(self) -> bool:
        """Whether another settling may find more of them."""
        return self._last > self._unseen.value

    @property
    def closes_unseen(self) -> int:
        """Connections of which only the socket's end was seen, and not their close."""
        return int(self._lives["late"][0])

    @property
    def left_out(self) -> tuple[int, int]:
        """Segments and timeouts of connections whose beginning was not seen, in no total.

        They may be SYN-ACKs that were retransmitted before we began.
        """
        return self._count("left_out"), self._count("timeouts_left_out")

    def settle(self) -> None:
        """Bring the totals of live sockets up to date, in every network namespace."""
        self._settling_before[0] = self._settling[0]
        self._settling[0] = self._settling[0] % _SETTLINGS + 1
        self._lives["met"] = self._lives["met_other"] = 0
        begun, allocated = self._count("begun"), _allocated()
        names = self._iterators()
        for name in names:
            self._run(name)
        alive = self._count("met")
        if names == SETTLE_HELD:
            alive = self._most_alive(allocated)
        self._last = begun - self._count("ended") - alive
        self._unseen.follow(self._last)

    def _iterators(self) -> tuple[str, ...]:
        if not self._plan.socket_storage:
            return (SETTLE_BY_POINTER,)
        if self._plan.storage_iterator and len(self._run(STORAGES)) <= _MAP_ID_BYTES:
            return (SETTLE,)
        return SETTLE_HELD

    def _most_alive(self, allocated: int | None) -> int:
        """Where not all are met: all TCP sockets of the host but those met that are not followed.

        Everything that began, where the kernel does not say how many there are.
        """
        now = _allocated()
        if allocated is None or now is None:
            return self._count("begun")
        return max(allocated, now) - self._count("met_other")

    def _count(self, name: str) -> int:
        return int(self._lives[name][0])


def _allocated() -> int | None:
    """TCP sockets in all network namespaces (`sockets_allocated` of struct proto)."""
    try:
        text = read_file(_SOCKSTAT, _SOCKSTAT_BYTES).decode()
    except FileError:
        return None
    found = re.search(r"^TCP: .*\balloc (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None
