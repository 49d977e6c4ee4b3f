"""Names of namespaces and cgroups, looked up when a new one turns up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import cgroups, netns
from tcpvitals.model.key import Field
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tcpvitals.model.event import Event
    from tcpvitals.model.key import Grouping, GroupKey

# Names of namespaces are read this often at most: what is gone has no name any more.
_AGAIN_S: Final = 1.0
# Reading the hierarchy of cgroups takes at most this part of the time.
_SHARE: Final = 50
# Cgroups that are remembered; with a path of usual length, 3 MB.
_REMEMBERED: Final = 16_384

_NAMED: Final = {Field.NETNS, Field.CGROUP}


class CgroupPaths:
    """Paths of cgroups, each looked for once: the kernel never uses an id twice.

    Source: kernfs_next_id and kernfs_ino of the kernel; an id has a generation in its upper half.
    """

    def __init__(self) -> None:
        """Know no path yet."""
        self._paths: dict[int, str] = {}
        self._nameless: set[int] = set()
        self._due_s = 0.0

    def of(self, wanted: Iterable[int]) -> Mapping[int, str]:
        """Return every path that is known; what is new is looked for first, if that is due."""
        new = {number for number in wanted if number} - self._paths.keys() - self._nameless
        began_s = time.monotonic()
        if new and began_s >= self._due_s:
            self._look_for(new)
            self._due_s = began_s + _SHARE * (time.monotonic() - began_s)
        return self._paths

    def _look_for(self, new: set[int]) -> None:
        """One that is not found has been removed, or has no path that can be found."""
        if len(self._paths) + len(self._nameless) + len(new) > _REMEMBERED:
            self._paths, self._nameless = {}, set()
        found = cgroups.find(new)
        self._paths = {**self._paths, **found}
        self._nameless |= new - found.keys()


class Naming:
    """What this host's namespaces and cgroups are called at the moment."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._netns: dict[int, str] = {}
        self._current: dict[int, str] = {}
        self._read_s = -_AGAIN_S
        self._cgroups = CgroupPaths()

    def names(self, namespaces: Iterable[int] = (), groups: Iterable[int] = ()) -> Names:
        """Return the names, those of these namespaces and cgroups as far as they can be found.

        Namespaces' names are read again, once a second at most, if one of these is new.
        """
        now_s = time.monotonic()
        unknown = any(inode not in self._netns for inode in namespaces)
        if unknown and now_s - self._read_s >= _AGAIN_S:
            self._read_s = now_s
            self._read_namespaces()
        return Names(self._netns, self._cgroups.of(groups))

    def _read_namespaces(self) -> None:
        """A name that is gone stays once more: its last events are yet to be shown."""
        before, self._current = self._current, netns.names()
        self._netns = {**before, **self._current}

    def for_keys(self, keys: Collection[GroupKey], grouping: Grouping) -> Names:
        """Return the names that these groups' keys need; nothing is read for the others."""
        if _NAMED.isdisjoint(grouping.fields):
            return self.names()
        namespaces = {key.netns for key in keys if key.netns}
        groups = {key.cgroup for key in keys if key.cgroup}
        return self.names(namespaces, groups)

    def for_events(self, events: Sequence[Event]) -> Names:
        """Return the names that these events need."""
        return self.names(
            {event.ends.netns for event in events}, {event.owner.cgroup_id for event in events}
        )
