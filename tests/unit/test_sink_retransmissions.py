"""Retransmissions as lines of text."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

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
    wall,
    written,
)

from tcpvitals.model.event import Cause, Ends
from tcpvitals.model.names import Names
from tcpvitals.sinks.retransmissions import RetransmissionsSink

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = (
    "TIME         NETNS        PID     COMM            LADDR:LPORT > RADDR:RPORT          "
    "           STATE        CAUSE      SEGS BYTES TRY   SRTT CWND\n"
)
LINE = (
    "03:04:05.678 7            1234    nginx           10.0.0.1:40000 > 192.168.100.100:443"
    "          ESTABLISHED  fast          2  2896   1 12.3ms   10\n"
)
NARROW_HEADER = (
    "TIME         LADDR:LPORT > RADDR:RPORT                     CAUSE      SEGS TRY\n"
    "             NETNS        PID     COMM            STATE        BYTES   SRTT CWND\n"
)
NARROW_LINE = (
    "03:04:05.678 10.0.0.1:40000 > 192.168.100.100:443          fast          2   1\n"
    "             7            1234    nginx           ESTABLISHED   2896 12.3ms   10\n"
)
WIDEST = Ends(ip_address("192.168.100.100"), 65535, ip_address("192.168.200.200"), 65535, 7)
WIDE = partial(RetransmissionsSink, size=lambda: (80, 24), wide=True)
ELSEWHERE = replace(RESENT, ends=replace(ENDS, netns=4026531840))


def terminal(columns: int, lines: int) -> partial[RetransmissionsSink]:
    """Return a sink for a terminal of this size."""
    return partial(RetransmissionsSink, size=lambda: (columns, lines))


def test_each_retransmission_is_a_line_under_one_header() -> None:
    """The first time of day is that of the event, not of the print."""
    assert written(RetransmissionsSink, RESENT, RESENT) == HEADER + LINE + LINE


def test_what_nobody_knows_is_a_dash() -> None:
    """A SYN-ACK has no owner, and its connection no RTT yet."""
    expected = (
        "03:04:05.678 7            -       -               10.0.0.1:40000 > 192.168.100.100:443  "
        "        NEW_SYN_RECV synack        1     0   3      -    0\n"
    )

    assert HEADER + expected == written(RetransmissionsSink, SYNACK)


def test_an_ipv6_address_is_whole_and_pushes_the_rest_of_its_line() -> None:
    """Brackets keep its port apart."""
    event = replace(RESENT, ends=ENDS6, cause=Cause.SLOW_START)
    expected = (
        "03:04:05.678 7            1234    nginx           [2001:db8::1]:40000 > "
        "[2001:db8::ffff:0:2]:443 "
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
        SYNACK,
        owner=owner,
        ends=WIDEST,
        cause=Cause.SLOW_START,
        segments=9999,
        bytes=65535,
        attempt=999,
    )
    header, line = written(
        RetransmissionsSink, replace(event, srtt_us=999_600, cwnd=9999)
    ).splitlines()

    assert line == (
        "03:04:05.678 7            4194304 fifteen-letters 192.168.100.100:65535 > "
        "192.168.200.200:65535 NEW_SYN_RECV slow-start 9999 65535 999  1.00s 9999"
    )
    assert len(header) == len(line) == 146


def test_the_namespace_has_a_column_from_the_start() -> None:
    """So that the headings never change, whatever comes."""
    sink, stream = made(RetransmissionsSink)
    for events in ([], [RESENT], [RESENT, ELSEWHERE], [RESENT]):
        sink.show(events, Names(netns={7: "blue", 8: "red"}), NONE_LOST)
    header, *lines = stream.getvalue().splitlines(keepends=True)

    assert header == HEADER
    assert [line[:26] for line in lines] == [
        "03:04:05.678 blue         ",
        "03:04:05.678 blue         ",
        "03:04:05.678 4026531840   ",
        "03:04:05.678 blue         ",
    ]


def test_a_long_name_of_a_namespace_loses_its_middle_on_a_terminal_that_has_no_room() -> None:
    """Hostile ones lose their power; neither -w nor a pipe cuts any."""
    names = Names(netns={7: "cni-5f3c7a9e-1d", 4026531840: "a\x1bb"})
    piped = written(RetransmissionsSink, RESENT, ELSEWHERE, names=names)
    narrow = written(terminal(200, 24), RESENT, ELSEWHERE, names=names)
    wide = written(partial(terminal(80, 24), wide=True), RESENT, ELSEWHERE, names=names)

    assert [line[13:31] for line in narrow.splitlines()[1:]] == [
        "cni-5f…9e-1d 1234 ",
        r"a\x1bb       1234 ",
    ]
    assert wide == piped
    assert "03:04:05.678 cni-5f3c7a9e-1d 1234 " in piped


def test_a_cut_is_marked_with_what_the_encoding_has() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "iso-8859-1", errors="strict")
    sink = RetransmissionsSink(stream=out, wall=wall, size=lambda: (200, 24))
    sink.show([RESENT], Names(netns={7: "cni-5f3c7a9e-1d"}), NONE_LOST)
    out.seek(0)

    assert out.read().splitlines()[1].startswith("03:04:05.678 cni-5f~9e-1d 1234 ")


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
    text = written(terminal(146, 24), event, names=names)
    header, line = text.splitlines()

    assert text.replace("\n", "").isprintable()
    assert len(line) == len(header)
    assert line[25:34] == " 1234    "
    assert line[49:] == LINE[49:-1]


def test_a_command_of_every_byte_is_cut_after_it_is_made_safe() -> None:
    """An escape that does not fit is cut, too."""
    line = written(RetransmissionsSink, replace(RESENT, owner=replace(OWNER, comm=ALL_BYTES)))

    assert line.splitlines()[1][34:50] == r"\x01\x02\x03\x0 "


# --- on a terminal ------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 80, 100, 145])
def test_a_row_that_does_not_fit_the_terminal_has_two_lines_with_every_column(columns: int) -> None:
    text = written(terminal(columns, 24), RESENT)

    assert text == NARROW_HEADER + NARROW_LINE
    assert sorted(NARROW_HEADER.split()) == sorted(HEADER.split())
    assert sorted(NARROW_LINE.split()) == sorted(LINE.split())
    assert max(map(len, text.splitlines())) == 80


@pytest.mark.parametrize("sink", [partial(RetransmissionsSink, size=lambda: (146, 24)), WIDE])
def test_a_row_that_fits_or_is_asked_for_is_one_line(sink: Callable[..., Any]) -> None:
    assert written(sink, RESENT) == HEADER + LINE


def test_one_of_two_lines_that_did_not_leave_this_host_says_so_in_the_first() -> None:
    first, _ = written(terminal(80, 24), replace(RESENT, errno=101)).splitlines()[2:]

    assert first == f"{NARROW_LINE.splitlines()[0]} !ENETUNREACH"


@pytest.mark.parametrize(("columns", "lines", "rows"), [(146, 10, 8), (80, 10, 3), (80, 2, 1)])
def test_every_screen_has_the_headings_once(columns: int, lines: int, rows: int) -> None:
    """Whether the events come in one go or one by one; never without an event under them."""
    header, line = (HEADER, LINE) if columns > 80 else (NARROW_HEADER, NARROW_LINE)
    at_once = written(terminal(columns, lines), *[RESENT] * (2 * rows + 1))
    sink, stream = made(terminal(columns, lines))
    sink.show([], NO_NAMES, NONE_LOST)
    for _ in range(2 * rows):
        sink.show([RESENT], NO_NAMES, NONE_LOST)

    assert at_once == 2 * (header + rows * line) + header + line
    assert stream.getvalue() == 2 * (header + rows * line)


def test_the_width_is_asked_with_each_heading() -> None:
    """Terminals are resized."""
    sizes = iter([(80, 4), (200, 4)])
    text = written(partial(RetransmissionsSink, size=lambda: next(sizes)), RESENT, RESENT)

    assert text == NARROW_HEADER + NARROW_LINE + HEADER + LINE
