"""Records filled as events.h fills them become the events that they tell, in the same order."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_madeup import OBJECTS, layouts
from test_sink_madeup_events import CHANGED, ENDS6, NOBODY, OWNER, RESENT, SYNACK

from tcpvitals.errors import DecodeError
from tcpvitals.kernel.event_records import EventRecords
from tcpvitals.model.event import Cause, Ends, Owner, Retransmission, StateChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.event import Event

U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
# A SYN-ACK's record has a sequence number all the same, and nobody may believe it.
UNSET_SEQ = 0xDEADBEEF
MANY = 20_000


def fill_head(head: Any, event: Event) -> None:  # noqa: ANN401 - numpy's view of a struct
    """Fill a `struct event` but for its kind."""
    head["since_boot_ns"] = event.time_ns
    head["cgroup_id"] = event.owner.cgroup_id
    for name, address in (("laddr", event.ends.laddr), ("raddr", event.ends.raddr)):
        packed = address.packed.ljust(16, b"\0")
        head["ends"][name]["words_be"] = np.frombuffer(packed, "<u4")
    for name in ("lport", "rport", "family"):
        head["ends"][name] = getattr(event.ends, name)
    head["ends"]["netns_inode"] = event.ends.netns
    head["owner"]["tgid"] = event.owner.pid
    head["owner"]["comm"] = np.frombuffer(event.owner.comm.ljust(16, b"\0"), np.uint8)


def encoded(event: Event, name: str = OBJECTS[0]) -> bytes:
    """Return the record of an event, as the programs of an object would write it."""
    kinds, causes = layouts(name).enum("event_kind"), layouts(name).enum("cause")
    resent = isinstance(event, Retransmission)
    record = np.zeros(1, layouts(name).struct("retransmission" if resent else "state_change"))
    fill_head(record[0]["event"], event)
    record["event"]["kind"] = kinds["EVENT_RETRANSMISSION" if resent else "EVENT_STATE"]
    if isinstance(event, Retransmission):
        for field in ("segments", "bytes", "attempt", "srtt_us", "cwnd", "state"):
            record[field] = getattr(event, field)
        record["seq"] = UNSET_SEQ if event.seq is None else event.seq
        record["error"] = event.errno
        record["cause"] = causes[f"CAUSE_{event.cause.name}"]
    else:
        for field in ("socket", "old_state", "new_state"):
            record[field] = getattr(event, field)
        record["took_ns"] = event.took_ns or 0
    return record.tobytes()


def decoded(records: Sequence[bytes], name: str = OBJECTS[0]) -> list[Event]:
    """Return the events of these records."""
    return EventRecords(layouts(name)).decode(records)


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("event", [RESENT, CHANGED])
def test_an_ipv4_event_has_all_that_its_record_has(name: str, event: Event) -> None:
    assert decoded([encoded(event, name)], name) == [event]


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("event", [RESENT, CHANGED])
def test_an_ipv6_address_keeps_all_sixteen_bytes_in_order(name: str, event: Event) -> None:
    ends = replace(ENDS6, laddr=ip_address("2001:db8:1:2:3:4:5:6"))
    event = replace(event, ends=ends)
    assert decoded([encoded(event, name)], name) == [event]


@pytest.mark.parametrize(("family", "address"), [(4, IPv4Address(0)), (6, IPv6Address(0))])
def test_the_address_of_all_zeroes_is_of_the_family_that_the_record_names(
    family: int, address: IPv4Address | IPv6Address
) -> None:
    event = replace(CHANGED, ends=Ends(address, 0, address, 0, 7))
    assert event.ends.family == family
    assert decoded([encoded(event)]) == [event]


@pytest.mark.parametrize("event", [RESENT, CHANGED])
def test_an_owner_that_nobody_knows_is_nobody(event: Event) -> None:
    event = replace(event, owner=NOBODY)
    assert decoded([encoded(event)]) == [event]


@pytest.mark.parametrize(
    ("comm", "name"),
    [
        (b"nginx\0garbage\0\0\0", b"nginx"),
        (b"fifteen bytes.\0!", b"fifteen bytes."),
        (b"sixteen bytes...", b"sixteen bytes..."),
        (b"\0set by nobody..", b""),
        (b"\x1b[31m\xff\xfe\0" + bytes(8), b"\x1b[31m\xff\xfe"),
    ],
)
def test_a_command_ends_at_its_first_zero_byte_and_is_not_made_printable(
    comm: bytes, name: bytes
) -> None:
    [event] = decoded([encoded(replace(RESENT, owner=Owner(1234, comm, 9)))])
    assert event.owner == Owner(1234, name, 9)


def test_a_syn_ack_has_no_sequence_number_whatever_its_record_says() -> None:
    record = encoded(SYNACK)
    assert UNSET_SEQ.to_bytes(4, "little") in record
    assert decoded([record]) == [SYNACK]


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("name", OBJECTS)
def test_each_cause_is_the_enumerator_of_its_own_name(name: str, cause: Cause) -> None:
    event = replace(RESENT, cause=cause, seq=None if cause is Cause.SYNACK else 77)
    assert decoded([encoded(event, name)], name) == [event]


@pytest.mark.parametrize("number", [7, 255, 2**32 - 1])
def test_a_cause_that_nobody_knows_is_another_one(number: int) -> None:
    record = np.frombuffer(encoded(RESENT), layouts().struct("retransmission")).copy()
    record["cause"] = number
    assert decoded([record.tobytes()]) == [replace(RESENT, cause=Cause.OTHER)]


def test_a_time_of_zero_in_the_old_state_is_one_that_nobody_knows() -> None:
    assert decoded([encoded(replace(CHANGED, took_ns=None))]) == [replace(CHANGED, took_ns=None)]
    assert decoded([encoded(replace(CHANGED, took_ns=1))]) == [replace(CHANGED, took_ns=1)]


def test_no_records_are_no_events() -> None:
    assert decoded([]) == []


def test_what_the_ring_adds_at_the_end_of_a_record_is_left_out() -> None:
    records = [encoded(event) + b"\xff" * 8 for event in (RESENT, CHANGED, SYNACK)]
    assert decoded(records) == [RESENT, CHANGED, SYNACK]


def test_numbers_are_whole_pythons_own_and_as_large_as_the_kernels() -> None:
    largest = StateChange(2**64 - 1, ENDS6, OWNER, 2**64 - 1, 2**32 - 1, 2**32 - 1, 2**64 - 1)
    [event] = decoded([encoded(largest)])
    assert event == largest
    assert type(event.time_ns) is int


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([b""], "4 bytes"),
        ([encoded(RESENT)[:-1]], "bytes of kind 1, which has"),
        ([encoded(CHANGED), encoded(CHANGED)[:-8], encoded(CHANGED)[:8]], "bytes"),
        ([encoded(RESENT), encoded(RESENT)[:40]], "84 bytes"),
        ([bytes(500)], "unknown kind 0"),
        ([b"\xff" * 500], "unknown kind 4294967295"),
    ],
)
def test_a_record_that_cannot_be_is_one_error_of_its_own(records: list[bytes], why: str) -> None:
    with pytest.raises(DecodeError, match=f"^cannot decode a record of an event: .*{why}"):
        decoded(records)


# --- any events, in any order ------------------------------------------------------------

ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
COMMS = st.binary(max_size=16).map(lambda raw: raw.partition(b"\0")[0])
ANY_OWNER = st.builds(Owner, U32, COMMS, U64)
ANY_ENDS = st.builds(
    lambda both, lport, rport, netns: Ends(both[0], lport, both[1], rport, netns),
    *(ADDRESSES, U16, U16, U32),
)
RETRANSMISSIONS = st.builds(
    Retransmission,
    time_ns=U64,
    ends=ANY_ENDS,
    owner=ANY_OWNER,
    state=U32,
    cause=st.sampled_from([cause for cause in Cause if cause is not Cause.SYNACK]),
    segments=U32,
    bytes=U32,
    seq=U32,
    attempt=U32,
    srtt_us=U32,
    cwnd=U32,
    errno=U32,
)
CHANGES = st.builds(StateChange, U64, ANY_ENDS, ANY_OWNER, U64, U32, U32, st.integers(1, 2**64 - 1))


@settings(deadline=None)
@given(st.lists(st.one_of(RETRANSMISSIONS, CHANGES), max_size=12))
def test_any_events_of_both_kinds_come_back_in_their_order(events: list[Event]) -> None:
    assert decoded([encoded(event) for event in events]) == events


def one_of_many(number: int) -> Event:
    """Return an event unlike all others."""
    laddr = IPv4Address(number) if number % 2 else IPv6Address(number << 64)
    ends = Ends(laddr, number, type(laddr)(number + 1), 443, number + 2)
    owner = Owner(number + 3, b"%d" % number, number << 32)
    if number % 3:
        return replace(RESENT, time_ns=number, ends=ends, owner=owner, seq=number, bytes=number)
    return replace(CHANGED, time_ns=number, ends=ends, owner=owner, socket=number << 16)


def test_twenty_thousand_of_both_kinds_and_families_are_each_decoded_right() -> None:
    events = [one_of_many(number) for number in range(MANY)]
    assert decoded([encoded(event) for event in events]) == events
