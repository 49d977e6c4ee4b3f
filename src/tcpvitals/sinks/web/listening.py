"""The address to serve on: read from the command line, and taken before anything else is done.

A socket that listens is also the lock that keeps a second instance out.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tcpvitals.errors import ListenError, UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

BACKLOG: Final = 128
# What a reader has not taken yet waits here and not in the kernel, where autotuning would give
# each of hundreds of slow ones megabytes.
_UNSENT_BYTES: Final = 128 * 1024
_LARGEST_PORT: Final = 65535
_SYNTAX: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):([0-9]+)")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address of this host and a port; the address `::` without `only_v6` means all of both."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return it as `--listen` takes it."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else self._text_v4()

    def _text_v4(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def ip(self) -> IpAddress:
        """The address without its zone; of one mapped into IPv6, the IPv4 one."""
        address = ipaddress.ip_address(self.address.partition("%")[0])
        return getattr(address, "ipv4_mapped", None) or address

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this host can reach it."""
        return self.ip.is_loopback


def parse_listen(text: str) -> ListenAddress:
    """Read ADDRESS:PORT: `127.0.0.1:2112`, `[::1]:2112`, `localhost:2112`, `:2112` for everywhere.

    Names other than localhost are not looked up: what is served on must not depend on DNS.

    Raises:
        UsageError: it is none of these.
    """
    match = _SYNTAX.fullmatch(text)
    port = whole_number(match[3], 0, _LARGEST_PORT) if match else None
    if match is None or port is None:
        raise _bad_listen(text)
    in_brackets, plain = match[1], match[2]
    if in_brackets is not None:
        return ListenAddress(_literal(in_brackets, 6, text), port)
    if not plain:
        return ListenAddress("::" if socket.has_dualstack_ipv6() else "0.0.0.0", port)  # noqa: S104 asked for; `exposure` decides
    plain = "127.0.0.1" if plain.lower() == "localhost" else plain
    return ListenAddress(_literal(plain, 4, text), port)


def _literal(text: str, version: int, whole: str) -> str:
    with suppress(ValueError):
        if ipaddress.ip_address(text).version == version:
            return text
    raise _bad_listen(whole)


def _bad_listen(text: str) -> UsageError:
    return UsageError(
        f"'{printable(text)}' is not ADDRESS:PORT;"
        " write 127.0.0.1:2112, [::1]:2112, or :2112 for all addresses"
    )


def open_listener(listen: ListenAddress) -> socket.socket:
    """Return a socket that listens there already, so that nobody else can.

    SO_REUSEADDR lets two bind to one port, but only one of them listen; SO_REUSEPORT would let
    both.

    Raises:
        ListenError: taken, not an address of this host, or not allowed to this user.
    """
    family = socket.AF_INET6 if ":" in listen.address else socket.AF_INET
    try:
        # The protocol is named because asyncio sends without delay (Nagle) only where it is.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _refused(listen, error) from error
    try:
        _listen(listener, listen)
    except OSError as error:
        listener.close()
        raise _refused(listen, error) from error
    return listener


def bound_address(listen: ListenAddress, listener: socket.socket) -> ListenAddress:
    """Return the address with the port that the kernel chose, if it was asked to choose one."""
    return replace(listen, port=listener.getsockname()[1])


def _listen(listener: socket.socket, listen: ListenAddress) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    # getaddrinfo() alone knows how to write a zone (fe80::1%eth0) as a number.
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    found = socket.getaddrinfo(listen.address, listen.port, listener.family, flags=numeric)
    listener.bind(found[0][4])
    listener.listen(BACKLOG)
    listener.setblocking(False)  # noqa: FBT003 the name says what it means


def _refused(listen: ListenAddress, error: OSError) -> ListenError:
    match error.errno:
        case errno.EADDRINUSE:
            why = (
                f"port {listen.port} is taken, perhaps by another tcpvitals;"
                f" `ss -ltnp sport = :{listen.port}` shows by whom, --listen takes another"
            )
        case errno.EADDRNOTAVAIL:
            why = "not an address of this host; `ip address` shows them"
        case errno.EACCES:
            why = f"port {listen.port} needs CAP_NET_BIND_SERVICE; take one from 1024 on"
        case errno.EAFNOSUPPORT:
            why = "this kernel has no IPv6"
        case number:
            why = os.strerror(number) if number and number > 0 else str(error)
    return ListenError(f"cannot listen on {listen}: {why}")
