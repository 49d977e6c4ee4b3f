"""What stops `tcpvitals serve`, and what must not: a status, one line, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from conftest import IN_VM
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from serve_lab import COMMAND, PATIENCE_S, Exporter, Page, exporter, free_port
from sockets_lab import open_actor, round_trip
from test_hostile_comm import NAMES
from test_startup_failures import FAILURES, MAY_READ, NOBODY, complaint, run

from tcpvitals.model.printable import printable
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import SERVER_IPV4, Link, open_link

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(IN_VM, reason="each run takes an emulated CPU many seconds")

OPTIONS: Final = ("--refresh", "0.2")
# As most users have it: else a write that fails leaves nothing behind to fail again at the end.
BUFFERED: Final = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
INTERRUPTED: Final = 130


def ends(*options: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run one that is expected to end by itself."""
    return run(*wrapper, *COMMAND, "--listen", f"127.0.0.1:{free_port()}", *options)


# --- what stops it ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_found_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Who may not load anything would be told that first.
        done = run(*NOBODY, *MAY_READ, *COMMAND, "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 18
    assert complaint(done).startswith(f"cannot listen on 127.0.0.1:{port}: port {port} is taken")


@pytest.mark.parametrize(
    "why", ["an ordinary user", "root without CAP_PERFMON", "BTF hidden", "libbpf absent"]
)
def test_what_the_host_lacks_is_told_as_to_every_other_command(why: str) -> None:
    how, status, said = FAILURES[why]
    done = ends(wrapper=how)
    assert done.returncode == status, done.stderr
    assert said in complaint(done)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('quiet = true\nrefresh = "soon"\n', 2, "'soon' is not a number of seconds"),
        ("quiet = true\n\nmax-group = 5\n", 3, "max-group"),
        ("quiet = true\nrefresh = \n", 2, ""),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    done = ends("--config", str(config))
    assert done.returncode == 2
    assert f"{config}:{line}: " in complaint(done)
    assert said in complaint(done)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--user", "nobody-of-that-name"), "nobody-of-that-name"),
        (("--config", "/nowhere/config.toml"), "/nowhere/config.toml"),
        (("--web.config.file", "/nowhere/web.yml"), "/nowhere/web.yml"),
        (("--listen", "0.0.0.0:0"), "--insecure-listen"),
        (("--listen", "example.org:2112"), "--listen example.org:2112: not ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_is_bad_usage(options: tuple[str, str], said: str) -> None:
    done = ends(*options)
    assert done.returncode == 2
    assert said in complaint(done)


# --- what does not ---------------------------------------------------------------------------


@contextlib.contextmanager
def broken_pipe() -> Iterator[int]:
    """Return the writing end of a pipe that nobody reads any more."""
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "wb"):
        yield writable


@contextlib.contextmanager
def full() -> Iterator[int]:
    """Return a file on a disk that is full."""
    with Path("/dev/full").open("w") as file:
        yield file.fileno()


@contextlib.contextmanager
def stuck() -> Iterator[int]:
    """Return a pipe that is full, and that nobody reads."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writable, bytes(4096))
    os.set_blocking(writable, True)
    with os.fdopen(readable), os.fdopen(writable, "wb"):
        yield writable


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "made", [broken_pipe, full, stuck], ids=["closed pipe", "full disk", "full pipe"]
)
def test_it_serves_on_when_what_it_writes_has_nowhere_to_go(
    tmp_path: Path, stream: str, made: Callable[[], contextlib.AbstractContextManager[int]]
) -> None:
    with made() as descriptor:
        serves_and_ends_well(tmp_path, **{stream: descriptor})


@pytest.mark.parametrize("descriptor", [1, 2], ids=["stdout", "stderr"])
def test_it_serves_without_a_stream_at_all(tmp_path: Path, descriptor: int) -> None:
    serves_and_ends_well(tmp_path, preexec_fn=lambda: os.close(descriptor))


def serves_and_ends_well(tmp_path: Path, **popen: Any) -> None:  # noqa: ANN401 - Popen's own
    """Have it show its table and complain, into wherever that goes."""
    config = tmp_path / "config.toml"
    config.write_text("")
    with exporter(*OPTIONS, "--config", str(config), env=BUFFERED, **popen) as started:
        started.wait_until_ready()
        config.write_text("nonsense")
        for _ in range(2):
            started.process.send_signal(signal.SIGHUP)
            started.scrape_after()
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end()[0] == 0


def test_a_duration_ends_it() -> None:
    done = ends("--duration", "0.5", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- signals ---------------------------------------------------------------------------------


def mask(started: Exporter, name: str) -> int:
    """Return which signals are caught or ignored; none while it is not even that program."""
    for line in Path(f"/proc/{started.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def wait_for_signal(started: Exporter, name: str, number: int) -> None:
    """Until that signal is caught or ignored."""
    deadline = time.monotonic() + PATIENCE_S
    while not mask(started, name) & 1 << number - 1:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_sighup_while_it_starts_is_no_reason_to_end() -> None:
    with exporter(*OPTIONS) as started:
        wait_for_signal(started, "SigIgn", signal.SIGHUP)
        for _ in range(40):
            started.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        started.wait_until_ready()
        status, stderr = started.end()
    assert status == 0
    assert {line.split(": ", 1)[1] for line in stderr.splitlines()} <= {"SIGHUP: nothing changed"}


def test_a_shorter_interval_need_not_wait_for_the_end_of_the_longer_one(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("refresh = 3600\n")
    with exporter("--quiet", "--config", str(config)) as started:
        started.wait_until_ready()
        config.write_text("refresh = 0.2\n")
        started.process.send_signal(signal.SIGHUP)
        started.scrape_after(2)
        assert started.end() == (0, "tcpvitals: SIGHUP: --refresh changed\n")


def test_started_with_sighup_ignored_it_still_reads_its_file_again() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with exporter(*OPTIONS, preexec_fn=ignore) as started:
        started.wait_until_ready()
        started.process.send_signal(signal.SIGHUP)
        started.scrape_after()
        assert started.end() == (0, "tcpvitals: SIGHUP: nothing changed\n")


@pytest.mark.parametrize("after_s", [0, 0.1, 0.2, 0.4, 0.8])
def test_asked_to_end_while_it_starts_it_ends_as_it_should(after_s: float) -> None:
    with exporter(*OPTIONS) as started:
        wait_for_signal(started, "SigCgt", signal.SIGTERM)
        time.sleep(after_s)
        assert started.end() == (0, "")


def test_before_it_has_begun_a_signal_just_ends_it() -> None:
    with exporter(*OPTIONS) as started:
        time.sleep(0.05)
        status, stderr = started.end()
    assert status in {-signal.SIGTERM, 0}
    assert stderr == ""


def test_a_second_request_to_end_does_not_wait_for_slow_readers() -> None:
    with exporter(*OPTIONS, "--by", "raddr,lport,rport") as started, socket.socket() as slow:
        started.wait_until_ready()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", started.port))
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        time.sleep(0.3)
        started.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert started.process.poll() is None
        assert started.end(patience_s=5) == (INTERRUPTED, "")  # and not the ten of the slow one


# --- what it is asked to count ---------------------------------------------------------------


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
    deadline = time.monotonic() + 10
    while True:
        page = started.scrape_after()
        if len({one.labels[label] for one in page if label in one.labels}) >= count + 2:
            return page
        assert time.monotonic() < deadline


def test_the_whole_host_has_one_series_of_each_and_no_label() -> None:
    with exporter(*OPTIONS, "--by", "") as started:
        started.wait_until_ready()
        page = started.scrape_after(2)
        assert started.end() == (0, "")
    sent = [one for one in page if one.name == "tcpvitals_sent_segments_total"]
    assert [one.labels for one in sent] == [{}]
    assert sent[0].value > 0
    assert page.sum("tcpvitals_network_rtt_seconds_count") > 0


def test_each_cgroup_has_a_series_that_names_it() -> None:
    with exporter(*OPTIONS, "--by", "cgroup") as started:
        started.wait_until_ready()
        page = started.scrape_after(2)
    groups = {one.labels["cgroup"] for one in page if "sent_segments" in one.name}
    infos = {one.labels["cgroup"]: one for one in page if one.name == "tcpvitals_cgroup_info"}
    assert groups - {"", "other", "retired"}
    assert groups - {"", "other", "retired"} == infos.keys()
    assert {one.value for one in infos.values()} == {1}
    assert all(one.labels["path"].startswith("/") for one in infos.values())


def test_one_group_is_a_limit_like_any_other() -> None:
    with exporter(*OPTIONS, "--max-groups", "1", "--by", "lport") as started:
        started.wait_until_ready()
        page = started.scrape_after(3)
        assert started.end() == (0, "")
    assert page.sum("tcpvitals_groups_limit") == 1
    ports = page.by("tcpvitals_sent_segments_total", "local_port")
    assert len(ports) == 3
    assert ports["other"] > 0


@pytest.fixture(scope="module")
def silent() -> Iterator[Link]:
    """Return a link at whose other end nobody hears anything."""
    with open_link(Impairment(loss=1.0), segmentation_offload=False) as link:
        link.add_prefix("server", "10.128.0.0/10")
        yield link


MANY: Final = 300


@pytest.mark.parametrize("seed", ["bounded", "full", "off"])
def test_more_remotes_than_fit_are_counted_to_the_last_segment(silent: Link, seed: str) -> None:
    limits = ("--by", "raddr", "--max-groups", "4", "--seed-labels", seed, "--seed-series", "5")
    before = silent.client.counters()["TcpRetransSegs"]
    with (
        exporter(*OPTIONS, *limits, "--netns", str(silent.client.pid)) as started,
        open_actor(silent.client) as client,
    ):
        started.wait_until_ready()
        client.do("dial", first="10.128.0.0", count=MANY, port=9)
        time.sleep(1.5)  # a SYN is sent again after a second, and two seconds after that
        client.do("drop")
        page = started.scrape_after(2)
    kernel = silent.client.counters()["TcpRetransSegs"] - before
    check_sums(page, kernel)
    check_flows(page, seed, kernel)


def check_sums(page: Page, kernel: int) -> None:
    """Few are known by their address; all are there."""
    found = page.by("tcpvitals_retransmitted_segments_total", "remote")
    assert kernel >= MANY
    assert found.total() == kernel
    assert found["other"] >= MANY - 4
    assert len(found) == 4 + 2
    assert page.sum("tcpvitals_groups") == 4
    difference = "tcpvitals_kernel_difference_segments"
    assert page.sum(difference, counter="RetransSegs") == 0


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
        stamps, turns = set(), 10
        for _ in range(turns):
            round_trip(client.do, server.do)
            stamps.add(started.scrape().sum("tcpvitals_refresh_timestamp_seconds"))
            time.sleep(0.15)
        assert started.get("/healthz") == (200, "ok\n")
        sent = started.scrape_after(2).sum("tcpvitals_sent_segments_total", service_port=str(port))
        assert started.end() == (0, "")
    assert len(stamps) >= turns / 2
    assert sent == 2 * turns * 200
