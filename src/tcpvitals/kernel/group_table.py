"""The groups' slots, seen from user space: mapped memory as numpy arrays.

Owns who has which slot: hands out free ones, and takes back the slots of idle groups when free ones
run short.  Which slots of other tables leave, and when, is decided elsewhere.  What is counted
there is a store's to read and to clear.  Knows nothing of programs and hooks.

A slot is taken back in two steps.  First its generation moves on and its key is forgotten, so that
its sockets look for a place of their own the next time they count; what it counted is part of
`retired` from then on.  A while later, when no program can still be at it, it is zeroed and handed
out again.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from tcpvitals.kernel.keys import decode_key

if TYPE_CHECKING:
    from typing import Self

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.model.histogram import Counts, Flags
    from tcpvitals.model.key import Grouping, GroupKey

Records: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]
Slots: TypeAlias = npt.NDArray[np.intp]

_ALL_ONES: Final = 0xFFFF_FFFF
# Slots are taken back when fewer than an eighth are free, until a quarter is.
_LOW, _ENOUGH = 8, 4
# A program runs for a microsecond; preempted in the middle, for some milliseconds.
_GRACE_NS: Final = 500_000_000


class _Sum(Protocol):
    """What some groups counted together."""

    def __add__(self, other: Any, /) -> Self: ...  # noqa: ANN401 - the same kind of sum


_Total = TypeVar("_Total", bound=_Sum)
_Total_co = TypeVar("_Total_co", bound=_Sum, covariant=True)


class Figures(Protocol[_Total_co]):
    """What each of some groups counted."""

    @property
    def counts(self) -> Counts:
        """How much, for telling who is idle."""
        ...

    @property
    def busy(self) -> Flags:
        """Which must keep their slot, however idle."""
        ...

    def total(self) -> _Total_co:
        """All of them in one."""
        ...


_Figures = TypeVar("_Figures", bound=Figures[Any])
_Figures_co = TypeVar("_Figures_co", bound=Figures[Any], covariant=True)


class Store(Protocol[_Figures_co]):
    """Where the groups' counters are."""

    def read(self, slots: Slots, ids: Counts) -> _Figures_co:
        """The figures of some slots, in ascending order, as the groups `ids`."""
        ...

    def move_on(self, slot: int, generation: int) -> None:
        """A slot has a new generation, which programs may look up beside the counters."""
        ...

    def clear(self, slot: int) -> None:
        """Zero a slot's counters."""
        ...


@dataclass(frozen=True, slots=True)
class TableMaps:
    """The maps of one loaded object that make up the table."""

    groups: Map
    places: Map
    free_slots: Map


@dataclass(frozen=True, slots=True)
class Reading(Generic[_Figures, _Total]):
    """What the table held at one moment."""

    keys: tuple[GroupKey, ...]
    figures: _Figures
    other: _Total
    retired: _Total


class SlotTable(Generic[_Figures, _Total]):
    """The slots of one table of a loaded object, and how they change hands."""

    def __init__(
        self, layouts: Layouts, maps: TableMaps, slots: int, store: Store[_Figures]
    ) -> None:
        """Map the groups; before anything is attached."""
        slot = layouts.enum("slot")
        self._other, self._first = slot["SLOT_OTHER"], slot["SLOT_FIRST"]
        self._maps, self._slots, self._store = maps, slots, store
        self._groups = map_records(maps.groups, layouts.struct("group"), slots)
        self._leaving: Slots = np.zeros(0, np.intp)
        self._left_ns = 0
        self._nothing: _Total = self._read(self._leaving).total()
        self._retired = self._nothing

    @property
    def limit(self) -> int:
        """How many groups there may be."""
        return self._slots - self._first

    @property
    def end(self) -> int:
        """All slots that have a group are below this one."""
        used = np.flatnonzero(self._groups["in_use"])
        return int(used[-1]) + 1 if len(used) else self._first

    @property
    def given_back(self) -> _Total:
        """What was counted in slots that have been zeroed since."""
        return self._retired

    def _used(self) -> Slots:
        """Slots that have a group, but for those that are leaving."""
        return np.setdiff1d(np.flatnonzero(self._groups["in_use"]), self._leaving)

    def _read(self, slots: Slots) -> _Figures:
        """The figures of some slots, named by slot and generation, which are never used twice."""
        generations = self._groups["generation"][slots].astype(np.uint64)
        return self._store.read(slots, slots.astype(np.uint64) << np.uint64(32) | generations)

    def _sums(self) -> tuple[_Total, _Total]:
        """What was counted without a slot, and what in slots that were taken back."""
        other: _Total = self._read(np.array([self._other])).total()
        leaving = self._read(self._leaving).total() if len(self._leaving) else self._nothing
        return other, self._retired + leaving

    # --- handing out and taking back -----------------------------------------------------

    def _give_all(self) -> None:
        for slot in range(self._first, self._slots):
            self._give(slot)

    def _give(self, slot: int) -> None:
        self._maps.free_slots.update(b"", slot.to_bytes(4, "little"))

    def _leave(self, slots: Slots, now_ns: int) -> None:
        """Begin to take slots back, in ascending order; none may be leaving."""
        self._leaving, self._left_ns = slots, now_ns
        for slot in slots.tolist():
            self._move_on(slot)
            self._maps.places.delete(self._groups["key"][slot].tobytes())

    def _move_on(self, slot: int) -> None:
        generation = int(self._groups["generation"][slot]) + 1 & _ALL_ONES
        self._groups["generation"][slot] = generation
        self._store.move_on(slot, generation)

    def _finish_leaving(self, now_ns: int) -> None:
        """Hand out again what has been left for long enough, if anything has."""
        if not len(self._leaving) or now_ns - self._left_ns < _GRACE_NS:
            return
        self._retired += self._read(self._leaving).total()
        for slot in self._leaving.tolist():
            self._clear(slot)
            self._give(slot)
        self._leaving = np.zeros(0, np.intp)
        self._move_on(self._other)  # its sockets may now find a slot of their own

    def _clear(self, slot: int) -> None:
        self._store.clear(slot)
        self._groups["in_use"][slot] = 0


class GroupTable(SlotTable[_Figures, _Total]):
    """The groups of one loaded object; idle ones lose their slots when slots run short."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        layouts: Layouts,
        maps: TableMaps,
        slots: int,
        grouping: Grouping,
        store: Store[_Figures],
        idle_limit_ns: int,
    ) -> None:
        """Map the groups and fill the queue of free slots; before anything is attached.

        Groups that count nothing for `idle_limit_ns` may lose their slot when slots run short.
        """
        super().__init__(layouts, maps, slots, store)
        self._grouping = grouping
        self.idle_limit_ns = idle_limit_ns
        self._keys: dict[tuple[int, int], GroupKey] = {}
        self._last_counts = np.zeros(slots, np.uint64)
        self._active_ns = np.zeros(slots, np.int64)
        if grouping.fields:
            self._give_all()
        else:
            self._groups["in_use"][self._first] = 1  # the whole host needs no looking up

    def read(self, now_ns: int) -> Reading[_Figures, _Total]:
        """All groups' figures at this moment (boot time), and slots taken back where due."""
        used = self._used()
        figures = self._read(used)
        other, retired = self._sums()
        reading = Reading(self._decode_keys(used, now_ns), figures, other, retired)
        self._note_activity(used, figures, now_ns)
        if len(self._leaving):
            self._finish_leaving(now_ns)
        else:
            self._start_leaving(used, now_ns)
        return reading

    def _decode_keys(self, used: Slots, now_ns: int) -> tuple[GroupKey, ...]:
        """Decoded once in a group's life, which begins as active."""
        generations = self._groups["generation"][used].tolist()
        names = list(zip(used.tolist(), generations, strict=True))
        fresh = {
            name: decode_key(self._groups["key"][name[0]], self._grouping)
            for name in names
            if name not in self._keys
        }
        self._active_ns[[slot for slot, _ in fresh]] = now_ns
        self._keys = {name: fresh.get(name) or self._keys[name] for name in names}
        return tuple(self._keys.values())

    def _note_activity(self, used: Slots, figures: _Figures, now_ns: int) -> None:
        counts = figures.counts
        active = used[(counts != self._last_counts[used]) | figures.busy]
        self._active_ns[active] = now_ns
        self._last_counts[used] = counts

    def _start_leaving(self, used: Slots, now_ns: int) -> None:
        free = self.limit - len(used)
        if not self._grouping.fields or free * _LOW >= self.limit:
            return
        idle = used[now_ns - self._active_ns[used] >= self.idle_limit_ns]
        longest_first = idle[np.argsort(self._active_ns[idle], kind="stable")]
        self._leave(np.sort(longest_first[: max(1, self.limit // _ENOUGH - free)]), now_ns)

    def _clear(self, slot: int) -> None:
        super()._clear(slot)
        self._last_counts[slot] = 0


class Held:
    """Records of a table, read as they stood at one moment once they have been held."""

    def __init__(self, live: Records) -> None:
        """Read them as they are until then."""
        self._live = self._copy = live

    def hold(self, end: int) -> Records:
        """Copy those below `end`, from where they are read until the next time; return them."""
        self._copy = self._live[:end].copy()
        return self._copy

    def at(self, slots: Slots) -> Records:
        """Those of some slots; zeroes for a slot that was taken later."""
        found = np.zeros(len(slots), self._live.dtype)
        there = slots < len(self._copy)
        found[there] = self._copy[slots[there]]
        return found


def map_records(source: Map, record: np.dtype[np.void], length: int, skipped: int = 0) -> Records:
    """So many values of an mmapable array, as they change; those skipped must be whole pages."""
    size = record.itemsize
    memory = mmap.mmap(source.fd, length * size, offset=skipped * size)
    return np.frombuffer(memory, record, length)
