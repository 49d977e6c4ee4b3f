"""`--json` of events, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sink_madeup_events import (
    ALL_BYTES,
    BOOT,
    CHANGED,
    ENDS,
    ENDS6,
    HOSTILE,
    NO_NAMES,
    NOBODY,
    OWNER,
    RESENT,
    SYNACK,
    made,
    written,
)

from tcpvitals.model.names import Names
from tcpvitals.sinks.eventjson import EventJsonSink, rfc3339_us

if TYPE_CHECKING:
    from datetime import tzinfo

CONTAINER = "0123456789abcdef" * 4
POD = "12345678-90ab-cdef-1234-567890abcdef"
NAMES = Names(
    netns={7: "blue"},
    cgroups={9: "/system.slice/nginx.service", 10: f"/kubepods/pod{POD}/{CONTAINER}"},
)


def objects(*events: object, names: Names = NAMES) -> list[dict[str, object]]:
    """Return the objects that are written for these events."""
    lines = written(EventJsonSink, *events, names=names).splitlines()  # type: ignore[arg-type]
    return [json.loads(line) for line in lines]


def test_a_retransmission_has_every_field_in_its_order() -> None:
    """The whole line is the contract."""
    assert written(EventJsonSink, RESENT, names=NAMES) == (
        '{"type":"retransmission","timestamp":"2026-01-02T03:04:05.678901+01:00","pid":1234,'
        '"comm":"nginx","state":1,"ipversion":4,"source":{"ip":"10.0.0.1","port":40000},'
        '"destination":{"ip":"192.168.100.100","port":443},"cause":"fast","segments":2,'
        '"bytes":2896,"seq":77,"attempt":1,"srtt_us":12345,"cwnd":10,"errno":null,"failed":false,'
        '"netns":"blue","cgroup":"/system.slice/nginx.service","dropped":{"events":0}}\n'
    )


def test_a_state_change_has_every_field_in_its_order() -> None:
    """The whole line is the contract."""
    assert written(EventJsonSink, CHANGED, names=NAMES) == (
        '{"type":"state","timestamp":"2026-01-02T03:04:05.678901+01:00","pid":1234,'
        '"comm":"nginx","ipversion":4,"source":{"ip":"10.0.0.1","port":40000},'
        '"destination":{"ip":"192.168.100.100","port":443},"socket":"ffff888102030405",'
        '"oldstate":"ESTABLISHED","newstate":"FIN_WAIT1","ms":12.346,'
        '"netns":"blue","cgroup":"/system.slice/nginx.service","dropped":{"events":0}}\n'
    )


def test_what_nobody_knows_is_null() -> None:
    """And never a 0 that could be taken for a figure."""
    (synack,) = objects(SYNACK)
    (change,) = objects(replace(CHANGED, owner=NOBODY, took_ns=None))

    assert [synack[name] for name in ("pid", "comm", "seq", "cgroup", "errno")] == [None] * 5
    assert [change[name] for name in ("pid", "comm", "cgroup", "ms")] == [None] * 4


def test_one_that_did_not_leave_this_host_says_why() -> None:
    """The error's name, or its number as text."""
    lines = objects(replace(RESENT, errno=101), replace(RESENT, errno=9999))

    assert [(line["failed"], line["errno"]) for line in lines] == [
        (True, "ENETUNREACH"),
        (True, "9999"),
    ]


def test_ipv6_is_a_number_and_whole_addresses() -> None:
    """Without brackets: the port is a field of its own."""
    (line,) = objects(replace(RESENT, ends=ENDS6))

    assert (line["ipversion"], line["source"], line["destination"]) == (
        6,
        {"ip": "2001:db8::1", "port": 40000},
        {"ip": "2001:db8::ffff:0:2", "port": 443},
    )


def test_a_container_and_its_pod_are_named_where_the_path_names_them() -> None:
    """Of a retransmission, with the container's whole id; events in one batch keep theirs apart."""
    there = replace(OWNER, cgroup_id=10)
    events = [RESENT, replace(RESENT, owner=there), replace(CHANGED, owner=there)]
    lines = objects(*events, RESENT)

    assert [(line.get("container"), line.get("pod")) for line in lines] == [
        (None, None),
        (CONTAINER, POD),
        (None, None),
        (None, None),
    ]
    assert [list(line)[-3:] for line in lines[:2]] == [
        ["netns", "cgroup", "dropped"],
        ["container", "pod", "dropped"],
    ]


def test_what_has_no_name_any_more_is_its_number() -> None:
    """As text, so that the type of a field never changes."""
    (line,) = objects(replace(RESENT, ends=replace(ENDS, netns=4026531840)), names=NO_NAMES)

    assert (line["netns"], line["cgroup"]) == ("4026531840", "9")


def test_every_line_has_what_was_lost_so_far() -> None:
    """A reader of any line knows how much to trust all of them."""
    sink, stream = made(EventJsonSink)
    sink.show([RESENT, CHANGED], NO_NAMES, {"events": 3, "socket_state": 0})
    sink.show([RESENT], NO_NAMES, {"events": 5, "socket_state": 1})

    assert [json.loads(line)["dropped"] for line in stream.getvalue().splitlines()] == [
        {"events": 3, "socket_state": 0},
        {"events": 3, "socket_state": 0},
        {"events": 5, "socket_state": 1},
    ]


def test_losses_without_events_are_a_line_of_their_own() -> None:
    """With the time at which they were found."""
    sink, stream = made(EventJsonSink)
    sink.lost({"events": 123, "namespaces": 0}, 2_000_000_000)

    assert stream.getvalue() == (
        '{"type":"lost","time":"2026-01-02T03:04:07.678901+01:00",'
        '"dropped":{"events":123,"namespaces":0}}\n'
    )


@pytest.mark.parametrize(
    ("zone", "expected"),
    [(BOOT.tzinfo, "2026-01-02T03:04:05.678901+01:00"), (UTC, "2026-01-02T02:04:05.678901Z")],
)
def test_times_are_rfc_3339_to_the_microsecond(zone: tzinfo, expected: str) -> None:
    """UTC is Z."""
    assert expected == rfc3339_us(BOOT.astimezone(zone))


@settings(deadline=None)
@given(HOSTILE, st.text(), st.text())
def test_every_line_stays_one_of_plain_ascii(comm: bytes, netns: str, cgroup: str) -> None:
    """Whatever processes, namespaces and cgroups are called; and decoded it is safe to show."""
    names = Names(netns={7: netns}, cgroups={9: cgroup})
    owner = replace(OWNER, comm=comm)
    events = (replace(RESENT, owner=owner), replace(CHANGED, owner=owner))
    text = written(EventJsonSink, *events, names=names)

    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    for line in text.splitlines():
        found = json.loads(line)
        shown = (found["comm"] or "", found["netns"], found["cgroup"])
        assert all(each.isprintable() for each in shown)


def test_a_command_of_every_byte_is_whole() -> None:
    """Escaped, and not cut."""
    (line,) = objects(replace(RESENT, owner=replace(OWNER, comm=ALL_BYTES)))
    letters = "".join(chr(byte) for byte in range(0x20, 0x7F))

    assert line["comm"] == "".join(
        chr(byte) if chr(byte) in letters else f"\\x{byte:02x}" for byte in ALL_BYTES
    )
