"""Far more pairs of addresses than there may be series: bounded, and still the kernel's count."""

from __future__ import annotations

import os
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from conftest import IN_VM
from retrans_scenarios import wait_until_quiet
from serve_lab import Exporter, Page, exporter
from sockets_lab import open_actor

from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import Link, open_link

if TYPE_CHECKING:
    from sockets_lab import Actor

PAIRS: Final = int(os.environ.get("TCPVITALS_PAIRS", "3000" if IN_VM else "60000"))
AT_ONCE: Final = 2_000 if IN_VM else 10_000
FIRST: Final = IPv4Address("10.128.0.0")
SERIES, GROUPS = 500, 200
NAME: Final = "tcp_retransmissions_total"
MEBIBYTE: Final = 1 << 20


def dial_everybody(link: Link, client: Actor) -> None:
    """Each connect gets no answer, and sends its SYN again after a second."""
    for done in range(0, PAIRS, AT_ONCE):
        began = link.client.counters()["TcpRetransSegs"]
        client.do("dial", first=str(FIRST + done), count=AT_ONCE, port=9)
        deadline = time.monotonic() + 60
        while link.client.counters()["TcpRetransSegs"] < began + AT_ONCE:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        client.do("drop")


def check_bounds(page: Page) -> None:
    """Nothing has more series than it may, and there is no more memory than for those."""
    assert sum(one.name == NAME for one in page) <= SERIES + 2
    for name in ("tcpvitals_sent_segments_total", "tcpvitals_connections"):
        assert sum(one.name == name for one in page) <= GROUPS + 2
    assert page.sum("process_resident_memory_bytes") <= 150 * MEBIBYTE


def test_a_flood_of_pairs_is_counted_to_the_last_segment_in_no_more_series() -> None:
    limits = ("--max-flows", str(SERIES), "--max-groups", str(GROUPS))
    with (
        exporter("--refresh", "1", "--by", "netns,raddr", *limits) as running,
        open_link(Impairment(loss=1.0), segmentation_offload=False, lifetime_s=3600) as link,
        open_actor(link.client) as client,
    ):
        running.wait_until_ready()
        link.add_prefix("server", "10.128.0.0/10")
        dial_everybody(link, client)
        wait_until_quiet(link)
        kernel = link.client.counters()["TcpRetransSegs"]
        page = running.scrape_after(2)
        check_bounds(page)
        check_counts(page, running, kernel)


def check_counts(page: Page, running: Exporter, kernel: int) -> None:
    """What has no series of its own is in `other`, to the last segment."""
    assert kernel >= PAIRS
    assert page.sum("tcpvitals_connections_failed_total") >= PAIRS
    assert page.sum("tcpvitals_retransmitted_segments_total") >= kernel
    assert page.sum(NAME) == page.sum("tcpvitals_retransmitted_segments_total")
    assert page.sum(NAME, src_ip="other") >= kernel - page.sum("tcpvitals_flows_limit") - SERIES
    differences = [
        one for one in page if one.name == "tcpvitals_kernel_difference_segments" and one.value
    ]
    assert [one for one in differences if one.labels["counter"] == "RetransSegs"] == []
    assert running.get("/healthz") == (200, "ok\n")
