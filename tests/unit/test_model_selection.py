"""Filters as they are written on the command line."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.model.scope import Scope, parse_scopes
from tcpvitals.model.selection import Family, Ports, Selection, parse_network, parse_ports

SERVICES = {"https": 443, "ms-sql-s": 1433}
V4, V6 = ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("0.0.0.0", "0.0.0.0/32"),  # noqa: S104 - nothing is bound
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:1.2.3.4", "1.2.3.4/32"),
        ("::ffff:1.2.3.0/120", "1.2.3.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_an_address_or_a_prefix_is_a_network(text: str, expected: str) -> None:
    """An IPv4-mapped one is its IPv4 address, because the kernel half counts it as that."""
    assert parse_network(text) == ip_network(expected)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "''"),
        ("localhost", "'localhost' is not an IPv4 or IPv6 address"),
        ("10.0.0", "'10.0.0'"),
        ("10.0.0.256", "'10.0.0.256'"),
        ("010.0.0.1", "'010.0.0.1'"),
        ("10.0.0.1/33", "'10.0.0.1/33'"),
        ("10.0.0.1/", "'10.0.0.1/'"),
        ("10.0.0.5/24", "'10.0.0.5/24' has bits set past its prefix: did you mean 10.0.0.0/24?"),
        ("2001:db8::1/64", "did you mean 2001:db8::/64?"),
        ("fe80::1%eth0", "leave out the interface"),
        ("1\n2", r"'1\x0a2'"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(text: str, wrong: str) -> None:
    """A prefix with stray bits is answered with the one that was probably meant."""
    with pytest.raises(UsageError) as refusal:
        parse_network(text)

    assert wrong in str(refusal.value)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", (80,)),
        ("443,80", (443, 80)),
        ("80, 80,1", (80, 1)),
        ("1,65535", (1, 65535)),
        (",".join(["7"] * 100), (7,)),
        (",".join(map(str, range(1, 65))), tuple(range(1, 65))),
        ("22, 8000-8010", (22, range(8000, 8011))),
        ("1-65535,7-7", (range(1, 65536), range(7, 8))),
        ("https,443,ms-sql-s", (443, 1433)),
    ],
)
def test_ports_are_a_list_in_which_each_counts_once(text: str, expected: tuple[Ports, ...]) -> None:
    """Sixty-four different ones at most."""
    assert parse_ports(text, SERVICES.get) == expected


@pytest.mark.parametrize(
    "word",
    [
        "0",
        "65536",
        "65616",
        "-1",
        "x",
        "",
        "8_0",
        "٨",
        "1" * 5000,
        "80-",
        "-",
        "0-5",
        "1-65536",
        "a-b",
        "htps",
    ],
)
def test_a_port_that_is_none_is_refused(word: str) -> None:
    """The seed took 65616 for 80."""
    with pytest.raises(UsageError, match="from 1 to 65535"):
        parse_ports(f"22,{word}", SERVICES.get)


def test_a_range_that_goes_down_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="'90-80' goes down: did you mean 80-90\\?"):
        parse_ports("90-80", SERVICES.get)


def test_more_ports_than_the_kernel_half_has_room_for_are_refused() -> None:
    """Sixty-five."""
    with pytest.raises(UsageError, match="65 ports in one list are too many: 64 ports and ranges"):
        parse_ports(",".join(map(str, range(1, 66))), SERVICES.get)


def test_scopes_are_read_in_any_order_and_unknown_ones_are_answered_with_those_there_are() -> None:
    assert parse_scopes("public, loopback,public") == (Scope.LOOPBACK, Scope.PUBLIC)
    with pytest.raises(
        UsageError, match="'host' is not one of loopback, link-local, private, public"
    ):
        parse_scopes("private,host")


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(laddr=V4, raddr=V4, lports=(80,), family=4, netns_inode=7),
        Selection(laddr=V6, raddr=V6, family=6),
        Selection(raddr=V6),
    ],
)
def test_filters_that_something_can_pass_are_accepted(selection: Selection) -> None:
    """They come back as they are."""
    assert selection.checked() is selection


@pytest.mark.parametrize(
    ("selection", "wrong"),
    [
        (Selection(raddr=V6, family=4), "-4 contradicts the remote address 2001:db8::/32"),
        (Selection(laddr=V4, family=6), "-6 contradicts the local address 10.0.0.0/8"),
        (Selection(laddr=V4, raddr=V6), "10.0.0.0/8 and remote address 2001:db8::/32 differ"),
    ],
)
def test_filters_that_nothing_can_pass_are_refused(selection: Selection, wrong: str) -> None:
    """Rather than a run that shows nothing."""
    with pytest.raises(UsageError, match=wrong):
        selection.checked()


@pytest.mark.parametrize("family", [4, 6])
def test_a_family_alone_is_no_contradiction(family: Family) -> None:
    """-4 and -6 without addresses."""
    assert Selection(family=family).checked().family == family
