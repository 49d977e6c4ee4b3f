"""Which network namespaces are alive, judged by what was seen of them.  Pure.

A namespace is alive while a process is in it, while it has a name or a mount, or while a socket
holds it.  One that only an open file holds shows no sign of life, and may appear again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from collections.abc import Set as AbstractSet

    from tcpvitals.model.namespaces import Netns

# Of inode numbers that are used again none is remembered twice: so many that were not is a lot.
_MOST_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of namespaces: those of processes, and the inode numbers that are mounted."""

    processes: AbstractSet[Netns]
    mounted: AbstractSet[int]


class Lives:
    """Remembers who showed no sign of life, and who was retired for it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: AbstractSet[Netns] = frozenset()
        self._doubted: AbstractSet[Netns] = frozenset()
        self._newest: dict[int, int] = {}
        self._retirements: dict[Netns, int] = {}
        self.gone = 0

    @property
    def retirements(self) -> Mapping[Netns, int]:
        """How often each was retired, but for those that are known to be dead."""
        return dict(self._retirements)

    def look(
        self, counted: Collection[Netns], seen: Seen, held: Callable[[], AbstractSet[Netns]]
    ) -> set[Netns]:
        """Return which of `counted` showed no sign of life now and at the look before.

        Args:
            counted: namespaces that have a slot.
            seen: what was seen of namespaces just before.
            held: finds those that a socket holds; called only if it matters.
        """
        self._follow(counted, seen.processes)
        doubted = {one for one in counted if not self._is_alive(one, seen)}
        due = doubted & self._doubted
        if due:
            due -= {one for one in held() if self._is_newest(one)}
        self._doubted = doubted
        self._retire(due)
        return due

    def _follow(self, counted: Collection[Netns], processes: AbstractSet[Netns]) -> None:
        """Note who was the last to appear with each inode number: all others of it are dead."""
        newest = {**self._newest, **{one.inode: one.cookie for one in counted if self._is_new(one)}}
        newest.update(processes)
        present = {one.inode for one in (*counted, *processes, *self._retirements)}
        self._newest = {inode: cookie for inode, cookie in newest.items() if inode in present}
        self._known = frozenset(counted)
        self._retirements = {
            one: times for one, times in self._retirements.items() if self._is_newest(one)
        }

    def _is_new(self, one: Netns) -> bool:
        return one not in self._known

    def _is_newest(self, one: Netns) -> bool:
        return self._newest.get(one.inode, one.cookie) == one.cookie

    def _is_alive(self, one: Netns, seen: Seen) -> bool:
        return one in seen.processes or (one.inode in seen.mounted and self._is_newest(one))

    def _retire(self, due: AbstractSet[Netns]) -> None:
        self.gone += sum(one not in self._retirements for one in due)
        for one in due:
            if self._is_newest(one):
                self._retirements[one] = self._retirements.pop(one, 0) + 1
        for oldest in list(self._retirements)[: max(0, len(self._retirements) - _MOST_REMEMBERED)]:
            del self._retirements[oldest]
