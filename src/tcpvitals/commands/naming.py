"""Names of namespaces and cgroups, looked up again when a new one turns up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import cgroups, netns
from tcpvitals.model.key import Field
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from tcpvitals.model.event import Event
    from tcpvitals.model.key import Grouping, GroupKey

# However many unknown ones there are: what is gone has no name any more.
_AGAIN_S: Final = 1.0


_NAMED: Final = {Field.NETNS, Field.CGROUP}


class Naming:
    """What this host's namespaces and cgroups are called at the moment."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._names = self._current = Names()
        self._known_s = -_AGAIN_S

    def names(self, namespaces: Iterable[int] = (), groups: Iterable[int] = ()) -> Names:
        """Return the names; they are read anew, once a second at most, if some of these are new."""
        known = self._names
        unknown = any(inode not in known.netns for inode in namespaces) or any(
            number and number not in known.cgroups for number in groups
        )
        now_s = time.monotonic()
        if unknown and now_s - self._known_s >= _AGAIN_S:
            self._known_s = now_s
            self._read()
        return self._names

    def _read(self) -> None:
        """What has gone since stays once more: its last events are yet to be shown."""
        before, self._current = self._current, Names(netns.names(), cgroups.paths())
        self._names = Names(
            {**before.netns, **self._current.netns}, {**before.cgroups, **self._current.cgroups}
        )

    def for_keys(self, keys: Collection[GroupKey], grouping: Grouping) -> Names:
        """Return the names that these groups' keys need; nothing is read for the others."""
        namespaces = {key.netns for key in keys if key.netns}
        groups = {key.cgroup for key in keys if key.cgroup}
        return self.names(namespaces, groups) if _NAMED & {*grouping.fields} else self._names

    def for_events(self, events: Sequence[Event]) -> Names:
        """Return the names that these events need."""
        return self.names(
            {event.ends.netns for event in events}, {event.owner.cgroup_id for event in events}
        )
