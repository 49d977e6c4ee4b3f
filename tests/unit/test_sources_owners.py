"""When all tasks' open files are looked through: soon after an accept, else rarely, never long."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from test_commands_madeup import Clock

from tcpvitals.sources import owners
from tcpvitals.sources.owners import OwnerSearch

if TYPE_CHECKING:
    from tcpvitals.kernel.loaded import Loaded

START_S = 1000.0


class MadeUpPrograms:
    """Counts what was accepted, and notes when files were looked through."""

    def __init__(self, clock: Clock, takes_s: float) -> None:
        """Nothing was accepted yet; looking takes so long."""
        self._clock, self._takes_s = clock, takes_s
        self.count = 0
        self.looked: list[float] = []

    def accepted(self) -> int:
        """Return how many were accepted."""
        return self.count

    def visit_open_files(self) -> None:
        """Note when, and take some time."""
        self.looked.append(self._clock.now_s - START_S)
        self._clock.pass_time(self._takes_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that searches look at."""
    made_up = Clock(monkeypatch, START_S)
    monkeypatch.setattr(owners, "time", made_up)
    return made_up


def looked(clock: Clock, accepts: set[float], *, until_s: float, takes_s: float = 0) -> list[float]:
    """Return when files were looked through, if somebody asks every eighth of a second."""
    programs = MadeUpPrograms(clock, takes_s)
    search = OwnerSearch(cast("Loaded", programs))
    for eighth in range(round(until_s * 8) + 1):
        at_s = eighth / 8
        programs.count += at_s in accepts
        clock.now_s = max(clock.now_s, START_S + at_s)
        search.look()
    return programs.looked


def test_without_new_connections_it_is_every_ten_seconds(clock: Clock) -> None:
    assert looked(clock, set(), until_s=35) == [10, 20, 30]


def test_after_an_accept_it_is_half_a_second_after_the_last_look(clock: Clock) -> None:
    assert looked(clock, {0.125, 3, 3.125}, until_s=5) == [0.5, 3, 3.5]


def test_what_is_accepted_all_the_time_is_looked_for_twice_a_second(clock: Clock) -> None:
    always = {eighth / 8 for eighth in range(100)}
    assert looked(clock, always, until_s=2) == [0.5, 1.0, 1.5, 2.0]


def test_it_takes_no_more_than_a_fiftieth_of_the_time(clock: Clock) -> None:
    always = {eighth / 8 for eighth in range(1000)}
    times = looked(clock, always, until_s=40, takes_s=0.25)
    assert times == [0.5, 13.0, 25.5, 38.0]
