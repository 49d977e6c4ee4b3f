"""Where the other end of a connection is, as its address tells.

Importing this needs no numpy, because the options are parsed with it.  The kernel half decides
(bpf/scopes.h); an IPv4-mapped IPv6 address is its IPv4 address there.
"""

from __future__ import annotations

from enum import StrEnum

from tcpvitals.errors import UsageError
from tcpvitals.model.printable import printable


class Scope(StrEnum):
    """The nearest first.

    Loopback: 127.0.0.0/8, ::1, and the local address itself.  Link-local: 169.254.0.0/16,
    fe80::/10.  Private: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918), 100.64.0.0/10
    (RFC 6598), fc00::/7 (RFC 4193).  Public: every other address.
    """

    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    PRIVATE = "private"
    PUBLIC = "public"


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """Read one or more scopes, `private,public`; the order does not matter.

    Raises:
        UsageError: one is unknown.
    """
    words = {word.strip() for word in text.split(",")}
    unknown = sorted(words - set(Scope))
    if unknown:
        msg = f"'{printable(unknown[0])}' is not one of {', '.join(Scope)}"
        raise UsageError(msg)
    return tuple(scope for scope in Scope if scope in words)
