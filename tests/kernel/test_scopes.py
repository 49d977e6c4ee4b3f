"""Where the other end is: each prefix that decides, at its first address, its last, and outside."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import pytest

from tcpvitals.model.scope import Scope
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.link import (
    CLIENT_IPV4,
    CLIENT_IPV6,
    SERVER_IPV4,
    SERVER_IPV6,
    open_link,
)
from tcpvitals.netlab.workload import exchange, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.netlab.link import Link
    from tcpvitals.sources.live import LiveRtt, LiveSockets

# RFC 1122, 3927, 1918, 6598; RFC 4291, 4193.  What was site-local (RFC 3879) is public.
ADDRESSES: Final = {
    Scope.LINK_LOCAL: ("169.254.0.1", "169.254.255.254", "fe80::99"),
    Scope.PRIVATE: (
        *("10.0.0.9", "10.255.255.254", "172.16.0.1", "172.31.255.254", "192.168.0.1"),
        *("192.168.255.254", "100.64.0.1", "100.127.255.254", "fc00::1", "fdff:ffff::1"),
        f"::ffff:{SERVER_IPV4}",
    ),
    Scope.PUBLIC: (
        *("9.255.255.254", "11.0.0.1", "172.15.255.254", "172.32.0.1", "192.167.255.254"),
        *("192.169.0.1", "100.63.255.254", "100.128.0.1", "169.253.255.254", "169.255.0.1"),
        *("126.255.255.254", "128.0.0.1", "2001:db8::1", "fec0::1", "fbff::1", "::2"),
        "::ffff:11.0.0.1",
    ),
    Scope.LOOPBACK: ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"),
}


@pytest.fixture(scope="module")
def net() -> Iterator[tuple[Link, int]]:
    """Two namespaces, whose server answers on all those addresses; and its port."""
    with open_link(lifetime_s=600) as link, serve(link.server) as port:
        for scope in (Scope.LINK_LOCAL, Scope.PRIVATE, Scope.PUBLIC):
            for address in ADDRESSES[scope]:
                _add(link, address)
        yield link, port


def _add(link: Link, address: str) -> None:
    if address == "fe80::99":
        for side, local in ((link.server, address), (link.client, "fe80::98")):
            side.run(["ip", "addr", "add", f"{local}/64", "dev", link.device, "nodad"])
    elif not address.startswith("::ffff:"):
        link.add_prefix("server", f"{address}/{ip_address(address).max_prefixlen}")


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def _talk(link: Link, port: int) -> None:
    for scope, addresses in ADDRESSES.items():
        near = link.server if scope is Scope.LOOPBACK else link.client
        for address in addresses:
            zone = f"%{link.device}" if address.startswith("fe80") else ""
            exchange(near, "pingpong", address + zone, port, count=3)


def test_every_prefix_begins_and_ends_where_its_rfc_says(
    net: tuple[Link, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    link, port = net
    live = open_rtt("raddr,scope", selection=Selection(rports=(port,)))
    _talk(link, port)

    found = {(str(key.raddr), key.scope) for key in live.snapshot().keys}

    assert found == {
        (_plain(address), scope) for scope, addresses in ADDRESSES.items() for address in addresses
    }


def test_a_filter_lets_through_the_scopes_that_it_names(
    net: tuple[Link, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    link, port = net
    wanted = [(Scope.LOOPBACK,), (Scope.LINK_LOCAL, Scope.PUBLIC), (Scope.PRIVATE,)]
    live = {
        scopes: open_rtt("raddr", selection=Selection(rports=(port,), scopes=scopes))
        for scopes in wanted
    }
    _talk(link, port)

    for scopes, counting in live.items():
        found = {str(key.raddr) for key in counting.snapshot().keys}
        assert found == {_plain(one) for scope in scopes for one in ADDRESSES[scope]}, scopes


@pytest.mark.parametrize("address", [SERVER_IPV4, SERVER_IPV6])
def test_what_a_host_sends_to_its_own_address_is_loopback_whatever_the_address(
    net: tuple[Link, int], open_sockets: Callable[..., LiveSockets], address: str
) -> None:
    """Totals have it from the same place as round trips."""
    link, port = net
    near = Selection(scopes=(Scope.LOOPBACK,))
    with_scope = open_sockets("scope,raddr", totals=True)
    only_loopback = open_sockets("raddr", totals=True, selection=near)
    exchange(link.server, "pingpong", address, port, count=3)
    exchange(link.client, "pingpong", address, port, count=3)

    found = {(str(key.raddr), key.scope) for key in with_scope.totals().keys}
    near_ones = {str(key.raddr) for key in only_loopback.totals().keys}

    client = CLIENT_IPV4 if address == SERVER_IPV4 else CLIENT_IPV6
    far_ends = {(address, Scope.PRIVATE), (client, Scope.PRIVATE), (address, Scope.LOOPBACK)}
    assert found >= far_ends
    assert address in near_ones
    assert client not in near_ones
