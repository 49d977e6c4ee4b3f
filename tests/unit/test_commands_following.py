"""Events as they happen: when they are shown, what is said of losses, and how it ends."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from test_commands_madeup import Clock, MadeUpStop
from test_sink_madeup_events import CHANGED, RESENT

from tcpvitals.commands.following import Follower
from tcpvitals.commands.moments import Schedule
from tcpvitals.errors import OutputError
from tcpvitals.kernel import cgroups, netns
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tcpvitals.model.event import Event
    from tcpvitals.sources.live import LiveSockets

START_S = 1000.0
BLUE = Names({7: "blue"}, {9: "/nginx"})


@dataclass
class Sink:
    """Notes what it was given."""

    shown: list[list[Event]] = field(default_factory=list)
    names: list[Names] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    fails: OSError | None = None

    def show(self, events: Sequence[Event], names: Names, losses: Mapping[str, int]) -> None:
        """Note the events, unless there are none."""
        if events:
            self.shown.append(list(events))
            self.names.append(names)
            self.told.append(f"shown {len(events)}, lost {dict(losses)}")
        if self.fails:
            raise self.fails

    def lost(self, losses: Mapping[str, int], now_ns: int) -> None:
        """Note what was lost, and when."""
        self.told.append(f"lost {dict(losses)} at {now_ns // 10**9 - round(START_S)} s")


@dataclass
class Source:
    """Events at given times, found at the next look; or a flood of them, eight a second."""

    clock: Clock
    script: list[tuple[float, list[Event], dict[str, int]]] = field(default_factory=list)
    events_fd: int | None = None
    flood: bool = False
    owners: list[float] = field(default_factory=list)
    _losses: dict[str, int] = field(default_factory=dict)

    def events(self) -> list[Event]:
        """Take what has happened by now."""
        if self.flood:
            self.clock.pass_time(0.125)
            return [RESENT]
        now_s = self.clock.now_s - START_S
        found: list[Event] = []
        while self.script and self.script[0][0] <= now_s:
            _, events, self._losses = self.script.pop(0)
            found += events
        return found

    def losses(self) -> Mapping[str, int]:
        """Count what was lost by now."""
        return self._losses

    def keep_up(self) -> None:
        """Note when."""
        self.owners.append(self.clock.now_s - START_S)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock, on a host with names."""
    monkeypatch.setattr(netns, "names", lambda: dict(BLUE.netns))
    monkeypatch.setattr(cgroups, "find", lambda _wanted: dict(BLUE.cgroups))
    return Clock(monkeypatch, START_S)


@pytest.fixture
def ready() -> Iterator[int]:
    """Return a descriptor that can always be read from."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    yield fd
    os.close(fd)


def follow(  # noqa: PLR0913 - a run has as many circumstances
    source: Source,
    sink: Sink,
    *,
    interval_s: float | None = None,
    duration_s: float | None = None,
    signal_s: float = math.inf,
    takes_s: Sequence[float] = (),
) -> list[float]:
    """Follow to the end; when something was done at each interval."""
    clock, times, lasting = source.clock, [], iter(takes_s)

    def at_each() -> None:
        times.append(clock.now_s - START_S)
        clock.pass_time(next(lasting, 0.0))

    follower = Follower(cast("LiveSockets", source), sink)
    follower.follow(MadeUpStop(clock, signal_s), Schedule(interval_s, duration_s), at_each)
    return times


def lost(count: int) -> dict[str, int]:
    """Return losses of which one kind has a count."""
    return {"recursion": 0, "events": count}


# --- what is shown -----------------------------------------------------------------------


def test_events_are_shown_in_their_order_all_those_of_one_look_at_once(clock: Clock) -> None:
    later = replace(RESENT, time_ns=5)
    source = Source(clock, [(0, [RESENT, CHANGED], {}), (0, [later], {}), (3, [CHANGED], {})])
    sink = Sink()
    follow(source, sink, duration_s=5)
    assert sink.shown == [[RESENT, CHANGED, later], [CHANGED]]


def test_events_come_with_the_names_they_need(clock: Clock) -> None:
    sink = Sink()
    follow(Source(clock, [(0, [RESENT], {})]), sink, duration_s=1)
    assert sink.names == [BLUE]


def test_losses_are_told_after_the_events_before_them_and_once_for_each_change(
    clock: Clock,
) -> None:
    source = Source(
        clock,
        [
            (1, [RESENT], lost(0)),
            (2, [RESENT, RESENT], lost(2)),
            (3, [RESENT], lost(2)),
            (4, [], lost(5)),
        ],
    )
    sink = Sink()
    follow(source, sink, duration_s=10)
    assert sink.told == [
        "shown 1, lost {'recursion': 0, 'events': 0}",
        "shown 2, lost {'recursion': 0, 'events': 2}",
        "lost {'recursion': 0, 'events': 2} at 2 s",
        "shown 1, lost {'recursion': 0, 'events': 2}",
        "lost {'recursion': 0, 'events': 5} at 4 s",
    ]


def test_where_nothing_is_lost_nothing_is_said(clock: Clock) -> None:
    sink = Sink()
    follow(Source(clock, [(1, [], lost(0))]), sink, duration_s=10)
    assert sink.told == []


def test_every_kind_of_loss_is_told_when_it_changes(clock: Clock) -> None:
    script: list[tuple[float, list[Event], dict[str, int]]] = [
        (1, [], {"recursion": 1, "events": 0}),
        (2, [], {"recursion": 1, "events": 1}),
    ]
    sink = Sink()
    follow(Source(clock, script), sink, duration_s=10)
    assert sink.told == [
        "lost {'recursion': 1, 'events': 0} at 1 s",
        "lost {'recursion': 1, 'events': 1} at 2 s",
    ]


def test_owners_are_looked_for_twice_a_second_while_nothing_happens(clock: Clock) -> None:
    source = Source(clock)
    follow(source, Sink(), duration_s=2)
    assert source.owners == [0.5, 1.0, 1.5, 2.0, 2.0]


# --- how it ends -------------------------------------------------------------------------


def test_what_happened_up_to_the_end_of_the_duration_is_shown(clock: Clock) -> None:
    source = Source(clock, [(2, [RESENT], {}), (2.25, [CHANGED], {})])
    sink = Sink()
    follow(source, sink, duration_s=2)
    assert sink.shown == [[RESENT]]
    assert clock.now_s == START_S + 2


def test_what_happened_up_to_a_signal_is_shown(clock: Clock) -> None:
    source = Source(clock, [(1.125, [RESENT], {}), (1.25, [CHANGED], {})])
    sink = Sink()
    follow(source, sink, signal_s=1.125)
    assert sink.shown == [[RESENT]]
    assert clock.now_s == START_S + 1.125


@pytest.mark.parametrize(
    ("end", "looks"), [({"duration_s": 5}, 5 * 8 + 8), ({"signal_s": 5}, 5 * 8 + 1 + 8)]
)
def test_a_flood_that_has_no_end_is_cut_off_a_second_after_ours(
    clock: Clock, ready: int, end: dict[str, Any], looks: int
) -> None:
    sink = Sink()
    follow(Source(clock, events_fd=ready, flood=True), sink, **end)
    assert sink.shown == [[RESENT]] * looks
    assert clock.now_s == START_S + looks / 8


def test_something_is_done_at_every_interval_and_at_the_end(clock: Clock) -> None:
    times = follow(Source(clock), Sink(), interval_s=2, duration_s=7)
    assert times == [2, 4, 6, 7]


def test_an_interval_that_ends_with_the_run_is_done_once(clock: Clock) -> None:
    assert follow(Source(clock), Sink(), interval_s=2, duration_s=6) == [2, 4, 6]


def test_without_an_interval_it_is_done_once_at_the_end(clock: Clock) -> None:
    assert follow(Source(clock), Sink(), duration_s=7) == [7]
    clock.now_s = START_S
    assert follow(Source(clock), Sink(), signal_s=3.25) == [3.25]


def test_a_flood_does_not_keep_intervals_from_being_done(clock: Clock, ready: int) -> None:
    source = Source(clock, events_fd=ready, flood=True)
    assert follow(source, Sink(), interval_s=2, duration_s=7) == [2, 4, 6, 8]


def test_what_takes_longer_than_the_run_is_done_once_more_at_the_end(clock: Clock) -> None:
    times = follow(Source(clock), Sink(), interval_s=2, duration_s=7, takes_s=[100])
    assert times == [2, 102]


# --- where it goes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, OutputError), (errno.EIO, OutputError), (errno.EPIPE, BrokenPipeError)],
)
def test_what_cannot_be_written_is_an_error_of_the_output_but_for_a_reader_that_left(
    clock: Clock, number: int, expected: type[Exception]
) -> None:
    sink = Sink(fails=OSError(number, os.strerror(number)))
    with pytest.raises(expected, match=os.strerror(number)):
        follow(Source(clock, [(0, [RESENT], {})]), sink, duration_s=1)
    assert clock.now_s <= START_S + 1
