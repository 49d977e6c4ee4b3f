"""This host's network namespaces: what was counted in each, and which of them are alive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import netns
from tcpvitals.kernel.namespace_lives import Seen
from tcpvitals.model.namespaces import Netns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tcpvitals.kernel.loaded import Loaded
    from tcpvitals.kernel.netns_counters import Counters
    from tcpvitals.model.namespaces import NamespaceTotals

# Looks are so far apart at least that a namespace can be made and get its first process between two
# of them; and they take a fiftieth of the time at most.
_LEAST_S: Final = 1.0
_SHARE: Final = 50


class LiveNamespaces:
    """Those of one loaded object; made before it is attached."""

    def __init__(
        self, loaded: Loaded, read: Callable[[Iterable[tuple[int, int, int]]], Counters]
    ) -> None:
        """Make the table; `read` reads the kernel's counters, given a process of each namespace."""
        self._loaded, self._read_kernel = loaded, read
        self._table = loaded.namespaces_table()
        self._processes: frozenset[Netns] = frozenset()
        self._looked_s, self._took_s = time.monotonic(), 0.0

    def kernel(self) -> Counters:
        """The kernel's own counters of every namespace that can be read."""
        return self._read_kernel(self._visit())

    def totals(self) -> NamespaceTotals:
        """Ours, of every namespace, live sockets included."""
        self._loaded.settle()
        return self._table.read()

    def look_again(self) -> None:
        """Look for namespaces that are gone, if it is time."""
        began_s = time.monotonic()
        if began_s - self._looked_s >= max(_LEAST_S, _SHARE * self._took_s):
            self._visit()
            self.look()
            self._took_s = time.monotonic() - began_s

    def look_if_filling(self) -> None:
        """The same, but only if slots might run short."""
        if self._table.is_filling:
            self.look_again()

    def look(self) -> None:
        """Take back the slots of namespaces that are gone; the kernel's counters were just read."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LEAST_S:
            return
        self._looked_s = now_s
        seen = Seen(self._processes, {inode for inode, _ in netns.mounts()})
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._table.look(seen, self._loaded.settle_and_mark, now_ns)

    def _visit(self) -> list[tuple[int, int, int]]:
        records = self._loaded.visit_namespaces()
        found: list[tuple[int, int, int]] = records[["inode", "cookie", "tgid"]].tolist()
        self._processes = frozenset(Netns(inode, cookie) for inode, cookie, _ in found)
        return found
