"""Whose turn it is, and who has no place: by network first, then by host."""

from __future__ import annotations

import pytest

from tcpvitals.sinks.web.fairqueue import FairQueue, Origin, origin


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", Origin("192.0.2.0/24", "192.0.2.77/32")),
        ("::ffff:192.0.2.77", Origin("192.0.2.0/24", "192.0.2.77/32")),
        ("2001:db8:1:2:3::4", Origin("2001:db8:1::/48", "2001:db8:1:2::/64")),
        ("fe80::1%eth0", Origin("fe80::/48", "fe80::/64")),
        ("", Origin("", "")),
    ],
)
def test_an_origin_is_a_network_and_a_host_in_it(address: str, expected: Origin) -> None:
    assert origin(address) == expected


def drained(queue: FairQueue[str]) -> list[str]:
    """Return all that wait, in the order of their turns."""
    return [queue.take() for _ in range(len(queue))]


def test_networks_take_turns_and_hosts_within_one() -> None:
    queue: FairQueue[str] = FairQueue(20, 4)
    for number in range(3):
        assert queue.put(origin("192.0.2.1"), f"a{number}") is None
    for number in range(2):
        assert queue.put(origin("192.0.2.2"), f"b{number}") is None
    for number in range(2):
        assert queue.put(origin("198.51.100.1"), f"c{number}") is None
    assert drained(queue) == ["a0", "c0", "b0", "c1", "a1", "b1", "a2"]


def test_who_was_served_yields_to_who_was_not_even_after_the_queue_was_empty() -> None:
    queue: FairQueue[str] = FairQueue(20, 4)
    queue.put(origin("192.0.2.1"), "first")
    assert queue.take() == "first"
    queue.put(origin("192.0.2.1"), "again")
    queue.put(origin("198.51.100.1"), "other")
    assert drained(queue) == ["other", "again"]


def test_a_host_has_a_share() -> None:
    queue: FairQueue[int] = FairQueue(20, 2)
    one_host = [f"2001:db8::{number}" for number in range(1, 5)]
    refused = [queue.put(origin(address), at) for at, address in enumerate(one_host)]
    assert refused == [None, None, 2, 3]


def test_in_a_full_queue_the_newest_of_the_fullest_network_has_no_place() -> None:
    queue: FairQueue[str] = FairQueue(4, 4)
    for number in range(4):
        queue.put(origin(f"192.0.2.{number}"), f"crowd{number}")
    assert queue.put(origin("198.51.100.1"), "few0") == "crowd3"
    assert queue.put(origin("198.51.100.1"), "few1") == "crowd2"
    assert queue.put(origin("198.51.100.1"), "few2") == "few2"
    assert queue.put(origin("203.0.113.1"), "one") == "few1"
    assert len(queue) == 4


def test_what_is_remembered_of_origins_is_bounded() -> None:
    queue: FairQueue[int] = FairQueue(1, 1)
    for number in range(10_000):
        queue.put(origin(f"2001:db8:{number:x}::"), number)
        queue.take()
    assert len(queue._served) == 4096  # noqa: SLF001 the structure's size is the bound
