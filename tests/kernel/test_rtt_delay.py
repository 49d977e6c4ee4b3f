"""A delay on the wire is the delay that is shown: both ends, IPv4, IPv6, and IPv4 over IPv6."""

from __future__ import annotations

from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest

from tcpvitals.model.histogram import LOWS, bucket_index
from tcpvitals.model.key import Role
from tcpvitals.model.measurement import Sample, Unit
from tcpvitals.model.selection import Selection
from tcpvitals.model.snapshot import between
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6, Link
from tcpvitals.netlab.workload import exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.plan import Attach
    from tcpvitals.model.rtt import RttInterval, RttSnapshot
    from tcpvitals.sources.live import LiveRtt

# Enough for srtt to forget a first sample that a busy machine made late; only the second half of a
# conversation is judged.
_ROUND_TRIPS = {1: 160, 10: 80, 50: 50, 200: 24}


@pytest.fixture(scope="module", params=list(_ROUND_TRIPS))
def delayed(request: pytest.FixtureRequest, link: Link) -> Iterator[tuple[Link, int]]:
    """A wire that delays what the client sends; the delay in ms."""
    link.impair(Impairment(delay_ms=request.param), CLEAN)
    yield link, request.param
    link.impair(CLEAN)


def _median_us(talk: dict[str, Any]) -> float:
    """What the application saw on its only connection."""
    return float(talk["connections"][0]["median_us"])


def _medians(interval: RttInterval) -> dict[tuple[int | None, Role | None], float]:
    halves = interval.table.quantiles((0.5,))
    return {
        (key.service, key.role): float(half[0])
        for key, half in zip(interval.keys, halves, strict=True)
    }


@pytest.mark.parametrize("address", [SERVER_IPV4, SERVER_IPV6, f"::ffff:{SERVER_IPV4}"])
def test_the_median_srtt_is_the_delay_at_both_ends_and_for_every_kind_of_address(
    delayed: tuple[Link, int],
    port: int,
    address: str,
    attach: Attach,
    open_rtt: Callable[..., LiveRtt],
) -> None:
    """Within 3 %, plus what the machine adds, which the application at the client end sees.

    The server's round trip ends with the client's next message, so a slow client adds to it again.
    """
    link, delay_ms = delayed
    live = open_rtt("service,role", attach=attach)
    for _ in range(4):
        found, app_us = _second_half(live, link, delay_ms, (address, port))
        if app_us["max_us"] < 2000 * delay_ms + 20_000:
            break  # else the machine stood still for a while, and srtt remembers it
    added_us = app_us["mean_us"] - 1000 * delay_ms + 500
    assert 970 * delay_ms <= found[port, Role.CLIENT] <= 1030 * delay_ms + added_us
    assert 970 * delay_ms <= found[port, Role.SERVER] <= 1030 * delay_ms + 2 * added_us


def _second_half(
    live: LiveRtt, link: Link, delay_ms: int, end: tuple[str, int]
) -> tuple[dict[tuple[int | None, Role | None], float], dict[str, float]]:
    """One conversation; the median srtt in its second half, and what the application saw."""
    seen: list[RttSnapshot] = []
    count = _ROUND_TRIPS[delay_ms]
    halfway = Timer(delay_ms * count / 2000, lambda: seen.append(live.snapshot()))
    halfway.start()
    talk = exchange(link.client, "pingpong", *end, count=count)
    halfway.join()
    return _medians(between(live.snapshot(), seen[0])), talk["connections"][0]


def test_every_sample_measures_the_same_wire(
    delayed: tuple[Link, int], port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    """Of single bytes to and fro no sample is clean but the handshake's."""
    link, delay_ms = delayed
    client = Selection(rports=(port,))
    live = {sample: open_rtt(sample=sample, selection=client) for sample in Sample}
    talk = exchange(link.client, "pingpong", SERVER_IPV4, port, count=_ROUND_TRIPS[delay_ms] // 3)
    found = {sample: one.snapshot().total() for sample, one in live.items()}
    halves = {sample: one.quantiles((0.5,))[0] for sample, one in found.items()}
    added_us = 1.03 * _median_us(talk) + 500 - 1000 * delay_ms
    assert (halves.pop(Sample.NETWORK), halves.pop(Sample.INFLATION)) == (None, None)
    beside = found[Sample.NETWORK].context
    assert beside
    assert beside.handshakes == 1
    assert 970 * delay_ms <= (beside.mean_handshake_us or 0)
    halves.pop(Sample.SRTT)  # smoothed over more round trips than this; it has its own test
    for sample, median_us in halves.items():
        assert 970 * delay_ms <= (median_us or 0) <= 1000 * delay_ms + added_us, sample


def test_milliseconds_are_microseconds_divided_and_rounded_down_as_the_first_tool_did(
    delayed: tuple[Link, int], port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    link, delay_ms = delayed
    client = Selection(rports=(port,))
    fine = open_rtt("service", sample=Sample.MIN, selection=client)
    coarse = open_rtt("service", sample=Sample.MIN, unit=Unit.MS, selection=client)
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=5)
    micro, milli = fine.snapshot(), coarse.snapshot()
    assert int(micro.table.sum_us.sum()) == int(milli.table.sum_us.sum())
    lowest_ms = int(LOWS[milli.table.buckets[0].nonzero()[0][0]])
    assert bucket_index(lowest_ms) == bucket_index(int(micro.table.min_us[0]) // 1000)
    assert lowest_ms * 1.0625 >= delay_ms
