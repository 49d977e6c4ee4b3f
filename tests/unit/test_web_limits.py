"""Who must go when there is no room, and how often one may ask."""

from __future__ import annotations

from dataclasses import dataclass

from tcpvitals.sinks.web.limits import Connections, Standing
from tcpvitals.sinks.web.ratelimit import RateLimit, TokenBucket


@dataclass(eq=False)
class Guest:
    """A connection with a standing of its own."""

    own: Standing
    is_aborted: bool = False

    def standing(self) -> Standing:
        """Return it."""
        return self.own

    def shutdown(self) -> None:
        """Nobody asks for this here."""

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True


def guest(since: float, *, asked: bool = False, busy: bool = True) -> Guest:
    """Return a connection."""
    return Guest(Standing(asked, busy, since))


def aborted_by_one_more(*guests: Guest) -> list[Guest]:
    """Return who goes when a full house takes another."""
    connections = Connections(len(guests))
    for one in guests:
        connections.admit(one)
    connections.admit(guest(99))
    assert len(connections) == len(guests)
    return [one for one in guests if one.is_aborted]


def test_nobody_goes_while_there_is_room() -> None:
    connections = Connections(2)
    first, second = guest(1), guest(2)
    connections.admit(first)
    connections.admit(second)
    assert not first.is_aborted
    assert len(connections) == 2


def test_the_oldest_that_never_asked_for_a_page_goes_first() -> None:
    old, older = guest(6), guest(5)
    scraper = guest(1, asked=True, busy=False)
    assert aborted_by_one_more(scraper, old, older) == [older]


def test_then_the_longest_idle() -> None:
    busy = guest(1, asked=True)
    idle, longer = guest(4, asked=True, busy=False), guest(3, asked=True, busy=False)
    assert aborted_by_one_more(busy, idle, longer) == [longer]


def test_then_the_longest_busy() -> None:
    busy, longer = guest(2, asked=True), guest(1, asked=True)
    assert aborted_by_one_more(busy, longer) == [longer]


def test_who_has_gone_makes_room() -> None:
    connections = Connections(1)
    first = guest(1)
    connections.admit(first)
    connections.forget(first)
    connections.forget(first)
    connections.admit(guest(2))
    assert not first.is_aborted


def test_a_burst_is_let_through_and_then_one_an_interval() -> None:
    bucket = TokenBucket(RateLimit(0.5, 3), now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.75), bucket.take(101.0)] == [True, False, True]


def test_tokens_do_not_pile_up_beyond_the_burst() -> None:
    bucket = TokenBucket(RateLimit(0.5, 2), now=0.0)
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False]
