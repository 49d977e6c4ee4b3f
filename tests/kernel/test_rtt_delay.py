"""A delay on the wire is the delay that is shown: both ends, IPv4, IPv6, and IPv4 over IPv6."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tcpvitals.model.histogram import LOWS, bucket_index
from tcpvitals.model.key import Role
from tcpvitals.model.measurement import Sample, Unit
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6, Link
from tcpvitals.netlab.workload import exchange, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.plan import Attach
    from tcpvitals.model.snapshot import Snapshot
    from tcpvitals.sources.live import LiveRtt

_ROUND_TRIPS = {1: 80, 10: 50, 50: 24, 200: 14}
_MAPPED = f"::ffff:{SERVER_IPV4}"


@pytest.fixture(scope="module", params=list(_ROUND_TRIPS))
def delayed(request: pytest.FixtureRequest, link: Link) -> Iterator[tuple[Link, int]]:
    """A wire that delays what the client sends; the delay in ms."""
    link.impair(Impairment(delay_ms=request.param), CLEAN)
    yield link, request.param
    link.impair(CLEAN)


def _talk(link: Link, ports: list[int], count: int) -> list[dict[str, Any]]:
    """All three kinds of addresses at once, each to a port of its own."""
    addresses = (SERVER_IPV4, SERVER_IPV6, _MAPPED)
    with ThreadPoolExecutor(3) as pool:
        return list(
            pool.map(
                lambda pair: exchange(link.client, "pingpong", *pair, count=count),
                zip(addresses, ports, strict=True),
            )
        )


@pytest.fixture(scope="module")
def ports(link: Link) -> Iterator[list[int]]:
    """Three listeners; `::` takes IPv4 connections as IPv4-mapped ones."""
    with serve(link.server) as one, serve(link.server) as two, serve(link.server) as three:
        yield [one, two, three]


def _median_us(talk: dict[str, Any]) -> float:
    """What the application saw on its only connection."""
    return float(talk["connections"][0]["median_us"])


def _medians(snapshot: Snapshot, unit: Unit = Unit.US) -> dict[tuple[int | None, str, str], float]:
    halves = snapshot.counters.quantiles((0.5,), unit)
    return {
        (key.service, str(key.role), str(key.raddr)): float(half[0])
        for key, half in zip(snapshot.keys, halves, strict=True)
    }


def test_the_median_srtt_is_the_delay_at_both_ends_and_for_every_kind_of_address(
    delayed: tuple[Link, int],
    ports: list[int],
    attach: Attach,
    open_rtt: Callable[..., LiveRtt],
) -> None:
    """Within 3 %, plus what the machine adds: the application's own figure is the upper bound."""
    link, delay_ms = delayed
    live = open_rtt("service,role,raddr", attach=attach)
    talks = _talk(link, ports, _ROUND_TRIPS[delay_ms])
    found = _medians(live.snapshot())
    for port, talk in zip(ports, talks, strict=True):
        ours = {role: value for (service, role, _), value in found.items() if service == port}
        assert set(ours) == {Role.CLIENT, Role.SERVER}
        for role, median_us in ours.items():
            assert median_us >= 970 * delay_ms, role
            assert median_us <= 1.03 * _median_us(talk) + 500, role


def test_an_ipv4_mapped_address_counts_as_its_ipv4_address(
    link: Link, port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    live = open_rtt("raddr,laddr,service")
    exchange(link.client, "pingpong", _MAPPED, port, count=5)
    ends = {(str(k.laddr), str(k.raddr)) for k in live.snapshot().keys if k.service == port}
    assert ends == {("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")}


@pytest.mark.parametrize("sample", list(Sample))
def test_every_sample_measures_the_same_wire(
    delayed: tuple[Link, int], port: int, sample: Sample, open_rtt: Callable[..., LiveRtt]
) -> None:
    """Inflation is what is above the minimum: next to nothing on a steady wire."""
    link, delay_ms = delayed
    live = open_rtt("role,service", sample=sample)
    talk = exchange(link.client, "pingpong", SERVER_IPV4, port, count=_ROUND_TRIPS[delay_ms])
    client = (port, Role.CLIENT, "None")
    found = _medians(live.snapshot())[client]
    jitter_us = 1.03 * _median_us(talk) + 500 - 1000 * delay_ms
    if sample is Sample.INFLATION:
        assert 0 <= found <= jitter_us
    else:
        assert 970 * delay_ms <= found <= 1000 * delay_ms + jitter_us


def test_the_kernels_own_samples_are_one_for_each_round_trip(
    link: Link, port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    """Of N round trips the client counts N, less the first and the last (docs/measuring.md)."""
    live = open_rtt("role,service", sample=Sample.RTT)
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=40)
    snapshot = live.snapshot()
    counts = {
        key.role: int(count)
        for key, count in zip(snapshot.keys, snapshot.counters.counts, strict=True)
        if key.service == port
    }
    assert 38 <= counts[Role.CLIENT] <= 41


def test_milliseconds_are_microseconds_divided_and_rounded_down_as_the_first_tool_did(
    delayed: tuple[Link, int], port: int, open_rtt: Callable[..., LiveRtt]
) -> None:
    link, delay_ms = delayed
    client = Selection(rports=(port,))
    fine = open_rtt("service", sample=Sample.MIN, selection=client)
    coarse = open_rtt("service", sample=Sample.MIN, unit=Unit.MS, selection=client)
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=5)
    micro, milli = fine.snapshot(), coarse.snapshot()
    assert int(micro.counters.sum_us.sum()) == int(milli.counters.sum_us.sum())
    lowest_ms = int(LOWS[milli.counters.buckets[0].nonzero()[0][0]])
    assert bucket_index(lowest_ms) == bucket_index(int(micro.counters.min_us[0]) // 1000)
    assert lowest_ms * 1.0625 >= delay_ms
