"""Rare things that the kernel half tells one by one: retransmissions and state changes.

Importing this needs no numpy.  Times are boot time in nanoseconds; nothing here is made printable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address


class TcpState(IntEnum):
    """The kernel's numbers (include/net/tcp_states.h); a name is what `ss` and tcpstates show."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECV = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSE = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11
    NEW_SYN_RECV = 12


_NAMES = {state.value: state.name for state in TcpState}


def state_name(number: int) -> str:
    """Return the name of a state, or its number if the kernel has a newer one."""
    return _NAMES.get(number, str(number))


class Cause(StrEnum):
    """Why a segment was sent again; docs/measuring.md says how it is known."""

    RTO = "rto"
    FAST = "fast"
    SLOW_START = "slow-start"
    TLP = "tlp"
    SYN = "syn"
    SYNACK = "synack"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Ends:
    """A connection's two ends, local first, and the inode number of its network namespace."""

    laddr: IPv4Address | IPv6Address
    lport: int
    raddr: IPv4Address | IPv6Address
    rport: int
    netns: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.laddr.version


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a socket is; `pid` and `cgroup_id` are 0 and `comm` is empty when nobody knows."""

    pid: int
    comm: bytes
    cgroup_id: int


@dataclass(frozen=True, slots=True)
class Retransmission:
    """Data that was sent again, or would have been but for `errno` (0 if it left this host).

    `seq` is None for a SYN-ACK, whose connection has none yet; `attempt` is 1 for the first
    retransmission of this data; `bytes` is payload; `srtt_us` is 0 before the first sample.
    """

    time_ns: int
    ends: Ends
    owner: Owner
    state: int
    cause: Cause
    segments: int
    bytes: int
    seq: int | None
    attempt: int
    srtt_us: int
    cwnd: int
    errno: int


@dataclass(frozen=True, slots=True)
class StateChange:
    """A socket's step from one TCP state to the next.

    `socket` is its address in the kernel; `took_ns` the time in the old state, None if it began
    before anyone looked.
    """

    time_ns: int
    ends: Ends
    owner: Owner
    socket: int
    old_state: int
    new_state: int
    took_ns: int | None


Event = Retransmission | StateChange
