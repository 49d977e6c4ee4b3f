"""`tcpvitals serve`: what it exposes is what the kernel counts, and what it keeps is nothing."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from retrans_scenarios import short_connections, wait_until_quiet
from serve_lab import PATIENCE_S, Exporter, exporter, free_port, thread_status
from sockets_lab import open_actor, round_trip

from tcpvitals.kernel.privileges import capabilities_needed
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, Link, open_link

if TYPE_CHECKING:
    from collections.abc import Iterator


OPTIONS = ("--refresh", "0.5")
# How often a run is ended in each of several ways; an emulated CPU takes seconds to start one.
TURNS = int(os.environ.get("TCPVITALS_TURNS", "2" if IN_VM else "5"))


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
        assert opened.sum("tcpvitals_srtt_seconds_count", **labels) > 0
        assert closed.sum("tcpvitals_connections", **labels) == 0
        assert closed.sum("tcpvitals_connections_closed_total", **labels) == 7
        assert closed.sum("tcpvitals_connections_failed_total", **labels) == 0


def test_after_attaching_no_thread_has_a_capability_or_can_gain_one(running: Exporter) -> None:
    kept = sum(1 << number for number in capabilities_needed(os.uname().release))
    threads = thread_status(running.process.pid)
    assert len(threads) <= 3
    assert {int(one["CapEff"], 16) for one in threads} == {kept}
    assert {int(one["CapPrm"], 16) for one in threads} == {kept}
    assert {one["NoNewPrivs"] for one in threads} == {"1"}


def test_it_becomes_another_user_and_goes_on_counting() -> None:
    with exporter(*OPTIONS, "--user", "65534:65534") as started:
        started.wait_until_ready()
        [user] = {one["Uid"] for one in thread_status(started.process.pid)}
        assert user.split() == ["65534"] * 4
        page = started.scrape_after(2)
        assert page.sum("tcpvitals_srtt_seconds_count", role="server") > 0
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_ends_well_however_often_it_is_asked_to(number: int) -> None:
    port = free_port()
    for _ in range(TURNS):
        with exporter(*OPTIONS, port=port) as started:
            started.wait_until_ready()
            assert started.end(number, PATIENCE_S if IN_VM else 5) == (0, "")


def test_killed_it_leaves_nothing_that_keeps_the_next_one_from_starting() -> None:
    port = free_port()
    for _ in range(TURNS):
        with exporter(*OPTIONS, port=port) as started:
            started.wait_until_ready()
            started.process.kill()
            assert started.process.wait() == -signal.SIGKILL


def test_of_many_started_at_once_one_runs_and_the_others_name_the_port() -> None:
    port = free_port()
    with ExitStack() as stack:
        many = [
            stack.enter_context(exporter(*OPTIONS, port=port)) for _ in range(5 if IN_VM else 20)
        ]
        alive = wait_for_the_last(many)
        alive.wait_until_ready()
        for one in many:
            if one is not alive:
                _, stderr = one.process.communicate()
                assert one.process.returncode == 18
                assert f"cannot listen on 127.0.0.1:{port}: port {port} is taken" in stderr
                assert stderr.count("\n") == 1
        assert alive.end() == (0, "")


def wait_for_the_last(many: list[Exporter]) -> Exporter:
    """Return the one that is left when all others have ended."""
    deadline = time.monotonic() + PATIENCE_S
    while len(left := [one for one in many if one.process.poll() is None]) > 1:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    return left[0]


def test_a_full_disk_under_its_standard_output_does_not_stop_it() -> None:
    with Path("/dev/full").open("w") as full, exporter(*OPTIONS, stdout=full) as started:
        started.wait_until_ready()
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end()[0] == 0


def test_sighup_reads_the_file_again_and_says_what_takes_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('refresh = 0.5\nby = "role"\n')
    with exporter("--config", str(config)) as started:
        started.wait_until_ready()
        config.write_text('refresh = 0.25\nby = "service"\nbuckets = "0.001,0.01"\n')
        started.process.send_signal(signal.SIGHUP)
        page = started.scrape_after(2)
        status, stderr = started.end()
    assert page.by("tcpvitals_srtt_seconds_bucket", "le").keys() == {"0.000991", "0.010239", "+Inf"}
    assert (status, stderr.splitlines()) == (
        0,
        [
            "tcpvitals: SIGHUP: --by takes a restart",
            "tcpvitals: SIGHUP: --refresh, --buckets changed",
        ],
    )
