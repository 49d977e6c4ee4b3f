"""The totals where the kernel half keeps them: of groups by slot, of network namespaces by key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.kernel.group_table import map_records
from tcpvitals.model.totals import CAUSES, FIELDS, Totals, TotalsTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.group_table import Records, Slots
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.model.event import Cause
    from tcpvitals.model.histogram import Counts


class CauseNumbers:
    """Causes by the numbers of `enum cause` in records.h."""

    def __init__(self, layouts: Layouts) -> None:
        """Read the enum."""
        numbers = layouts.enum("cause")
        self.of: Final[dict[Cause, int]] = {
            cause: numbers[f"CAUSE_{cause.name}"] for cause in CAUSES
        }
        self.cause: Final[dict[int, Cause]] = {at: cause for cause, at in self.of.items()}


class TotalsCounters:
    """The totals of one loaded object's groups, by slot."""

    def __init__(self, layouts: Layouts, counters: Map, slots: int) -> None:
        """Map them all: a slot's are less than a cache page's thirtieth."""
        self._causes = CauseNumbers(layouts)
        self._records = map_records(counters, layouts.struct("retrans_counters"), slots)

    def read(self, slots: Slots, ids: Counts) -> TotalsTable:
        """The totals of some slots."""
        return TotalsTable(ids, columns(self._records[slots], self._causes))

    def move_on(self, slot: int, generation: int) -> None:
        """Nothing to do: programs look a generation up beside the key."""

    def clear(self, slot: int) -> None:
        """Zero a slot's totals."""
        self._records[slot : slot + 1].view(np.uint8)[:] = 0


def columns(records: Records, causes: CauseNumbers) -> Counts:
    """Records of struct retrans_counters as uint64[..., FIELDS]."""
    plain = [records[name] for name in FIELDS[: -len(CAUSES)]]
    by_cause = [records["by_cause"][..., causes.of[cause]] for cause in CAUSES]
    return np.stack([*plain, *by_cause], axis=-1).astype(np.uint64)


def read_namespaces(layouts: Layouts, namespaces: Map) -> Mapping[tuple[int, int], Totals]:
    """The totals of each network namespace, by inode number and cookie (0 where unknown)."""
    looked_up = ((key, namespaces.lookup(key)) for key in namespaces.keys())  # noqa: SIM118 - a map is no dict
    found = {key: value for key, value in looked_up if value is not None}
    names = np.frombuffer(b"".join(found), layouts.struct("netns_key"))
    records = np.frombuffer(b"".join(found.values()), layouts.struct("retrans_counters"))
    totals = columns(records, CauseNumbers(layouts))
    places = zip(names["inode"].tolist(), names["cookie"].tolist(), strict=True)
    return dict(zip(places, map(Totals, totals), strict=True))
