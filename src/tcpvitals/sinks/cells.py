"""How single things are written in the columns of a table.

These run once for each event of many: what is the same again and again is not worked out twice.
"""

from __future__ import annotations

from errno import errorcode
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from tcpvitals.model.key import WHOLE_HOST
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from datetime import datetime

    from tcpvitals.model.event import Owner
    from tcpvitals.model.key import Grouping, GroupKey
    from tcpvitals.model.names import Names

_DATE_AND_T = len("2026-01-02T")
_CLOCK = len("03:04:05.678")
_ELLIPSIS = "…"


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
    text = address_text(address)
    return f"[{text}]:{port}" if isinstance(address, IPv6Address) else f"{text}:{port}"


def error_name(number: int) -> str:
    """Write an error by the name it has in C (ENETUNREACH), or by its number if it has none."""
    return errorcode.get(number, str(number))


def heading(grouping: Grouping) -> str:
    """Write what the column of groups shows: raddr,rport."""
    return ",".join(grouping.fields) or WHOLE_HOST


def group(key: GroupKey, grouping: Grouping, names: Names) -> str:
    """Write a group's values alone, safe for a terminal, under a heading that names the fields."""
    return printable(",".join(key.labels(grouping, names).values())) or WHOLE_HOST


def shortened(text: str, width: int) -> str:
    """Cut out the middle: addresses of one network differ at the end."""
    if len(text) <= width:
        return text
    head = width // 2
    tail = width - head - 1
    return f"{text[:head]}{_ELLIPSIS}{text[len(text) - tail :]}"
