"""`struct group_key` as the BPF programs write it, made a `GroupKey`.  Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from tcpvitals.model.key import Field, GroupKey, Process, Role
from tcpvitals.model.scope import Scope

if TYPE_CHECKING:
    import numpy as np

    from tcpvitals.model.key import Address, Grouping

_V4: Final = 4
# As ROLE_BITS in records.h.
_ROLE_BITS: Final = 4
_ROLE: Final = 0b1111
# As enum role and enum scope in records.h; a test compares.
ROLES: Final = {1: Role.CLIENT, 2: Role.SERVER}
SCOPES: Final = {1: Scope.LOOPBACK, 2: Scope.LINK_LOCAL, 4: Scope.PRIVATE, 8: Scope.PUBLIC}


def _address(words: bytes, family: int) -> Address:
    return IPv4Address(words[:4]) if family == _V4 else IPv6Address(words)


def _process(record: np.void) -> Process | None:
    pid = int(record["tgid"])
    return Process(pid, record["comm"].tobytes().partition(b"\0")[0]) if pid else None


def decode_key(record: np.void, grouping: Grouping) -> GroupKey:
    """The fields that the grouping has; the others are None."""
    family = int(record["family"])
    has = frozenset(grouping.fields)
    return GroupKey(
        laddr=_address(record["laddr"].tobytes(), family) if Field.LADDR in has else None,
        raddr=_address(record["raddr"].tobytes(), family) if Field.RADDR in has else None,
        lport=int(record["lport"]) if Field.LPORT in has else None,
        rport=int(record["rport"]) if Field.RPORT in has else None,
        service=int(record["service_port"]) if Field.SERVICE in has else None,
        role=ROLES.get(int(record["role_scope"]) & _ROLE) if Field.ROLE in has else None,
        netns=int(record["netns_inode"]) if Field.NETNS in has else None,
        process=_process(record) if Field.PROCESS in has else None,
        cgroup=int(record["cgroup_id"]) or None if Field.CGROUP in has else None,
        scope=SCOPES.get(int(record["role_scope"]) >> _ROLE_BITS) if Field.SCOPE in has else None,
    )
