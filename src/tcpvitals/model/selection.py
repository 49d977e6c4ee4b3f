"""Which connections are looked at: the filters, and how they are written on the command line.

Importing this needs no numpy, because the options are parsed with it.  Filters are ANDed, and the
kernel half applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface
from typing import Literal, TypeAlias

from tcpvitals.errors import UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

Network: TypeAlias = IPv4Network | IPv6Network
Family: TypeAlias = Literal[4, 6]

PORTS_LIMIT = 64
"""Ports in one list, on one side: as many as the BPF half has room for."""

_LAST_PORT = 65535
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters; one that is None or empty lets everything through."""

    laddr: Network | None = None
    raddr: Network | None = None
    lports: tuple[int, ...] = ()
    rports: tuple[int, ...] = ()
    family: Family | None = None
    netns_inode: int | None = None

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


def parse_ports(text: str) -> tuple[int, ...]:
    """Read a port or a list of ports, `80,443`; repeated ones count once.

    Raises:
        UsageError: one is not within 1..65535, or there are more than 64.
    """
    ports = tuple(dict.fromkeys(_parse_port(word.strip()) for word in text.split(",")))
    if len(ports) > PORTS_LIMIT:
        msg = f"{len(ports)} ports in one list are too many: {PORTS_LIMIT} at most"
        raise UsageError(msg)
    return ports


def _parse_port(word: str) -> int:
    port = whole_number(word, 1, _LAST_PORT)
    if port is not None:
        return port
    msg = f"port '{printable(word)}' is not a number from 1 to {_LAST_PORT}"
    raise UsageError(msg)
