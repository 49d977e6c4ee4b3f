"""A delay on the wire is the delay that is shown: both ends, IPv4, IPv6, and IPv4 over IPv6."""

from __future__ import annotations

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
    from tcpvitals.model.rtt import RttInterval
    from tcpvitals.sources.live import LiveRtt

# Enough for srtt to forget a first sample that a busy machine made late.
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
    """Within 3 %, plus what the machine adds: the client's application sees it in every round trip.

    No round trip of the kernel's was longer than the application's, so that srtt is no more than
    what it would be of those.
    """
    link, delay_ms = delayed
    live = open_rtt("service,role", attach=attach)
    before = live.snapshot()
    talk = exchange(link.client, "pingpong", address, port, count=_ROUND_TRIPS[delay_ms])
    found = _medians(between(live.snapshot(), before))
    client_us, server_us = _at_most(talk["connections"][0], 1000 * delay_ms)
    assert 970 * delay_ms <= found[port, Role.CLIENT] <= 1.03 * client_us
    assert 970 * delay_ms <= found[port, Role.SERVER] <= 1.03 * server_us


def _at_most(seen: dict[str, Any], delay_us: int) -> tuple[float, float]:
    """The most that the median srtt can be at the client and at the server.

    The server's round trip begins with its answer, a delay or more after the client's message left,
    and ends when the client's next message arrives, before that one's own round trip is over.
    """
    starts, rtts = [0, *seen["starts_us"]], seen["rtts_us"]
    answers = [start + rtt for start, rtt in zip(starts[1:], rtts, strict=True)]
    client = [starts[1], *rtts]
    server = [answer - start - delay_us for start, answer in zip(starts, answers, strict=False)]
    return _most_median(client), _most_median(server)


def _most_median(samples_us: list[float]) -> float:
    """Of the srtt after each sample, which is counted at one segment or at two."""
    smoothed, srtt_us = [], samples_us[0]
    for sample_us in samples_us:
        srtt_us += (sample_us - srtt_us) / 8
        smoothed.append(srtt_us)
    return sorted(smoothed)[min(len(smoothed) * 2 // 3 + 1, len(smoothed) - 1)]


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
