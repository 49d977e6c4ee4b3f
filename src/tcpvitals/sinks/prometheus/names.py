"""What numbers are called, in metrics of their own, for joins: namespaces and cgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tcpvitals.model.cgroup import container_of, pod_of
from tcpvitals.model.key import Field
from tcpvitals.sinks.prometheus.labels import Labels, netns_label
from tcpvitals.sinks.prometheus.table import Family, Table, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.model.key import Grouping
    from tcpvitals.model.vitals import VitalsSnapshot

NETNS: Final = Family(
    "tcpvitals_netns", "info", "The name of a network namespace, as `ip netns` has it."
)
CGROUP: Final = Family(
    "tcpvitals_cgroup",
    "info",
    "The path of a cgroup, and the container and the pod that its path tells of.",
)


def tables(snapshot: VitalsSnapshot, grouping: Grouping) -> Iterator[Table]:
    """Return the names of all numbers that other series of this snapshot have as a label."""
    yield rows(NETNS, dict.fromkeys(_namespaces(snapshot), 1.0))
    if Field.CGROUP in grouping.fields:
        yield rows(CGROUP, dict.fromkeys(_cgroups(snapshot), 1.0))


def _namespaces(snapshot: VitalsSnapshot) -> Iterator[Labels]:
    inodes = {key.netns for key in snapshot.keys if key.netns is not None}
    inodes |= {one.inode for one in snapshot.kernel}
    inodes |= {one.inode for one in snapshot.namespaces}
    for inode in sorted(inodes):
        netns = netns_label(inode, snapshot.host_netns)
        yield Labels.of([("netns", netns), ("name", snapshot.names.namespace(inode))])


def _cgroups(snapshot: VitalsSnapshot) -> Iterator[Labels]:
    for number in sorted({key.cgroup for key in snapshot.keys if key.cgroup is not None}):
        path = snapshot.names.cgroups.get(number, "")
        values = {
            "cgroup": str(number),
            "path": path,
            "container": container_of(path) or "",
            "pod": pod_of(path) or "",
        }
        yield Labels.of(values.items())
