"""A real Prometheus with the configuration that is shipped: scrapes, evaluates, and alerts.

What is shipped looks at minutes; here all its durations are a fifteenth, or nobody could wait.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from conftest import IN_VM
from retrans_scenarios import wait_until_quiet
from serve_lab import PATIENCE_S, Exporter, exporter, free_port

from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6, Link, open_link
from tcpvitals.netlab.workload import serve, traffic_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHIPPED: Final = Path(__file__).parents[2] / "deploy/prometheus"
FETCH: Final = Path(__file__).parents[2] / "scripts/fetch-prometheus"
QUICKER: Final = 15
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
ONE_WAY_MS: Final = 20
LOSS: Final = 0.05

pytestmark = pytest.mark.skipif(IN_VM, reason="an emulated CPU is too slow for a Prometheus")


def quicker(text: str) -> str:
    """Divide all durations; names keep theirs, and nothing is below a second."""

    def divided(found: re.Match[str]) -> str:
        seconds = int(found[2]) * SECONDS[found[3]] / QUICKER
        return f"{found[1]}{max(1, round(seconds))}s"

    return re.sub(r"((?:\[|: |offset |\[\w+:))(\d+)([smhdw])\b", divided, text)


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        """Ask the one on this port."""
        self._port = port

    def query(self, text: str) -> list[float]:
        """Return the values of an instant query, none as long as it does not answer."""
        question = urllib.parse.urlencode({"query": text})
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{question}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
            return [float(one["value"][1]) for one in found]
        return []

    def wait_for(self, text: str, done: Callable[[list[float]], bool] = bool) -> list[float]:
        """Ask again and again until the answer is the right one."""
        deadline = time.monotonic() + PATIENCE_S
        while not done(found := self.query(text)):
            assert time.monotonic() < deadline, (text, found)
            time.sleep(0.2)
        return found


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Return a folder with what is shipped, quicker."""
    for file in SHIPPED.glob("*.yml"):
        (tmp_path / file.name).write_text(quicker(file.read_text()))
    return tmp_path


@contextlib.contextmanager
def prometheus(folder: Path, exporter_port: int) -> Iterator[Prometheus]:
    """Run Debian's for an exporter on this port."""
    fetched = subprocess.run([FETCH], capture_output=True, text=True, check=False)
    assert fetched.returncode == 0, fetched.stderr
    config = folder / "prometheus.yml"
    config.write_text(config.read_text().replace("127.0.0.1:2112", f"127.0.0.1:{exporter_port}"))
    port = free_port()
    command = [
        *("setpriv", "--pdeathsig", "KILL", f"{fetched.stdout.strip()}/prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield Prometheus(port)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    assert "err=" not in (folder / "log").read_text()


@contextlib.contextmanager
def talking(link: Link) -> Iterator[None]:
    """Many requests and answers of a few segments, by both families, as long as it takes."""
    with serve(link.server) as port, contextlib.ExitStack() as stack:
        options = {"connections": 10, "count": 1_000_000, "size": 4000, "timeout": 600}
        for address in (SERVER_IPV4, SERVER_IPV6):
            command = traffic_command("pingpong", address, port, **options)
            process = link.client.popen(command, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
        yield


def test_a_prometheus_sees_the_delay_alerts_on_5_percent_loss_and_has_the_kernels_count(
    shipped: Path,
) -> None:
    bad = Impairment(delay_ms=ONE_WAY_MS, loss=LOSS)
    with (
        exporter("--refresh", "0.5") as running,
        open_link(bad, segmentation_offload=False) as link,
        prometheus(shipped, running.port) as asked,
    ):
        running.wait_until_ready()
        with talking(link):
            asked.wait_for("up", lambda up: up == [1, 1])
            check_delay(asked, link)
            firing = 'ALERTS{alertname="TcpvitalsRetransmissionRatioHigh",alertstate="firing"}'
            assert asked.wait_for(firing) == [1]
        link.impair(CLEAN)
        wait_until_quiet(link)
        check_counts(asked, running, link)


def check_delay(asked: Prometheus, link: Link) -> None:
    """The median is in the bucket of the round trip that the wire makes, or the one beside it."""
    rate = f'rate(tcpvitals_rtt_seconds_bucket{{netns="{link.client.inode}"}}[5s])'
    query = f"histogram_quantile(0.5, sum by (le) ({rate}))"
    [median] = asked.wait_for(query, lambda found: bool(found) and found[0] == found[0])
    assert 2 * ONE_WAY_MS / 2e3 <= median <= 2 * 2 * ONE_WAY_MS / 1e3


def check_counts(asked: Prometheus, running: Exporter, link: Link) -> None:
    """All series together are what the kernel counted, and so are all of the older name."""
    for end in (link.client, link.server):
        kernel = end.counters()["TcpRetransSegs"]
        assert kernel > 20
        ours = f'sum(tcpvitals_retransmitted_segments_total{{netns="{end.inode}"}})'
        assert asked.wait_for(ours, [kernel].__eq__) == [kernel]
    everything = running.scrape_after().sum("tcpvitals_retransmitted_segments_total")
    assert asked.wait_for("sum(tcp_retransmissions_total)", [everything].__eq__)
