"""Keys as the programs write them, and what they are called in the model."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_madeup import OBJECTS, layouts

from tcpvitals.kernel.keys import SCOPES, decode_key
from tcpvitals.model.key import Field, Grouping, GroupKey, Role
from tcpvitals.model.scope import Scope

EVERYTHING = Grouping(tuple(Field))


def record(laddr: str = "::", raddr: str = "::", **values: int) -> np.void:
    """Return a `struct group_key` as counters.h would fill it."""
    key = np.zeros(1, layouts().struct("group_key"))
    for name, text in (("laddr", laddr), ("raddr", raddr)):
        packed = ip_address(text).packed.ljust(16, b"\0")
        key[name]["words_be"] = np.frombuffer(packed, "<u4")
    for name, value in values.items():
        key[name] = value
    return key[0]  # type: ignore[no-any-return]


def test_an_ipv4_key_has_all_its_parts() -> None:
    key = record(
        "10.0.0.1",
        "192.0.2.7",
        family=4,
        lport=80,
        rport=50000,
        service_port=80,
        role_scope=2 | 4 << 4,
        netns_inode=0xF0000001,
    )
    assert decode_key(key, EVERYTHING) == GroupKey(
        laddr=IPv4Address("10.0.0.1"),
        raddr=IPv4Address("192.0.2.7"),
        lport=80,
        rport=50000,
        service=80,
        role=Role.SERVER,
        scope=Scope.PRIVATE,
        netns=0xF0000001,
    )


def test_an_ipv6_key_keeps_all_sixteen_bytes_in_order() -> None:
    key = record("2001:db8:1:2:3:4:5:6", "fe80::1", family=6, role_scope=1)
    decoded = decode_key(key, EVERYTHING)
    assert decoded.laddr == IPv6Address("2001:db8:1:2:3:4:5:6")
    assert decoded.raddr == IPv6Address("fe80::1")
    assert decoded.role is Role.CLIENT


@pytest.mark.parametrize(("family", "address"), [(4, IPv4Address(0)), (6, IPv6Address(0))])
def test_the_address_of_all_zeroes_is_an_address_and_its_family_is_known(
    family: int, address: IPv4Address | IPv6Address
) -> None:
    decoded = decode_key(record(family=family), Grouping((Field.RADDR,)))
    assert decoded == GroupKey(raddr=address)
    assert decoded != decode_key(record(), Grouping())


@pytest.mark.parametrize("role", [0, 3, 15])
def test_a_role_that_nobody_knows_is_none(role: int) -> None:
    assert decode_key(record(role_scope=role), Grouping((Field.ROLE,))) == GroupKey(role=None)


@pytest.mark.parametrize("name", OBJECTS)
def test_the_numbers_of_scopes_are_those_of_the_programs(name: str) -> None:
    numbers = layouts(name).enum("scope")
    assert {f"SCOPE_{scope.name}": number for number, scope in SCOPES.items()} == {
        enumerator: number for enumerator, number in numbers.items() if number
    }
    assert set(SCOPES.values()) == set(Scope)


@pytest.mark.parametrize("number", [0, 3, 15])
def test_a_scope_that_is_unknown_is_none(number: int) -> None:
    assert decode_key(record(role_scope=number << 4), Grouping((Field.SCOPE,))) == GroupKey(
        scope=None
    )
    assert decode_key(record(role_scope=4 << 4), Grouping((Field.SCOPE,))) == GroupKey(
        scope=Scope.PRIVATE
    )


def test_the_whole_host_has_the_key_without_parts() -> None:
    assert decode_key(record(), Grouping()) == GroupKey()


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(Field), unique=True),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_only_the_fields_grouped_by_are_there(
    fields: list[Field], port: int, inode: int, address: int
) -> None:
    text = str(IPv4Address(address))
    key = record(
        text,
        text,
        family=4,
        lport=port,
        rport=port,
        service_port=port,
        role_scope=1,
        netns_inode=inode,
    )
    decoded = decode_key(key, Grouping(tuple(fields)))
    everything = decode_key(key, EVERYTHING)
    for field in Field:
        expected = getattr(everything, field) if field in fields else None
        assert getattr(decoded, field) == expected
    assert everything.laddr == everything.raddr == IPv4Address(address)
    assert (everything.lport, everything.rport, everything.service) == (port, port, port)
    assert everything.netns == inode


def test_what_else_the_record_has_does_not_tell_groups_of_one_name_apart() -> None:
    grouping = Grouping((Field.NETNS,))
    first = decode_key(record(netns_inode=7, netns_cookie=1), grouping)
    assert first == decode_key(record(netns_inode=7, netns_cookie=2), grouping)
