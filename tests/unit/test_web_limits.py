"""Who must go when there is no room, and how often one may ask."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tcpvitals.sinks.web.limits import TURNS, Connections, Limits, Stage, limits_for
from tcpvitals.sinks.web.ratelimit import RateLimit, TokenBucket

REFUSED, IDLE, ASKING, ANSWERING = Stage.REFUSED, Stage.IDLE, Stage.ASKING, Stage.ANSWERING


@dataclass(eq=False)
class Guest:
    """A connection."""

    is_aborted: bool = False

    def shutdown(self) -> None:
        """Nobody asks for this here."""

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True


@dataclass
class House:
    """Connections that are full with these, each in its stage since one second after another."""

    now: float = 0.0
    guests: list[Guest] = field(default_factory=list)

    def fill(self, *stages: Stage) -> Connections:
        """Have as many as there may be."""
        connections = Connections(len(stages), lambda: self.now)
        for stage in stages:
            self.now += 1
            self.guests.append(Guest())
            connections.admit(self.guests[-1])
            if stage is not ASKING:
                connections.move(self.guests[-1], stage)
        return connections

    def aborted(self) -> list[int]:
        """Return which were dropped, by their order."""
        return [at for at, guest in enumerate(self.guests) if guest.is_aborted]


def test_nobody_goes_while_there_is_room() -> None:
    connections = Connections(2)
    first, second = Guest(), Guest()
    connections.admit(first)
    connections.admit(second)
    assert not first.is_aborted
    assert len(connections) == 2


@pytest.mark.parametrize(
    ("stages", "dropped"),
    [
        ((ANSWERING, ASKING, IDLE, IDLE, REFUSED, REFUSED, ASKING), 4),
        ((ANSWERING, ASKING, IDLE, IDLE, ASKING), 2),
        ((ANSWERING, ASKING, ASKING, ANSWERING), 1),
        ((ASKING, ANSWERING, ANSWERING, ANSWERING), 1),  # a quarter may ask
        ((ASKING, ASKING, ANSWERING, ANSWERING, ANSWERING), 0),
        ((ANSWERING, ANSWERING, ANSWERING), 0),
        ((ASKING,), 0),
    ],
)
def test_first_goes_who_is_idle_then_who_asks_then_who_is_answered(
    stages: tuple[Stage, ...], dropped: int
) -> None:
    house = House()
    connections = house.fill(*stages)
    house.now += 1
    connections.admit(Guest())
    assert house.aborted() == [dropped]
    assert len(connections) == len(stages)


@pytest.mark.parametrize(
    ("stages", "dropped"), [((ASKING, ASKING, IDLE), 0), ((ANSWERING, ANSWERING, IDLE), 2)]
)
def test_an_answer_has_a_second_to_arrive_if_another_can_go(
    stages: tuple[Stage, ...], dropped: int
) -> None:
    house = House()
    connections = house.fill(*stages)
    house.now += 0.5
    connections.admit(Guest())
    assert house.aborted() == [dropped]


def test_a_stage_that_is_entered_again_begins_again() -> None:
    house = House()
    connections = house.fill(IDLE, IDLE)
    connections.move(house.guests[0], ASKING)
    connections.move(house.guests[0], IDLE)
    house.now += 1
    connections.admit(Guest())
    assert house.aborted() == [1]


def test_who_has_gone_makes_room_and_does_not_come_back() -> None:
    connections = Connections(1)
    first = Guest()
    connections.admit(first)
    connections.forget(first)
    connections.forget(first)
    connections.move(first, IDLE)
    assert len(connections) == 0
    connections.admit(Guest())
    assert not first.is_aborted


@pytest.mark.parametrize(
    ("files", "connections", "accepts"),
    [(10_000, 512, 16), (576, 512, 16), (512, 448, 16), (100, 76, 6), (16, 12, 1), (0, 1, 1)],
)
def test_what_a_turn_of_the_loop_accepts_has_files_of_its_own(
    files: int, connections: int, accepts: int
) -> None:
    limits = limits_for(files)
    assert (limits.connections, limits.accepts) == (connections, accepts)
    assert files < 5 or connections + accepts * TURNS <= files
    assert limits == Limits(connections=connections, accepts=accepts)


def test_a_burst_is_let_through_and_then_one_an_interval() -> None:
    bucket = TokenBucket(RateLimit(0.5, 3), now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.75), bucket.take(101.0)] == [True, False, True]


def test_tokens_do_not_pile_up_beyond_the_burst() -> None:
    bucket = TokenBucket(RateLimit(0.5, 2), now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]
