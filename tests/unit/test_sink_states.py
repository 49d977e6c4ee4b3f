"""State changes as tcpstates shows them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from test_sink_madeup_events import (
    ALL_BYTES,
    CHANGED,
    ENDS6,
    HOSTILE,
    NO_NAMES,
    NOBODY,
    NONE_LOST,
    OWNER,
    RESENT,
    made,
    written,
)

from tcpvitals.sinks.states import StatesSink

HEADER = (
    "SKADDR           PID     COMM       LADDR           LPORT RADDR           RPORT "
    "OLDSTATE    -> NEWSTATE    MS\n"
)
ROW = (
    "ffff888102030405 1234    nginx      10.0.0.1        40000 192.168.100.100 443   "
    "ESTABLISHED -> FIN_WAIT1   12.346\n"
)
WIDE_HEADER = (
    "SKADDR           PID     COMM             IP LADDR                                   LPORT "
    "RADDR                                   RPORT OLDSTATE    -> NEWSTATE    MS\n"
)


def test_a_row_is_what_tcpstates_prints() -> None:
    """The header comes once, at the same widths."""
    sink, stream = made(StatesSink)
    for _ in range(2):
        sink.show([CHANGED], NO_NAMES, NONE_LOST)

    assert stream.getvalue() == HEADER + ROW + ROW


def test_what_nobody_knows_is_a_dash() -> None:
    """Neither a process 0 nor a time of 0.000."""
    event = replace(CHANGED, owner=NOBODY, old_state=7, new_state=2, took_ns=None)
    expected = (
        "ffff888102030405 -       -          10.0.0.1        40000 192.168.100.100 443   "
        "CLOSE       -> SYN_SENT    -\n"
    )

    assert HEADER + expected == written(StatesSink, event)


def test_a_time_too_short_to_show_is_not_an_unknown_one() -> None:
    """It is below half a microsecond."""
    assert written(StatesSink, replace(CHANGED, took_ns=499)).endswith(" 0.000\n")


def test_a_long_address_pushes_its_row() -> None:
    """It is never cut, and a command is."""
    event = replace(CHANGED, ends=ENDS6, owner=replace(OWNER, comm=b"fifteen-letters"))
    expected = (
        "ffff888102030405 1234    fifteen-le 2001:db8::1     40000 2001:db8::ffff:0:2 443   "
        "ESTABLISHED -> FIN_WAIT1   12.346\n"
    )

    assert HEADER + expected == written(StatesSink, event)


def test_wide_rows_have_room_for_whole_addresses_and_commands() -> None:
    """And a column for the IP version."""
    event = replace(CHANGED, ends=ENDS6, owner=replace(OWNER, comm=b"fifteen-letters"))
    expected = (
        "ffff888102030405 1234    fifteen-letters  6  2001:db8::1                             "
        "40000 2001:db8::ffff:0:2                      443   ESTABLISHED -> FIN_WAIT1   12.346\n"
    )

    assert WIDE_HEADER + expected == written(partial(StatesSink, wide=True), event)


def test_the_time_of_day_comes_first_when_asked_for() -> None:
    """That of the event."""
    later = replace(CHANGED, time_ns=55_000_000_000)
    text = written(partial(StatesSink, timestamp=True), CHANGED, later)

    assert f"TIME(s)  {HEADER}03:04:05 {ROW}03:05:00 {ROW}" == text


def test_a_state_that_has_no_name_yet_is_its_number() -> None:
    """Kernels learn new ones."""
    row = written(StatesSink, replace(CHANGED, old_state=12, new_state=13)).splitlines()[1]

    assert row[80:] == "NEW_SYN_RECV -> 13          12.346"


def test_other_events_are_no_rows() -> None:
    """The header comes all the same."""
    assert written(StatesSink, RESENT) == HEADER


def test_losses_are_a_line_of_their_own() -> None:
    """Among the rows, where they happened."""
    sink, stream = made(StatesSink)
    sink.lost({"events": 123, "socket_state": 0}, 0)
    sink.lost({}, 0)

    assert stream.getvalue() == "lost: events 123\n"


@settings(deadline=None)
@given(HOSTILE, st.booleans())
def test_no_command_can_do_anything_to_the_terminal(comm: bytes, wide: bool) -> None:  # noqa: FBT001
    """Nor move a column."""
    event = replace(CHANGED, owner=replace(OWNER, comm=comm))
    text = written(partial(StatesSink, wide=wide), event)
    header, row = text.splitlines()

    assert text.replace("\n", "").isprintable()
    assert header.index("LADDR") == row.index("10.0.0.1 ")
    assert header.index("MS") == row.index("12.346")


def test_a_command_of_every_byte_is_cut_after_it_is_made_safe() -> None:
    """An escape that does not fit is cut, too."""
    row = written(StatesSink, replace(CHANGED, owner=replace(OWNER, comm=ALL_BYTES)))

    assert row.splitlines()[1][25:36] == r"\x01\x02\x "
