"""The names we answer to: a web page cannot make its own name one of them."""

from __future__ import annotations

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.sinks.web.hosts import allowed_hosts, names_of
from tcpvitals.sinks.web.listening import ListenAddress

LOOPBACK = allowed_hosts(
    ListenAddress("127.0.0.1", 2112), ["Metrics.Example.", "2001:db8::7"], ["node7", "node7.lan"]
)
EVERYWHERE = allowed_hosts(ListenAddress("::", 2112))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:2112", "localhost.", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:2112",
     "[0:0:0:0:0:0:0:1]", "metrics.example", "metrics.example.:443", "[2001:db8::7]", "node7",
     "NODE7.lan:80"],
)  # fmt: skip
def test_our_own_names_and_those_added_are_admitted(host: str) -> None:
    assert LOOPBACK.admit(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "evil.example:2112", "192.0.2.1", "127.1",
     "2130706433", "localhost:2112:1", "user@localhost", "localhost/", "[localhost]", "[::1",
     "local host", "localhost:http", "[::1%25lo]"],
)  # fmt: skip
def test_every_other_name_is_not(host: str) -> None:
    assert not LOOPBACK.admit(host)


def test_where_others_reach_us_any_address_is_admitted_but_no_foreign_name() -> None:
    assert EVERYWHERE.admit("192.0.2.1:2112")
    assert EVERYWHERE.admit("[2001:db8::1]")
    assert not EVERYWHERE.admit("evil.example")


def test_the_address_listened_on_is_admitted() -> None:
    assert allowed_hosts(ListenAddress("127.0.0.5", 1)).admit("127.0.0.5")
    assert allowed_hosts(ListenAddress("::ffff:127.0.0.5", 1)).admit("127.0.0.5")


@pytest.mark.parametrize("text", ["", "http://a.example", "a b", "[nonsense]"])
def test_what_is_no_name_cannot_be_added(text: str) -> None:
    with pytest.raises(UsageError, match="not a host name"):
        allowed_hosts(ListenAddress("127.0.0.1", 1), [text])


def test_the_long_name_of_this_host_comes_from_the_hosts_file() -> None:
    text = (
        "127.0.0.1 localhost\n# x node7\n127.0.1.1\tnode7.lan node7 # ours\n\n192.0.2.9 node8.lan\n"
    )
    assert names_of("node7", text) == {"node7", "node7.lan"}
