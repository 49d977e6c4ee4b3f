"""Where to serve: the address is read, judged and taken before anything else is done."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tcpvitals.errors import ListenError, UsageError
from tcpvitals.sinks.web.bcrypthash import decoy
from tcpvitals.sinks.web.exposure import check_exposure
from tcpvitals.sinks.web.listening import ListenAddress, bound_address, open_listener, parse_listen
from tcpvitals.sinks.web.ratelimit import RateLimit
from tcpvitals.sinks.web.webconfig import WebConfig

LOOPBACK = ListenAddress("127.0.0.1", 2112)
EVERYWHERE = ListenAddress("::", 2112)


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("127.0.0.1:2112", "127.0.0.1", 2112),
        ("[::1]:2112", "::1", 2112),
        ("localhost:80", "127.0.0.1", 80),
        ("0.0.0.0:65535", "0.0.0.0", 65535),  # noqa: S104 only read
        ("[fe80::1%eth0]:1", "fe80::1%eth0", 1),
    ],
)
def test_an_address_is_read(text: str, address: str, port: int) -> None:
    assert parse_listen(text) == ListenAddress(address, port)


def test_a_port_alone_means_every_address() -> None:
    assert parse_listen(":2112") in (EVERYWHERE, ListenAddress("0.0.0.0", 2112))  # noqa: S104


@pytest.mark.parametrize(
    "text",
    ["", "2112", "127.0.0.1", "::1:2112", "[127.0.0.1]:1", "a.example:1", "127.0.0.1:65536",
     "127.0.0.1:-1", "127.0.0.1:", "[::1]", "127.1:80", "1.2.3.4:²"],
)  # fmt: skip
def test_what_is_no_address_and_port_is_an_error_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match="ADDRESS:PORT"):
        parse_listen(text)


def test_an_address_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:2112", "[::1]:2112", "[fe80::1%eth0]:80"):
        assert str(parse_listen(text)) == text


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_port_that_the_kernel_chose_is_the_one_that_answers(address: str) -> None:
    with open_listener(ListenAddress(address, 0)) as listener:
        bound = bound_address(ListenAddress(address, 0), listener)
        assert (bound.address, bound.port > 0) == (address, True)
        socket.create_connection((address, bound.port)).close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("fe80::1%lo", False)],  # noqa: S104
)  # fmt: skip
def test_loopback_is_known(address: str, *, expected: bool) -> None:
    assert ListenAddress(address, 1).is_loopback is expected


def test_a_second_one_cannot_listen_and_the_error_names_address_and_port() -> None:
    with open_listener(ListenAddress("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: port {port} is taken"):
            open_listener(ListenAddress("127.0.0.1", port))
        with pytest.raises(ListenError):
            open_listener(ListenAddress("0.0.0.0", port))  # noqa: S104 it fails


def test_answers_will_not_wait_for_acknowledgements() -> None:
    # asyncio switches Nagle's algorithm off, but only on sockets that say they are TCP.
    with open_listener(ListenAddress("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_of_fifty_that_start_at_once_one_listens() -> None:
    with open_listener(ListenAddress("127.0.0.1", 0)) as free:
        address = ListenAddress("127.0.0.1", free.getsockname()[1])
    opened: list[socket.socket] = []

    def start(_number: int) -> None:
        with suppress(ListenError):
            opened.append(open_listener(address))

    with ThreadPoolExecutor(50) as starters:
        list(starters.map(start, range(50)))
    assert len(opened) == 1
    opened[0].close()


def test_the_port_is_free_again_at_once_though_connections_linger() -> None:
    with open_listener(ListenAddress("127.0.0.1", 0)) as first:
        first.setblocking(True)  # noqa: FBT003
        address = ListenAddress("127.0.0.1", first.getsockname()[1])
        with socket.create_connection(first.getsockname()):
            first.accept()[0].close()  # this side goes into TIME_WAIT
    open_listener(address).close()


def test_an_address_of_another_host_is_an_error_that_names_it() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:2112: not an address of this host"):
        open_listener(ListenAddress("192.0.2.1", 2112))


def test_all_addresses_of_both_families_are_served() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    with open_listener(ListenAddress("::", 0)) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()


def test_loopback_needs_no_protection() -> None:
    check_exposure(LOOPBACK, None, insecure=False)


@pytest.mark.parametrize("config", [None, WebConfig(), WebConfig(rate_limit=RateLimit(1, 1))])
def test_what_others_reach_needs_tls_or_users(config: WebConfig | None) -> None:
    with pytest.raises(UsageError, match=r"\[::\]:2112 .*--insecure-listen"):
        check_exposure(EVERYWHERE, config, insecure=False)


def test_users_are_protection_enough_and_so_is_saying_that_it_is_meant() -> None:
    check_exposure(EVERYWHERE, WebConfig(users={"alice": decoy(10)}), insecure=False)
    check_exposure(EVERYWHERE, None, insecure=True)
