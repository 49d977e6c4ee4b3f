"""The slots of network namespaces: what each counted, and when its slot is taken back.

A slot leaves when its namespace shows no sign of life (`namespace_lives`), whether or not slots run
short: what there is to read depends on the namespaces that are alive, and not on those that were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.kernel.group_table import SlotTable, map_records
from tcpvitals.kernel.namespace_lives import Lives
from tcpvitals.kernel.totals_counters import TotalsCounters
from tcpvitals.model.namespaces import NamespaceTotals, Netns
from tcpvitals.model.totals import Totals, TotalsTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.group_table import Slots, TableMaps
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.kernel.namespace_lives import Seen

_HELD = np.dtype([("held", np.uint64)])


class NamespaceTable(SlotTable[TotalsTable, Totals]):
    """The network namespaces of one loaded object."""

    def __init__(
        self, layouts: Layouts, maps: TableMaps, counters: Map, held: Map, slots: int
    ) -> None:
        """Map the slots and hand them all out; before anything is attached."""
        super().__init__(layouts, maps, slots, TotalsCounters(layouts, counters, slots))
        self._held = map_records(held, _HELD, slots)["held"]
        self._lives = Lives()
        self._give_all()

    @property
    def is_filling(self) -> bool:
        """Whether a quarter of the slots is taken."""
        return int(np.count_nonzero(self._groups["in_use"])) * 4 >= self.limit

    def read(self) -> NamespaceTotals:
        """What was counted up to this moment."""
        used = self._used()
        figures = self._read(used)
        other, retired = self._sums()
        each = {one: figures.row(row) for row, one in enumerate(self._names(used))}
        lives = self._lives
        gone = lives.gone
        return NamespaceTotals(each, other, retired, gone, lives.retirements)

    def look(self, seen: Seen, mark: Callable[[], object], now_ns: int) -> None:
        """Take back the slots of those without a sign of life; `now_ns` is boot time.

        Args:
            seen: what was seen of namespaces just before.
            mark: runs the iterator that marks the slots of namespaces that sockets hold.
            now_ns: the time (boot time).
        """
        self._finish_leaving(now_ns)
        if len(self._leaving):
            return
        used = self._used()
        names = self._names(used)
        due = self._lives.look(names, seen, lambda: self._marked(mark))
        leaving = [slot for slot, one in zip(used.tolist(), names, strict=True) if one in due]
        if leaving:
            self._leave(np.array(leaving, np.intp), now_ns)

    def _names(self, slots: Slots) -> list[Netns]:
        keys = self._groups["key"][slots]
        pairs = zip(keys["netns_inode"].tolist(), keys["netns_cookie"].tolist(), strict=True)
        return [Netns(inode, cookie) for inode, cookie in pairs]

    def _marked(self, mark: Callable[[], object]) -> set[Netns]:
        self._held[:] = 0
        mark()
        return {*self._names(np.flatnonzero(self._held[self._first :]) + self._first)}
