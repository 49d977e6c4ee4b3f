"""Which connections are looked at: the filters, and how they are written on the command line.

Importing this needs no numpy, because the options are parsed with it.  Filters are ANDed, and the
kernel half applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface
from typing import TYPE_CHECKING, Literal, TypeAlias

from tcpvitals.errors import UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.scope import Scope

Network: TypeAlias = IPv4Network | IPv6Network
Family: TypeAlias = Literal[4, 6]
Ports: TypeAlias = int | range
"""A port, or a range of them."""

PORTS_LIMIT = 64
"""Ports and ranges in one list, on one side: as many as the BPF half has room for."""

_LAST_PORT = 65535
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters; one that is None or empty lets everything through."""

    laddr: Network | None = None
    raddr: Network | None = None
    lports: tuple[Ports, ...] = ()
    rports: tuple[Ports, ...] = ()
    family: Family | None = None
    netns_inode: int | None = None
    scopes: tuple[Scope, ...] = ()
    pid: int | None = None

    def checked(self) -> Selection:
        """Return itself, if some connection could pass.

        Raises:
            UsageError: the filters are of different families, so that nothing ever passes.
        """
        for name, network in (("local", self.laddr), ("remote", self.raddr)):
            if network is not None and self.family not in (None, network.version):
                msg = f"-{self.family} contradicts the {name} address {network}"
                raise UsageError(msg)
        if self.laddr is None or self.raddr is None or self.laddr.version == self.raddr.version:
            return self
        msg = f"local address {self.laddr} and remote address {self.raddr} differ in family"
        raise UsageError(msg)


def parse_network(text: str) -> Network:
    """Read an address or a prefix; `::ffff:a.b.c.d` is its IPv4 address, as in the kernel half.

    Raises:
        UsageError: it is neither, or has bits set past the prefix.
    """
    # The kernel compares addresses without the interface a link-local one belongs to.
    if "%" in text:
        msg = f"address '{printable(text)}': leave out the interface after '%'"
        raise UsageError(msg)
    try:
        interface = ip_interface(text)
    except ValueError:
        msg = f"'{printable(text)}' is not an IPv4 or IPv6 address or prefix"
        raise UsageError(msg) from None
    network = interface.network
    if interface.ip != network.network_address:
        msg = f"'{printable(text)}' has bits set past its prefix: did you mean {network}?"
        raise UsageError(msg)
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv4Network) or not network.subnet_of(_MAPPED):
        return network
    first = int(network.network_address) - int(_MAPPED.network_address)
    return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))


def first_port(ports: Ports) -> int:
    """Return a port, or the first of a range."""
    return ports if isinstance(ports, int) else ports[0]


def last_port(ports: Ports) -> int:
    """Return a port, or the last of a range, which belongs to it."""
    return ports if isinstance(ports, int) else ports[-1]


def parse_ports(text: str, port_of: Callable[[str], int | None]) -> tuple[Ports, ...]:
    """Read ports, ranges and names of services, `80,8000-8010,https`; repeated ones count once.

    `port_of` knows the names: a service's TCP port, None if there is no such service.

    Raises:
        UsageError: one is neither, or a range goes down, or there are more than 64.
    """
    words = dict.fromkeys(word.strip() for word in text.split(","))
    ports = tuple(dict.fromkeys(_parse_port(word, port_of) for word in words))
    if len(ports) > PORTS_LIMIT:
        msg = f"{len(ports)} ports in one list are too many: {PORTS_LIMIT} ports and ranges at most"
        raise UsageError(msg)
    return ports


def _parse_port(word: str, port_of: Callable[[str], int | None]) -> Ports:
    # A name may have a dash, too: `ms-sql-s`.
    port = _number(word) or _parse_range(word) or port_of(word)
    if port:
        return port
    msg = (
        f"port '{printable(word)}' is not a number from 1 to {_LAST_PORT}, "
        "a range as 8000-8010, or a TCP service of /etc/services"
    )
    raise UsageError(msg)


def _parse_range(word: str) -> range | None:
    first, dash, last = word.partition("-")
    low, high = _number(first), _number(last)
    if not dash or low is None or high is None:
        return None
    if low > high:
        msg = f"port range '{printable(word)}' goes down: did you mean {high}-{low}?"
        raise UsageError(msg)
    return range(low, high + 1)


def _number(word: str) -> int | None:
    return whole_number(word, 1, _LAST_PORT)
