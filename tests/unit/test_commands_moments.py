"""When it prints: deadlines on a grid from the start, on a clock that moves as it is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_commands_madeup import Clock, MadeUpStop

from tcpvitals.commands.moments import Schedule, moments

if TYPE_CHECKING:
    from collections.abc import Iterable

START_S = 1000.0
EIGHTHS = st.integers(1, 1000).map(lambda eighths: eighths / 8)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that schedules will look at."""
    return Clock(monkeypatch, START_S)


def prints(  # noqa: PLR0913 - a run has as many circumstances
    clock: Clock,
    interval_s: float | None,
    duration_s: float | None,
    *,
    at_once: bool = False,
    takes_s: Iterable[float] = (),
    signal_s: float = math.inf,
) -> list[float]:
    """Return when a run prints, in seconds from its start; the prints take so long."""
    times, lasting = [], iter(takes_s)
    stop = MadeUpStop(clock, signal_s)
    for _ in moments(interval_s, duration_s, stop, at_once=at_once):
        times.append(clock.monotonic() - START_S)
        clock.pass_time(next(lasting, 0.0))
    return times


# --- prints ------------------------------------------------------------------------------


def test_it_is_every_interval_and_at_the_end(clock: Clock) -> None:
    assert prints(clock, 10, 35) == [10, 20, 30, 35]


def test_it_is_also_at_once_if_that_is_wanted(clock: Clock) -> None:
    assert prints(clock, 10, 35, at_once=True) == [0, 10, 20, 30, 35]


def test_an_interval_that_ends_with_the_run_is_printed_once(clock: Clock) -> None:
    assert prints(clock, 10, 30) == [10, 20, 30]


def test_without_an_interval_it_is_once_at_the_end(clock: Clock) -> None:
    assert prints(clock, None, 35) == [35]


def test_an_interval_longer_than_the_run_is_once_at_the_end(clock: Clock) -> None:
    assert prints(clock, 3600, 35) == [35]


def test_without_a_duration_it_goes_on_until_a_signal_which_has_a_last_print(
    clock: Clock,
) -> None:
    assert prints(clock, 10, None, signal_s=35) == [10, 20, 30, 35]
    clock.now_s = START_S
    assert prints(clock, None, None, signal_s=99) == [99]


def test_a_signal_before_the_first_interval_has_a_print_too(clock: Clock) -> None:
    assert prints(clock, 10, 60, signal_s=3) == [3]


def test_slow_prints_do_not_add_up(clock: Clock) -> None:
    assert prints(clock, 10, 45, takes_s=[9, 9, 9, 9]) == [10, 20, 30, 40, 49]


def test_a_print_that_outlasts_the_run_is_followed_by_the_last(clock: Clock) -> None:
    assert prints(clock, 10, 35, takes_s=[100]) == [10, 110]


def test_after_a_long_stall_the_grid_is_as_before(clock: Clock) -> None:
    times = prints(clock, 10, 100, takes_s=[42])
    assert times[0] == 10
    assert times[-5:] == [60, 70, 80, 90, 100]
    assert len(times) <= 7


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EIGHTHS, EIGHTHS, st.lists(EIGHTHS, max_size=5))
def test_however_long_prints_take_they_come_in_order_and_the_end_is_one_of_them(
    clock: Clock, interval_s: float, duration_s: float, takes_s: list[float]
) -> None:
    clock.now_s = START_S
    times = prints(clock, interval_s, duration_s, takes_s=takes_s)
    assert times == sorted(times)
    assert [time for time in times[:-1] if time >= duration_s + max(takes_s, default=0)] == []
    assert times[-1] >= duration_s
    assert len(times) <= duration_s / interval_s + 2


# --- deadlines ---------------------------------------------------------------------------


def test_deadlines_are_of_the_clock_that_never_jumps(clock: Clock) -> None:
    schedule = Schedule(10, 35)
    assert (schedule.due, schedule.end) == (START_S + 10, START_S + 35)
    dues = []
    for _ in range(5):
        schedule.move_on()
        dues.append(schedule.due - START_S)
    assert dues == [20, 30, 35, 35, 35]
    assert clock.monotonic() == START_S


@pytest.mark.usefixtures("clock")
def test_without_interval_or_duration_there_is_no_deadline_ever() -> None:
    schedule = Schedule(None, None)
    assert (schedule.due, schedule.end) == (math.inf, math.inf)
    schedule.move_on()
    assert schedule.due == math.inf


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EIGHTHS, st.lists(st.integers(0, 2000).map(lambda eighths: eighths / 8), max_size=20))
def test_deadlines_stay_on_the_grid_go_forward_and_never_lag_by_more_than_an_interval(
    clock: Clock, interval_s: float, waits: list[float]
) -> None:
    clock.now_s = START_S
    schedule = Schedule(interval_s, None)
    for wait in waits:
        before = schedule.due
        clock.pass_time(wait)
        schedule.move_on()
        assert schedule.due > before
        assert (schedule.due - START_S) % interval_s == 0
        assert schedule.due > clock.monotonic() - interval_s
