"""Which names a request may call us by, in its Host header.

A web page from anywhere can make its own name point to this host (DNS rebinding) and then read us
through the visitor's browser.  The Host header still says that name, which is how we know.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcpvitals.errors import UsageError
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tcpvitals.sinks.web.listening import IpAddress, ListenAddress

_SYNTAX: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::[0-9]*)?")
_LOOPBACK: Final = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_HOSTS_FILE: Final = Path("/etc/hosts")


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The names and addresses we answer to; with `any_address`, every address written as such.

    An address cannot be made to point elsewhere, so admitting all of them is safe; on loopback
    there is no need to.
    """

    names: frozenset[str]
    addresses: frozenset[IpAddress]
    any_address: bool

    def admit(self, header: str) -> bool:
        """Whether a Host header's value, with or without a port, is one of ours."""
        host = _host(header)
        if isinstance(host, str):
            return host in self.names
        return host is not None and (self.any_address or host in self.addresses)


def allowed_hosts(
    listen: ListenAddress, added: Iterable[str] = (), own: Iterable[str] = ()
) -> AllowedHosts:
    """Return what is allowed on `listen`, with the names `own` to this host and those `added`.

    Raises:
        UsageError: something added is no host name.
    """
    hosts = [_added(text) for text in added] + [_host(text) for text in own]
    names = {host for host in hosts if isinstance(host, str)}
    addresses = {host for host in hosts if host is not None and not isinstance(host, str)}
    return AllowedHosts(
        frozenset({"localhost", *names}),
        frozenset({*_LOOPBACK, listen.ip, *addresses}),
        any_address=not listen.is_loopback,
    )


def own_names() -> frozenset[str]:
    """Return what this host calls itself, by its name and /etc/hosts; DNS is not asked."""
    text = ""
    with suppress(OSError):
        text = _HOSTS_FILE.read_text(encoding="ascii", errors="replace")
    return names_of(socket.gethostname(), text)


def names_of(hostname: str, hosts_file: str) -> frozenset[str]:
    """Return the host's name and what stands on one line with it in the text of a hosts file."""
    names = {hostname}
    for line in hosts_file.splitlines():
        _, *aliases = line.partition("#")[0].split() or [""]
        if hostname in aliases:
            names.update(aliases)
    return frozenset(names - {""})


def _added(text: str) -> str | IpAddress:
    host = _host(text)
    if host is None:
        message = f"{printable(text)} is not a host name that a request could call us by"
        raise UsageError(message)
    return host


def _host(text: str) -> str | IpAddress | None:
    """Return the name in lower case or the address; None for what is neither."""
    match = _SYNTAX.fullmatch(text)
    if match is None:
        with suppress(ValueError):  # an IPv6 address without brackets: in options, not in headers
            return ipaddress.ip_address(text)
        return None
    host = match[1]
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]"))
    return None if host.startswith("[") else host.lower().rstrip(".")
