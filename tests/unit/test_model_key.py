"""The `--by` option and the names of groups."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address, ip_network

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.model.key import Address, Field, Grouping, GroupKey, Prefix, Role
from tcpvitals.model.names import Names

V4, V6 = ip_address("10.0.0.1"), ip_address("2001:db8::1")


def test_fields_keep_the_order_they_were_given_in() -> None:
    """Spaces around them do not matter."""
    assert Grouping.parse("rport, raddr").fields == (Field.RPORT, Field.RADDR)
    assert Grouping.parse(",".join(Field)).fields == tuple(Field)


@pytest.mark.parametrize("text", ["", " "])
def test_no_field_is_the_whole_host(text: str) -> None:
    """It has no labels, and a title that is no address."""
    grouping = Grouping.parse(text)

    assert grouping == Grouping()
    assert GroupKey().labels(grouping, Names()) == {}
    assert GroupKey().title(grouping, Names()) == "whole host"


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("raddr", Prefix(32, 128)),
        ("raddr/24", Prefix(24, 48)),
        ("raddr/0", Prefix(0, 48)),
        ("raddr/32", Prefix(32, 48)),
        ("raddr/33", Prefix(24, 33)),
        ("raddr/48", Prefix(24, 48)),
        ("raddr/64", Prefix(24, 64)),
        ("raddr/24/56", Prefix(24, 56)),
        ("raddr/16/0", Prefix(16, 0)),
        ("raddr/32/128", Prefix(32, 128)),
    ],
)
def test_a_prefix_has_a_length_for_each_family(text: str, prefix: Prefix) -> None:
    """Up to 32 is IPv4's, up to 64 IPv6's; the family left out gets its usual length."""
    grouping = Grouping.parse(text)

    assert grouping.prefix(Field.RADDR) == grouping.raddr_prefix == prefix
    assert grouping.prefix(Field.LADDR) == Prefix(32, 128)


def test_both_addresses_have_prefixes_of_their_own() -> None:
    """They are cut independently."""
    grouping = Grouping.parse("laddr/8,raddr/64,role")

    assert grouping.laddr_prefix == Prefix(8, 48)
    assert grouping.raddr_prefix == Prefix(24, 64)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("daddr", "'daddr'"),
        ("RADDR", "'RADDR'"),
        ("raddr,", "''"),
        ("raddr,raddr/24", "'raddr' is there twice"),
        ("rport/8", "'rport/8': only laddr and raddr"),
        ("raddr/", "'raddr/'"),
        ("raddr/65", "'raddr/65' has no good prefix length: /0 to /32 for IPv4, /33 to /64 for"),
        ("raddr/99", "'raddr/99' has no good prefix length"),
        ("raddr/129", "'raddr/129'"),
        ("laddr/" + "9" * 5001, "9' has no good prefix length"),
        ("laddr/24/" + "9" * 5001, "9' has no good prefix length"),
        ("laddr/" + "0" * 5001, "0' has no good prefix length"),
        ("raddr/24/129", "'raddr/24/129'"),
        ("raddr/33/64", "'raddr/33/64'"),
        ("raddr/24/56/1", "'raddr/24/56/1'"),
        ("raddr/-1", "'raddr/-1'"),
        ("raddr/2_4", "'raddr/2_4'"),
        ("raddr/٢٤", "'raddr/٢٤'"),
        ("raddr/x", "'raddr/x'"),
        ("thread", "'thread'"),
        ("ra\x1b[2Jddr", r"'ra\x1b[2Jddr'"),
    ],
)
def test_a_bad_grouping_is_refused_in_one_line_that_names_the_word(text: str, wrong: str) -> None:
    """The line can be printed as it is."""
    with pytest.raises(UsageError) as refusal:
        Grouping.parse(text)

    assert wrong in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_an_unknown_field_is_answered_with_those_there_are() -> None:
    """Nobody should have to look them up."""
    all_fields = "laddr, raddr, lport, rport, service, role, netns, process, cgroup, scope"
    with pytest.raises(UsageError, match=f"{all_fields}$"):
        Grouping.parse("peer")


def test_labels_are_in_the_groupings_order() -> None:
    """Ports as decimal text, 0 among them; unknown is said, never guessed."""
    grouping = Grouping.parse("role,netns,service,rport,lport,laddr,raddr")
    key = GroupKey(laddr=V6, raddr=V4, lport=0, rport=443, role=Role.CLIENT, netns=7)

    assert list(key.labels(grouping, Names()).items()) == [
        ("role", "client"),
        ("netns", "7"),
        ("service", "unknown"),
        ("rport", "443"),
        ("lport", "0"),
        ("laddr", "2001:db8::1"),
        ("raddr", "10.0.0.1"),
    ]


@pytest.mark.parametrize("missing", ["raddr", "role", "netns"])
def test_what_is_grouped_by_and_not_known_is_unknown(missing: str) -> None:
    """Whatever the field."""
    assert GroupKey().title(Grouping.parse(missing), Names()) == "unknown"


@pytest.mark.parametrize(
    ("by", "address", "expected"),
    [
        ("raddr", ip_address("0.0.0.0"), "0.0.0.0"),  # noqa: S104 - nothing is bound
        ("raddr/24", ip_address("10.0.0.0"), "10.0.0.0/24"),
        ("raddr/24", ip_address("2001:db8::"), "2001:db8::/48"),
        ("raddr/32/64", V4, "10.0.0.1"),
        ("raddr/24", ip_network("10.0.0.0/24"), "10.0.0.0/24"),
        ("raddr/24", ip_network("2001:db8::/48"), "2001:db8::/48"),
        ("raddr", ip_network("10.0.0.1/32"), "10.0.0.1"),
        ("raddr", ip_network("2001:db8::1/128"), "2001:db8::1"),
    ],
)
def test_a_prefix_shows_its_length_and_an_address_does_not(
    by: str, address: Address, expected: str
) -> None:
    """Whether the key has a masked address or a network."""
    key = GroupKey(raddr=address)

    assert key.title(Grouping.parse(by), Names()) == expected


def test_a_title_of_one_field_is_its_value_and_of_several_names_them() -> None:
    """As the seed: `Key: 127.0.0.1`."""
    key = GroupKey(raddr=V4, rport=443)

    assert key.title(Grouping.parse("raddr"), Names()) == "10.0.0.1"
    assert key.title(Grouping.parse("rport"), Names()) == "443"
    assert key.title(Grouping.parse("raddr,rport"), Names()) == "raddr=10.0.0.1 rport=443"


def test_a_namespace_is_shown_by_name_where_it_has_one() -> None:
    """Labels keep the name as it is; a title is safe for a terminal."""
    by_netns = Grouping.parse("netns")

    assert GroupKey(netns=5).labels(by_netns, Names(netns={5: "a\nb"})) == {"netns": "a\nb"}
    assert GroupKey(netns=5).title(by_netns, Names(netns={5: "a\nb"})) == r"a\x0ab"
    assert GroupKey(netns=6).title(by_netns, Names(netns={5: "blue"})) == "6"


def test_parsing_options_does_not_import_numpy() -> None:
    """It alone would take most of the time that --help may take."""
    code = (
        "import sys, tcpvitals.model.key, tcpvitals.model.selection, tcpvitals.model.measurement;"
        "sys.exit('numpy' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
