"""Made-up events for the tests of sinks, and proof that they are what they claim."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from hypothesis import strategies as st

from tcpvitals.model.event import Cause, Ends, Owner, Retransmission, StateChange
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tcpvitals.model.event import Event

BOOT = datetime(2026, 1, 2, 3, 4, 5, 678_901, timezone(timedelta(hours=1)))
NO_NAMES = Names()
NONE_LOST = {"events": 0}
ALL_BYTES = bytes(range(1, 256))
HOSTILE = st.one_of(
    st.binary(max_size=16),
    st.sampled_from(
        [b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", "\u202eevil".encode(), b"a\nb\rc"]
    ),
)
"""Names that a process may give itself."""

ENDS = Ends(ip_address("10.0.0.1"), 40000, ip_address("192.168.100.100"), 443, 7)
ENDS6 = Ends(ip_address("2001:db8::1"), 40000, ip_address("2001:db8::ffff:0:2"), 443, 7)
OWNER = Owner(1234, b"nginx", 9)
NOBODY = Owner(0, b"", 0)

RESENT = Retransmission(
    time_ns=0,
    ends=ENDS,
    owner=OWNER,
    state=1,
    cause=Cause.FAST,
    segments=2,
    bytes=2896,
    seq=77,
    attempt=1,
    srtt_us=12_345,
    cwnd=10,
    errno=0,
)
SYNACK = replace(
    RESENT,
    owner=NOBODY,
    state=12,
    cause=Cause.SYNACK,
    segments=1,
    bytes=0,
    seq=None,
    srtt_us=0,
    cwnd=0,
    attempt=3,
)
CHANGED = StateChange(
    time_ns=0,
    ends=ENDS,
    owner=OWNER,
    socket=0xFFFF_8881_0203_0405,
    old_state=1,
    new_state=4,
    took_ns=12_345_678,
)


class EventSink(Protocol):
    """Whatever can show events."""

    def show(self, events: Sequence[Event], names: Names, losses: Mapping[str, int]) -> None:
        """Write them."""

    def lost(self, losses: Mapping[str, int], now_ns: int) -> None:
        """Write what was lost."""


def wall(boot_ns: int) -> datetime:
    """Return the time at which a made-up host of one hour east was up for so long."""
    return BOOT + timedelta(microseconds=boot_ns // 1000)


def made(sink: Callable[..., Any]) -> tuple[EventSink, io.StringIO]:
    """Return a sink, and the stream it writes to."""
    stream = io.StringIO()
    return sink(stream=stream, wall=wall), stream


def written(sink: Callable[..., Any], *events: Event, names: Names = NO_NAMES) -> str:
    """Return what a sink writes for these events in one go."""
    made_sink, stream = made(sink)
    made_sink.show(events, names, NONE_LOST)
    return stream.getvalue()


def test_the_made_up_host_started_at_four_minutes_past_three() -> None:
    """And time goes on from there."""
    assert wall(1_321_099_999).isoformat() == "2026-01-02T03:04:07+01:00"
