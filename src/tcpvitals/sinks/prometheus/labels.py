"""Label sets: what tells the series of a family apart.

Everything from outside is made printable here, so no label value has a control character; quotes
and backslashes are escaped when it is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.names import Names
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcpvitals.model.key import GroupKey

Pairs: TypeAlias = tuple[tuple[str, str], ...]

LABELS: Final = {
    Field.LADDR: "local",
    Field.RADDR: "remote",
    Field.LPORT: "local_port",
    Field.RPORT: "remote_port",
    Field.SERVICE: "service_port",
    Field.ROLE: "role",
    Field.NETNS: "netns",
    Field.PROCESS: "process",
    Field.CGROUP: "cgroup",
    Field.SCOPE: "scope",
}
"""The label of each field that groups are made of."""

OTHER: Final = "other"
RETIRED: Final = "retired"

# Namespaces and cgroups are told by number; their names are in metrics of their own.
_NUMBERS: Final = Names()


@dataclass(frozen=True, slots=True)
class Labels:
    """Names and values, ordered by name; `text` keeps how they are written."""

    pairs: Pairs
    _texts: dict[str, tuple[str, str]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Labels:
        """Order them, and make the values printable."""
        return cls(tuple(sorted((name, printable(value)) for name, value in pairs)))

    def around(self, extra: str) -> tuple[str, str]:
        """Return what is written before and after a label of this name; all before if it is ""."""
        found = self._texts.get(extra)
        if found is None:
            found = self._texts[extra] = self._written_around(extra)
        return found

    def _written_around(self, extra: str) -> tuple[str, str]:
        written = [(name, f'{name}="{escaped(value)}"') for name, value in self.pairs]
        if not extra:
            return ",".join(text for _, text in written), ""
        before = "".join(f"{text}," for name, text in written if name < extra)
        after = "".join(f",{text}" for name, text in written if name > extra)
        return before, after


NO_LABELS: Final = Labels(())


def escaped(value: str) -> str:
    """Return a label value as it stands between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def netns_label(inode: int | None, host_netns: int) -> str:
    """Return a namespace's label: nothing for the host's own, as most hosts have no other."""
    return "" if inode is None or inode == host_netns else str(inode)


def group_labels(key: GroupKey, grouping: Grouping, host_netns: int) -> Labels:
    """Return the labels of a group; what is unknown is "", which to Prometheus is no label."""
    texts = key.labels(grouping, _NUMBERS)
    for one in grouping.fields:
        if getattr(key, one.value) is None:
            texts[one.value] = ""
    if Field.NETNS in grouping.fields:
        texts[Field.NETNS.value] = netns_label(key.netns, host_netns)
    return Labels.of((LABELS[Field(name)], text) for name, text in texts.items())


def same_label(grouping: Grouping, value: str) -> Labels:
    """Return the labels of a sum of groups: the same value for all."""
    return Labels.of((LABELS[one], value) for one in grouping.fields)
