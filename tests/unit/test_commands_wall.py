"""Boot time as the wall shows it: aware, local, and unmoved by whoever sets the clock."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcpvitals.commands import wall
from tcpvitals.commands.wall import wall_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

# Central Europe, without asking what the host knows of time zones.
ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"
WINTER = dt.datetime(2026, 1, 2, 2, 4, 5, 678_901, tzinfo=dt.UTC)
SECOND = 10**9
DAY = 86_400 * SECOND
UP_NS = 5 * DAY
"""How long the made-up host has been up at that moment in winter."""


def since_epoch_ns(moment: dt.datetime) -> int:
    """Return what the clock says at a moment."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000


@pytest.fixture(autouse=True)
def winter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make it that moment in winter, in Central Europe."""
    monkeypatch.setattr(wall, "boot_time_ns", lambda: UP_NS)
    set_clock(monkeypatch, WINTER)
    before = os.environ.get("TZ")
    os.environ["TZ"] = ZONE
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: dt.datetime) -> None:
    """Set the made-up host's clock."""
    monkeypatch.setattr("tcpvitals.commands.wall.time.time_ns", lambda: since_epoch_ns(moment))


@pytest.mark.parametrize(
    ("after_ns", "shown"),
    [
        (0, "2026-01-02T03:04:05.678901+01:00"),
        (999, "2026-01-02T03:04:05.678901+01:00"),
        (1000, "2026-01-02T03:04:05.678902+01:00"),
        (SECOND, "2026-01-02T03:04:06.678901+01:00"),
        (-SECOND, "2026-01-02T03:04:04.678901+01:00"),
        (-UP_NS, "2025-12-28T03:04:05.678901+01:00"),
        (180 * DAY, "2026-07-01T04:04:05.678901+02:00"),
    ],
)
def test_a_moment_is_local_time_to_the_microsecond_with_the_zone_of_its_day(
    after_ns: int, shown: str
) -> None:
    assert wall_clock()(UP_NS + after_ns).isoformat() == shown


def test_setting_the_clock_later_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    as_started = wall_clock()
    set_clock(monkeypatch, WINTER + dt.timedelta(hours=7))
    assert as_started(UP_NS) == WINTER
    assert wall_clock()(UP_NS) == WINTER + dt.timedelta(hours=7)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 20 * 365 * DAY))
def test_no_microsecond_is_lost_in_years(boot_ns: int) -> None:
    shown = wall_clock()(boot_ns)
    assert shown.utcoffset() is not None
    assert shown == WINTER + dt.timedelta(microseconds=(boot_ns - UP_NS) // 1000)
