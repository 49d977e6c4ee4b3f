"""Layouts come from the shipped objects, and are what the Python half takes them for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_kernel_madeup import OBJECTS, layouts

from tcpvitals.errors import DecodeError
from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.keys import ROLES
from tcpvitals.model.histogram import BUCKETS
from tcpvitals.model.key import Field, Role
from tcpvitals.model.measurement import Sample
from tcpvitals.model.selection import PORTS_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

STRUCTS = (
    "settings",
    "address",
    "address_filter",
    "port_filter",
    "group",
    "group_key",
    "group_place",
    "rtt_counters",
    "socket_state",
    "listener",
    "losses",
    "listening",
    "accounted",
    "owner",
    "retrans_counters",
    "endpoints",
    "event",
    "retransmission",
    "state_change",
)
ENUMS = ("slot", "role", "scope", "key_part", "cause", "event_kind")
CACHE_LINE = 64


def fields(record: np.dtype[np.void]) -> dict[str, tuple[np.dtype[np.generic], int]]:
    """Return each field's type and offset."""
    names = record.names or ()
    offsets = {name: record.fields[name][1] for name in names} if record.fields else {}
    return {name: (record[name], int(offset)) for name, offset in offsets.items()}


@pytest.mark.parametrize("name", STRUCTS)
def test_both_objects_have_the_same_records(name: str) -> None:
    new, old = (layouts(o).struct(name) for o in OBJECTS)
    assert (new, new.itemsize) == (old, old.itemsize)


@pytest.mark.parametrize("name", ENUMS)
def test_both_objects_have_the_same_enumerators(name: str) -> None:
    new, old = (layouts(o).enum(name) for o in OBJECTS)
    assert new == old


@pytest.mark.parametrize("name", STRUCTS)
def test_no_record_has_a_hole_whose_contents_nobody_knows(name: str) -> None:
    record = layouts().struct(name)
    end = 0
    for kind, offset in fields(record).values():
        assert offset == end
        end = offset + kind.itemsize
    # `port_filter` ends on two bytes that C adds; user space writes them as zeroes.
    assert record.itemsize - end in ({0, 2} if name == "port_filter" else {0})


def test_counters_are_whole_cache_lines() -> None:
    record = layouts().struct("rtt_counters")
    assert record.itemsize == 3136
    assert record.itemsize % CACHE_LINE == 0
    assert fields(record)["buckets"] == (np.dtype(("<u8", (BUCKETS,))), CACHE_LINE)


def test_counters_lie_where_the_programs_write_them() -> None:
    record = layouts().struct("rtt_counters")
    assert {name: offset for name, (_, offset) in fields(record).items()} == {
        "generation": 0,
        "max_us": 4,
        "sum_us": 8,
        "min_us_complement": 16,
        "floor_us_complement": 20,
        "samples": 24,
        "handshakes": 32,
        "handshake_sum_us": 40,
        "padding": 48,
        "buckets": 64,
    }


def test_a_key_is_80_bytes_with_both_addresses_first() -> None:
    record = layouts().struct("group_key")
    assert record.itemsize == 80
    assert {name: (kind.itemsize, at) for name, (kind, at) in fields(record).items()} == {
        "laddr": (16, 0),
        "raddr": (16, 16),
        "comm": (16, 32),
        "netns_cookie": (8, 48),
        "cgroup_id": (8, 56),
        "netns_inode": (4, 64),
        "tgid": (4, 68),
        "lport": (2, 72),
        "rport": (2, 74),
        "service_port": (2, 76),
        "family": (1, 78),
        "role_scope": (1, 79),
    }


def test_structs_within_structs_and_arrays_keep_their_place() -> None:
    group = layouts().struct("group")
    assert fields(group)["key"] == (layouts().struct("group_key"), 0)
    assert (fields(group)["generation"][1], fields(group)["in_use"][1], group.itemsize) == (
        80,
        84,
        88,
    )
    ports = layouts().struct("port_range")
    assert layouts().struct("port_filter")["ranges"] == np.dtype((ports, (PORTS_LIMIT,)))
    assert layouts().struct("address")["words_be"] == np.dtype(("<u4", (4,)))


def test_a_place_is_as_wide_as_its_enum_and_its_generation() -> None:
    record = layouts().struct("group_place")
    assert fields(record) == {"slot": (np.dtype("<u4"), 0), "generation": (np.dtype("<u4"), 4)}


def test_settings_start_their_section() -> None:
    assert layouts().variable_offset(".rodata", "settings") == 0


@pytest.mark.parametrize(
    ("section", "variable"), [(".rodata", "no_such"), (".nowhere", "settings"), (".maps", "rtt")]
)
def test_an_unknown_variable_is_named(section: str, variable: str) -> None:
    with pytest.raises(DecodeError, match=rf"no (variable {variable} in|section) \{section}"):
        layouts().variable_offset(section, variable)


def test_maps_are_variables_of_their_section() -> None:
    assert layouts().variable_offset(".maps", "group_places") >= 0


@pytest.mark.parametrize("name", ["no_such", "cause"])
def test_an_unknown_struct_is_named(name: str) -> None:
    with pytest.raises(DecodeError, match=f"no struct {name};"):
        layouts().struct(name)


@pytest.mark.parametrize("name", ["no_such", "settings"])
def test_an_unknown_enum_is_named(name: str) -> None:
    with pytest.raises(DecodeError, match=f"no enum {name};"):
        layouts().enum(name)


# --- twins in the model ------------------------------------------------------------------


def test_every_sample_has_its_twin() -> None:
    assert set(layouts().struct("histograms").names or ()) == set(Sample)


def test_every_part_of_a_key_has_its_twin_and_a_bit_of_its_own() -> None:
    parts = layouts().enum("key_part")
    assert set(parts) == {f"KEY_{field.upper()}" for field in Field}
    assert sorted(parts.values()) == [1 << bit for bit in range(len(parts))]


def test_every_role_has_its_twin() -> None:
    roles = {"ROLE_UNKNOWN": 0} | {f"ROLE_{role.upper()}": at for at, role in ROLES.items()}
    assert layouts().enum("role") == roles
    assert set(ROLES.values()) == set(Role)


def test_the_slots_of_no_group_come_first_and_rejected_ones_have_none() -> None:
    slots = layouts().enum("slot")
    assert [slots[f"SLOT_{name}"] for name in ("UNRESOLVED", "OTHER", "FIRST")] == [0, 1, 2]
    assert slots["SLOT_REJECTED"] == 0xFFFFFFFF


# --- what a compiler could come up with --------------------------------------------------

INT, ARRAY, STRUCT, UNION, FLOAT, TYPEDEF, CONST, VOLATILE = 1, 3, 4, 5, 16, 8, 10, 9


def made_up_btf(*types: bytes, names: bytes = b"") -> bytes:
    """Return a .BTF section of these types; their names are offsets into `names`."""
    body, strings = b"".join(types), b"\0" + names
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings))
    return header + body + strings


def a_type(name: int, kind: int, size_or_type: int, *tail: int, entries: int = 0) -> bytes:
    """Return one type; `tail` are the 32-bit words after its first three."""
    return struct.pack(f"<{3 + len(tail)}I", name, kind << 24 | entries, size_or_type, *tail)


def qualified() -> Iterator[bytes]:
    """Type 1 is an int, 2 to 4 wrap it, 5 is `struct s` of an array of that."""
    yield a_type(0, INT, 4, 32)
    yield a_type(0, CONST, 1)
    yield a_type(0, VOLATILE, 2)
    yield a_type(0, TYPEDEF, 3)
    yield a_type(0, ARRAY, 0, 4, 1, 3)
    yield a_type(1, STRUCT, 16, 3, 5, 32, entries=1)


def test_qualifiers_and_typedefs_are_looked_through() -> None:
    record = Layouts(made_up_btf(*qualified(), names=b"s\0a\0")).struct("s")
    assert fields(record) == {"a": (np.dtype(("<u4", (3,))), 4)}
    assert record.itemsize == 16


@pytest.mark.parametrize("kind", [UNION, FLOAT])
def test_a_kind_that_no_record_should_have_is_refused_by_name(kind: int) -> None:
    odd = a_type(5, kind, 8)
    record = a_type(1, STRUCT, 8, 3, 1, 0, entries=1)
    with pytest.raises(DecodeError, match=rf"BTF kind {kind} \(odd\) in a record"):
        Layouts(made_up_btf(odd, record, names=b"s\0a\0odd\0")).struct("s")


@pytest.mark.parametrize("size", [0, 1, 23, 24, 25, 40, -1])
def test_btf_that_is_cut_off_is_one_error_of_its_own(size: int) -> None:
    raw = made_up_btf(*qualified(), names=b"s\0a\0")
    with pytest.raises(DecodeError, match=r"^cannot decode the BTF of the BPF object: ") as raised:
        Layouts(raw[:size])
    assert raised.value.exit_code == 20
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("header", [b"\xeb\x9f\1\0", b"\x9f\xeb\2\0"])
def test_another_magic_or_version_is_refused(header: bytes) -> None:
    raw = made_up_btf(*qualified(), names=b"s\0a\0")
    with pytest.raises(DecodeError, match="are not BTF's"):
        Layouts(header + raw[4:])


def test_a_type_that_is_cut_off_is_refused_and_not_read_in_part() -> None:
    short = a_type(1, STRUCT, 16, 3, 5, 32, entries=2)
    with pytest.raises(DecodeError, match="type 1 is cut off"):
        Layouts(made_up_btf(*list(qualified())[:5], short, names=b"s\0a\0"))


@pytest.mark.parametrize(
    "member",
    [
        (3, 1, 0),  # itself
        (3, 99, 0),  # no such type
        (99, 2, 0),  # a name outside the names
        (5, 2, 0),  # a name that is not UTF-8
        (3, 2, 4),  # a bit-field
        (3, 2, 1024),  # past the struct's end
        (3, 3, 0),  # an integer of three bytes
        (3, 4, 0),  # a typedef of itself
        (3, 5, 0),  # an array of four thousand million elements
    ],
)
def test_a_member_that_cannot_be_is_the_same_error(member: tuple[int, int, int]) -> None:
    types = (
        a_type(1, STRUCT, 16, *member, entries=1),
        a_type(0, INT, 4, 32),
        a_type(0, INT, 3, 24),
        a_type(0, TYPEDEF, 4),
        a_type(0, ARRAY, 0, 2, 2, 0xFFFFFFFF),
    )
    layouts_ = Layouts(made_up_btf(*types, names=b"s\0a\0\xff\0"))
    with pytest.raises(DecodeError, match=r"^cannot decode the BTF of the BPF object: "):
        layouts_.struct("s")
