"""What people call the things that the kernel numbers: network namespaces and cgroups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Names:
    """Names by number; they come from outside and are not made printable here.

    `netns` by inode number; `cgroups` are paths from the root of the hierarchy, by cgroup id.
    """

    netns: Mapping[int, str] = field(default_factory=dict)
    cgroups: Mapping[int, str] = field(default_factory=dict)

    def namespace(self, inode: int) -> str:
        """Return a namespace's name, or its inode number."""
        return self.netns.get(inode, str(inode))

    def cgroup(self, number: int) -> str:
        """Return a cgroup's path, its number if it has no path any more, `-` if nobody knows."""
        return self.cgroups.get(number, str(number)) if number else UNKNOWN
