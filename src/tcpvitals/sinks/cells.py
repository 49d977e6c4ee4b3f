"""How single things are written in the columns of a table.

These run once for each event of many: what is the same again and again is not worked out twice.
"""

from __future__ import annotations

from errno import errorcode
from functools import lru_cache
from typing import TYPE_CHECKING

from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

    from tcpvitals.model.event import Ends, Owner

_DATE_AND_T = len("2026-01-02T")
_CLOCK = len("03:04:05.678")


def clock(moment: datetime) -> str:
    """Write the time of day to the millisecond, rounded down: 03:04:05.678."""
    # Half the time that strftime takes.
    return moment.isoformat(timespec="milliseconds")[_DATE_AND_T : _DATE_AND_T + _CLOCK]


def process_id(owner: Owner) -> str:
    """Write a process id, `-` if nobody knows it."""
    return str(owner.pid) if owner.pid else UNKNOWN


def command(owner: Owner) -> str:
    """Write what a process calls itself, safe for a terminal, `-` if nobody knows it."""
    return printable(owner.comm) or UNKNOWN


@lru_cache(maxsize=4096)
def address_text(address: IPv4Address | IPv6Address) -> str:
    """Write an address as usual; for IPv6 that takes so long that it is remembered."""
    return str(address)


def endpoint(address: IPv4Address | IPv6Address, port: int) -> str:
    """Write an address with its port: 10.0.0.1:443, [2001:db8::1]:443."""
    return f"{bracketed(address_text(address))}:{port}"


def bracketed(address: str) -> str:
    """Write an address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def connection(ends: Ends) -> str:
    """Write a connection from this host's end to the other: 10.0.0.1:40000 > 10.0.0.2:443."""
    return f"{endpoint(ends.laddr, ends.lport)} > {endpoint(ends.raddr, ends.rport)}"


def error_name(number: int) -> str:
    """Write an error by the name it has in C (ENETUNREACH), or by its number if it has none."""
    return errorcode.get(number, str(number))


def shortened(text: str, width: int, ellipsis: str) -> str:
    """Cut out the middle: names of one kind differ at the end."""
    if len(text) <= width:
        return text
    head = width // 2
    tail = width - head - 1
    return f"{text[:head]}{ellipsis}{text[len(text) - tail :]}"
