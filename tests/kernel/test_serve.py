"""`tcpvitals serve`: what it exposes is what the kernel counts, and what it keeps is nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from retrans_scenarios import short_connections, wait_until_quiet
from serve_lab import Exporter, exporter, thread_status
from sockets_lab import open_actor, round_trip

from tcpvitals.kernel.privileges import capabilities_needed
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, Link, open_link

if TYPE_CHECKING:
    from collections.abc import Iterator


OPTIONS = ("--refresh", "0.5")


@pytest.fixture
def running() -> Iterator[Exporter]:
    """Return an exporter that has refreshed once."""
    with exporter(*OPTIONS) as started:
        started.wait_until_ready()
        yield started


def counters(link: Link) -> list[int]:
    """Return RetransSegs of both ends."""
    return [end.counters()["TcpRetransSegs"] for end in (link.client, link.server)]


def test_every_sum_of_retransmissions_is_the_kernels_own_count(running: Exporter) -> None:
    with open_link(Impairment(loss=0.1), segmentation_offload=False) as link:
        short_connections(link, 200, size=4000, timeout_s=40)
        link.impair(CLEAN)
        wait_until_quiet(link)
        kernel = counters(link)
        page = running.scrape_after(2)
        name = "tcpvitals_retransmitted_segments_total"
        ours = [page.sum(name, netns=str(end.inode)) for end in (link.client, link.server)]
        differences = [
            page.sum(
                "tcpvitals_kernel_difference_segments", netns=str(end.inode), counter="RetransSegs"
            )
            for end in (link.client, link.server)
        ]
    assert min(kernel) >= 50
    assert ours == kernel
    assert differences == [0, 0]
    assert page.sum("tcp_retransmissions_total") == page.sum(name) >= sum(kernel)
    assert page.sum("tcpvitals_kernel_unexplained_differences") == 0


def test_connections_are_counted_when_they_open_close_and_fail_and_while_they_live(
    running: Exporter,
) -> None:
    with (
        open_link() as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host="::")
        client.do("connect", host=SERVER_IPV4, port=port, count=7)
        server.do("accept", count=7)
        round_trip(client.do, server.do)
        opened = running.scrape_after()
        client.do("drop")
        server.do("drop")
        closed = running.scrape_after()
        clients = {"netns": str(link.client.inode), "role": "client", "service_port": str(port)}
        servers = {"netns": str(link.server.inode), "role": "server", "service_port": str(port)}
    for labels in (clients, servers):
        assert opened.sum("tcpvitals_connections", **labels) == 7
        assert opened.sum("tcpvitals_connections_opened_total", **labels) == 7
        assert opened.sum("tcpvitals_connections_closed_total", **labels) == 0
        assert opened.sum("tcpvitals_sent_segments_total", **labels) == 7
        assert opened.sum("tcpvitals_network_rtt_seconds_count", **labels) > 0
        assert closed.sum("tcpvitals_connections", **labels) == 0
        assert closed.sum("tcpvitals_connections_closed_total", **labels) == 7
        assert closed.sum("tcpvitals_connections_failed_total", **labels) == 0


def test_after_attaching_no_thread_has_a_capability_or_can_gain_one(running: Exporter) -> None:
    kept = sum(1 << number for number in capabilities_needed(os.uname().release))
    threads = thread_status(running.process.pid)
    # Main thread, refresh, its reader of namespaces' counters, writers of log and table.
    assert len(threads) <= 5
    assert {int(one["CapEff"], 16) for one in threads} == {kept}
    assert {int(one["CapPrm"], 16) for one in threads} == {kept}
    assert {one["NoNewPrivs"] for one in threads} == {"1"}


def test_it_becomes_another_user_and_goes_on_counting() -> None:
    with exporter(*OPTIONS, "--user", "65534:65534") as started:
        started.wait_until_ready()
        [user] = {one["Uid"] for one in thread_status(started.process.pid)}
        assert user.split() == ["65534"] * 4
        page = started.scrape_after(2)
        assert page.sum("tcpvitals_network_rtt_seconds_count", role="server") > 0
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end() == (0, "")
