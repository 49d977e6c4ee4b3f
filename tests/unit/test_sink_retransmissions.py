"""Retransmissions as lines of text."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sink_madeup_events import (
    ALL_BYTES,
    CHANGED,
    ENDS,
    ENDS6,
    HOSTILE,
    NO_NAMES,
    NONE_LOST,
    OWNER,
    RESENT,
    SYNACK,
    made,
    written,
)

from tcpvitals.model.event import Cause
from tcpvitals.model.names import Names
from tcpvitals.sinks.retransmissions import RetransmissionsSink

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HEADER = (
    "TIME         PID     COMM            IP LADDR:LPORT           RADDR:RPORT           "
    "STATE        CAUSE      SEGS BYTES TRY   SRTT CWND\n"
)
LINE = (
    "03:04:05.678 1234    nginx           4  10.0.0.1:40000        192.168.100.100:443   "
    "ESTABLISHED  fast          2  2896   1 12.3ms   10\n"
)
WITH_NETNS = "TIME         NETNS        PID     COMM "
ELSEWHERE = replace(RESENT, ends=replace(ENDS, netns=4026531840))


def test_each_retransmission_is_a_line_under_one_header() -> None:
    """The first time of day is that of the event, not of the print."""
    assert written(RetransmissionsSink, RESENT, RESENT) == HEADER + LINE + LINE


def test_what_nobody_knows_is_a_dash() -> None:
    """A SYN-ACK has no owner, and its connection no RTT yet."""
    expected = (
        "03:04:05.678 -       -               4  10.0.0.1:40000        192.168.100.100:443   "
        "NEW_SYN_RECV synack        1     0   3      -    0\n"
    )

    assert HEADER + expected == written(RetransmissionsSink, SYNACK)


def test_an_ipv6_address_is_whole_and_pushes_the_rest_of_its_line() -> None:
    """Brackets keep its port apart."""
    event = replace(RESENT, ends=ENDS6, cause=Cause.SLOW_START)
    expected = (
        "03:04:05.678 1234    nginx           6  [2001:db8::1]:40000   [2001:db8::ffff:0:2]:443 "
        "ESTABLISHED  slow-start    2  2896   1 12.3ms   10\n"
    )

    assert HEADER + expected == written(RetransmissionsSink, event)


def test_one_that_did_not_leave_this_host_ends_with_the_error() -> None:
    """By its name, or by its number if it has none."""
    events = [replace(RESENT, errno=errno) for errno in (101, 9999)]
    lines = written(RetransmissionsSink, *events).splitlines()

    assert [f"{LINE[:-1]} !ENETUNREACH", f"{LINE[:-1]} !9999"] == lines[1:]


def test_widest_figures_keep_the_columns() -> None:
    """A full IPv4 address, the longest command, process id, state and cause."""
    owner = replace(OWNER, pid=4_194_304, comm=b"fifteen-letters")
    event = replace(
        SYNACK, owner=owner, cause=Cause.SLOW_START, segments=9999, bytes=65535, attempt=999
    )
    header, line = written(
        RetransmissionsSink, replace(event, srtt_us=999_600, cwnd=9999)
    ).splitlines()

    assert line == (
        "03:04:05.678 4194304 fifteen-letters 4  10.0.0.1:40000        192.168.100.100:443   "
        "NEW_SYN_RECV slow-start 9999 65535 999  1.00s 9999"
    )
    assert len(header) == len(line) == 134


def test_the_namespace_is_shown_from_the_second_one_on() -> None:
    """With a new header; before, it would say nothing."""
    sink, stream = made(RetransmissionsSink)
    for events in ([RESENT], [RESENT, ELSEWHERE], [RESENT]):
        sink.show(events, NO_NAMES, NONE_LOST)
    lines = stream.getvalue().splitlines(keepends=True)

    assert lines[:2] == [HEADER, LINE]
    assert lines[2].startswith(WITH_NETNS)
    assert [line[:29] for line in lines[3:]] == [
        "03:04:05.678 7            123",
        "03:04:05.678 4026531840   123",
        "03:04:05.678 7            123",
    ]
    assert lines[3][:13] + lines[3][26:] == LINE


def test_the_namespace_is_shown_at_once_where_several_have_names() -> None:
    """Long names lose their middle, hostile ones their power."""
    names = Names(netns={7: "cni-5f3c7a9e-1d", 4026531840: "a\x1bb"})
    header, first, second = written(
        RetransmissionsSink, RESENT, ELSEWHERE, names=names
    ).splitlines()

    assert header.startswith(WITH_NETNS)
    assert first.startswith("03:04:05.678 cni-5f…9e-1d 1234    nginx ")
    assert second.startswith(r"03:04:05.678 a\x1bb       1234    nginx ")


def test_a_single_named_namespace_is_not_worth_a_column() -> None:
    """Every host has one."""
    assert written(RetransmissionsSink, RESENT, names=Names(netns={7: "host"})) == HEADER + LINE


def test_the_header_comes_before_the_first_event() -> None:
    """Showing none is how to say that all is well so far."""
    sink, stream = made(RetransmissionsSink)
    sink.show([], NO_NAMES, NONE_LOST)
    sink.show([CHANGED], NO_NAMES, NONE_LOST)

    assert stream.getvalue() == HEADER


def test_losses_are_a_line_of_their_own() -> None:
    """Each kind that there was."""
    sink, stream = made(RetransmissionsSink)
    sink.lost({"events": 123, "socket_state": 0, "namespaces": 4}, 0)
    sink.lost({"events": 0}, 0)

    assert stream.getvalue() == "lost: events 123, namespaces 4\n"


@settings(deadline=None)
@given(HOSTILE, st.text(max_size=20))
def test_no_name_can_do_anything_to_the_terminal(comm: bytes, netns: str) -> None:
    """Neither a process's nor a namespace's, and neither moves a column."""
    names = Names(netns={7: netns, 8: ""})
    event = replace(RESENT, owner=replace(OWNER, comm=comm))
    text = written(RetransmissionsSink, event, names=names)
    header, line = text.splitlines()

    assert text.replace("\n", "").isprintable()
    assert len(line) == len(header)
    assert line[25:34] == " 1234    "
    assert line[49:] == LINE[36:-1]


def test_a_command_of_every_byte_is_cut_after_it_is_made_safe() -> None:
    """An escape that does not fit is cut, too."""
    line = written(RetransmissionsSink, replace(RESENT, owner=replace(OWNER, comm=ALL_BYTES)))

    assert line.splitlines()[1][21:37] == r"\x01\x02\x03\x0 "


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (140, "TIME PID COMM IP LADDR:LPORT RADDR:RPORT STATE CAUSE SEGS BYTES TRY SRTT CWND"),
        (130, "TIME PID COMM IP LADDR:LPORT RADDR:RPORT STATE CAUSE SEGS BYTES TRY SRTT"),
        (100, "TIME PID COMM LADDR:LPORT RADDR:RPORT CAUSE SEGS TRY"),
        (80, "TIME PID LADDR:LPORT RADDR:RPORT CAUSE TRY"),
        (20, "TIME PID LADDR:LPORT RADDR:RPORT CAUSE TRY"),
    ],
)
def test_a_narrow_terminal_gets_the_columns_that_fit(columns: int, headings: str) -> None:
    stream = io.StringIO()
    sink = RetransmissionsSink(stream=stream, wall=lambda _ns: NOON, width=lambda: columns)
    sink.show([RESENT], NO_NAMES, NONE_LOST)
    header, line = stream.getvalue().splitlines()
    assert header.split() == headings.split()
    assert max(len(header), len(line)) <= max(columns, 80)
