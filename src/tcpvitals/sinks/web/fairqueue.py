"""A bounded queue that is fair to networks, and within a network to hosts.

Next comes the network that was served the longest time ago, and of it the host that was.  When the
queue is full, the network that has the most in it loses its newest.  So what one network asks
delays others by one turn, however much it asks.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

# An IPv6 host may choose any address of its /64, and a site any /64 of its /48.
_NETWORK_V4, _HOST_V4 = 24, 32
_NETWORK_V6, _HOST_V6 = 48, 64
# Networks and hosts of which it is known when they were served last.
_REMEMBERED: Final = 4096


class Origin(NamedTuple):
    """Where a client is: a network, and the part of it that counts as one host."""

    network: str
    host: str


def origin(address: str) -> Origin:
    """Return the /24 and the address of IPv4, the /48 and the /64 of IPv6."""
    with suppress(ValueError):
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        network, host = (
            (_NETWORK_V4, _HOST_V4)
            if isinstance(ip, ipaddress.IPv4Address)
            else (_NETWORK_V6, _HOST_V6)
        )
        return Origin(_prefix(ip, network), _prefix(ip, host))
    return Origin(address, address)


def _prefix(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> str:
    return str(ipaddress.ip_network((ip, bits), strict=False))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T]):
    origin: Origin
    item: T


class FairQueue(Generic[T]):
    """Items that wait, by where they came from."""

    def __init__(self, most: int, most_each: int) -> None:
        """Hold at most `most`, of one host at most `most_each`."""
        self._most, self._most_each = most, most_each
        self._waiting: list[_Waiting[T]] = []  # the oldest first
        self._turn = 0
        self._served: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def put(self, where: Origin, item: T) -> T | None:
        """Take an item in; return the one that has no place: this one, or another, or none."""
        if sum(one.origin == where for one in self._waiting) >= self._most_each:
            return item
        self._waiting.append(_Waiting(where, item))
        return self._remove_newest_of_fullest() if len(self._waiting) > self._most else None

    def take(self) -> T:
        """Return whose turn it is, of at least one that waits."""
        # min() takes the oldest of equals.
        chosen = min(self._waiting, key=lambda one: [self._served.get(at, 0) for at in one.origin])
        self._waiting.remove(chosen)
        self._turn += 1
        for at in chosen.origin:
            self._served.pop(at, None)
            self._served[at] = self._turn
        while len(self._served) > _REMEMBERED:
            del self._served[next(iter(self._served))]
        return chosen.item

    def _remove_newest_of_fullest(self) -> T:
        networks = Counter(one.origin.network for one in self._waiting)
        hosts = Counter(one.origin for one in self._waiting)
        # Reversed, max() takes the newest of equals.
        chosen = max(
            reversed(self._waiting),
            key=lambda one: (networks[one.origin.network], hosts[one.origin]),
        )
        self._waiting.remove(chosen)
        return chosen.item
