"""What `tcpvitals serve` is asked to count: groups, labels and limits of every kind."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from typing import TYPE_CHECKING, Final

import pytest
from conftest import IN_VM
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from serve_lab import PATIENCE_S, Exporter, Page, exporter
from sockets_lab import open_actor, round_trip
from test_hostile_comm import NAMES

from tcpvitals.model.printable import printable
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import SERVER_IPV4, Link, open_link

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(IN_VM, reason="each run takes an emulated CPU many seconds")

OPTIONS: Final = ("--refresh", "0.2")
MANY: Final = 300


def openly(started: Exporter) -> str:
    """Return what a Prometheus that speaks OpenMetrics gets."""
    url = f"http://127.0.0.1:{started.port}/metrics"
    asked = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:  # noqa: S310 - http
        return str(answer.read().decode())


def test_whatever_processes_call_themselves_is_a_label_value_and_nothing_else() -> None:
    with (
        open_link(Impairment(loss=1.0)) as link,
        exporter(*OPTIONS, "--by", "process", "--netns", str(link.client.pid)) as started,
        open_actor(link.client) as actor,
    ):
        started.wait_until_ready()
        expected = set()
        for name in NAMES:
            pid, child = actor.fork()
            child.do("rename", name=name.decode("latin-1"))
            child.do("call", host=SERVER_IPV4, port=9)
            expected.add(f"{pid}/{printable(name)}")
        page = wait_for(started, "process", len(expected))
        text = openly(started)
    named = {one.labels["process"] for one in page if "process" in one.labels}
    assert named - {"other", "retired"} == expected
    families = openmetrics(text)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    assert {one.labels["process"] for one in samples if "process" in one.labels} == named
    assert not {char for char in text if not char.isprintable()} - {"\n"}


def wait_for(started: Exporter, label: str, count: int) -> Page:
    """Return the first page with so many values of a label, besides the sums."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        page = started.scrape_after()
        if len({one.labels[label] for one in page if label in one.labels}) >= count + 2:
            return page
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def grouped() -> Iterator[dict[str, Exporter]]:
    """Return three that started at once, by what they group by."""
    options = {"": (), "cgroup": (), "lport": ("--max-groups", "1")}
    with contextlib.ExitStack() as stack:
        started = {
            by: stack.enter_context(exporter(*OPTIONS, "--by", by, *more))
            for by, more in options.items()
        }
        for one in started.values():
            one.wait_until_ready()
        yield started
        assert [one.end() for one in started.values()] == [(0, "")] * len(options)


def test_the_whole_host_has_one_series_of_each_and_no_label(grouped: dict[str, Exporter]) -> None:
    page = grouped[""].scrape_after(2)
    sent = [one for one in page if one.name == "tcpvitals_sent_segments_total"]
    assert [one.labels for one in sent] == [{}]
    assert sent[0].value > 0
    assert page.sum("tcpvitals_network_rtt_seconds_count") > 0


def test_each_cgroup_has_a_series_that_names_it(grouped: dict[str, Exporter]) -> None:
    page = grouped["cgroup"].scrape_after(2)
    groups = {one.labels["cgroup"] for one in page if "sent_segments" in one.name}
    infos = {one.labels["cgroup"]: one for one in page if one.name == "tcpvitals_cgroup_info"}
    assert groups - {"", "other", "retired"}
    assert groups - {"", "other", "retired"} == infos.keys()
    assert {one.value for one in infos.values()} == {1}
    assert all(one.labels["path"].startswith("/") for one in infos.values())


def test_one_group_is_a_limit_like_any_other(grouped: dict[str, Exporter]) -> None:
    page = grouped["lport"].scrape_after(3)
    assert page.sum("tcpvitals_groups_limit") == 1
    ports = page.by("tcpvitals_sent_segments_total", "local_port")
    assert len(ports) == 3
    assert ports["other"] > 0


def test_more_remotes_than_fit_are_counted_to_the_last_segment() -> None:
    """Three with different labels count the same SYNs, which nothing answers."""
    limits = ("--by", "raddr", "--max-groups", "4", "--max-flows", "5")
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(open_link(Impairment(loss=1.0), segmentation_offload=False))
        link.add_prefix("server", "10.128.0.0/10")
        netns = ("--netns", str(link.client.pid))
        started = {
            seed: stack.enter_context(exporter(*OPTIONS, *limits, *netns, "--flow-ports", seed))
            for seed in ("bounded", "full", "off")
        }
        for one in started.values():
            one.wait_until_ready()
        before = link.client.counters()["TcpRetransSegs"]
        with open_actor(link.client) as client:
            client.do("dial", first="10.128.0.0", count=MANY, port=9)
            wait_for_retransmissions(link, before + MANY)
            client.do("drop")
        pages = {seed: one.scrape_after(2) for seed, one in started.items()}
        kernel = link.client.counters()["TcpRetransSegs"] - before
    for seed, page in pages.items():
        check_sums(page, link, kernel)
        check_flows(page, seed, kernel)


def wait_for_retransmissions(link: Link, least: int) -> None:
    """Until the client's end has retransmitted so many segments."""
    deadline = time.monotonic() + PATIENCE_S
    while link.client.counters()["TcpRetransSegs"] < least:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_sums(page: Page, link: Link, kernel: int) -> None:
    """Few are known by their address; all are there."""
    found = page.by("tcpvitals_retransmitted_segments_total", "remote")
    assert kernel >= MANY
    assert found.total() == kernel
    assert found["other"] >= MANY - 4
    assert len(found) == 4 + 2
    assert page.sum("tcpvitals_groups") == 4
    difference = "tcpvitals_kernel_difference_segments"
    netns = str(link.client.inode)
    assert page.sum(difference, netns=netns, counter="RetransSegs") == 0


def check_flows(page: Page, seed: str, kernel: int) -> None:
    """Our own port is one that the kernel chose."""
    flows = page.by("tcp_retransmissions_total", "src_port")
    if seed == "off":
        assert not flows
        return
    assert flows.total() == kernel
    assert sum(one.name == "tcp_retransmissions_total" for one in page) == 5 + 2
    chosen = flows.keys() - {"other", "retired"}
    assert (chosen == {"0"}) == (seed == "bounded")
    assert page.by("tcp_retransmissions_total", "dst_port").keys() == {"9", "other", "retired"}


def test_ten_refreshes_a_second_go_on_while_there_is_much_to_count() -> None:
    with (
        open_link() as link,
        open_actor(link.server) as server,
        open_actor(link.client) as client,
        exporter("--refresh", "0.1", "--by", "service") as started,
    ):
        started.wait_until_ready()
        port = server.do("listen", host="::")
        client.do("connect", host=SERVER_IPV4, port=port, count=200)
        server.do("accept", count=200)
        turns = 10
        for _ in range(turns):
            round_trip(client.do, server.do)
            started.wait_for_refresh()
        assert started.get("/healthz") == (200, "ok\n")
        sent = started.scrape_after().sum("tcpvitals_sent_segments_total", service_port=str(port))
        assert started.end() == (0, "")
    assert sent == 2 * turns * 200
