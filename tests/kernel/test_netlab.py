"""The bad networks are as bad as they claim, on this kernel, and leave nothing behind.

One set of numbers holds for every engine.  In a guest of tests/vm only netem is tried, which must
be there; a host tries the stand-ins that it may need, and netem if it has it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.impairment import CLEAN, Engine, Impairment
from tcpvitals.netlab.link import (
    CLIENT_IPV4,
    SERVER_IPV4,
    SERVER_IPV6,
    Link,
    open_link,
)
from tcpvitals.netlab.namespace import Namespace, open_namespace
from tcpvitals.netlab.support import netem_support
from tcpvitals.netlab.workload import exchange, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces take root")

IN_VM = "TCPVITALS_VM" in os.environ
# What two programs and the wire add to a round trip at best; an emulated CPU takes longer.  Bounds
# from above are on the lowest of many: a host that has other work stalls a guest for seconds, so
# that medians tell about the host.
LATE_US = 10_000 if IN_VM else 5_000
WAIT_S = 4  # for an answer that is late, not lost
PATIENCE_S = 30  # for what the kernel, or a stalled guest, does in its own time
HAS_NETEM = IN_VM or netem_support().yes is True
ENGINES = [
    *(["netem"] if HAS_NETEM else []),
    *([] if IN_VM else ["relay", "nft"]),
]
delays = pytest.mark.parametrize(
    "link", [engine for engine in ENGINES if engine != "nft"], indirect=True
)


@pytest.fixture(scope="module", params=ENGINES)
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    """Return a link by each engine; each test sets what it needs."""
    engine: Engine = request.param
    with open_link(engine=engine, lifetime_s=900) as link:
        yield link


@pytest.fixture(scope="module")
def port(link: Link) -> Iterator[int]:
    """Return the port of an echo server on every address of the link's server."""
    with serve(link.server) as port:
        yield port


def rtts_us(
    link: Link, port: int, address: str = SERVER_IPV4, **options: object
) -> tuple[float, float]:
    """Return the lowest and the highest RTT of one ping-pong connection."""
    options = {"count": 10} | options
    [one] = exchange(link.client, "pingpong", address, port, **options)["connections"]
    return one["min_us"], one["max_us"]


@delays
@pytest.mark.parametrize("address", [SERVER_IPV4, SERVER_IPV6])
def test_20_ms_each_way_are_40_ms_to_the_application(link: Link, port: int, address: str) -> None:
    link.impair(Impairment(delay_ms=20))

    lowest, _ = rtts_us(link, port, address)

    assert 40_000 <= lowest <= 40_000 + LATE_US


@delays
def test_a_delay_in_one_direction_counts_once(link: Link, port: int) -> None:
    link.impair(CLEAN, Impairment(delay_ms=30))

    lowest, _ = rtts_us(link, port)

    assert 30_000 <= lowest <= 30_000 + LATE_US


@delays
def test_jitter_spreads_the_delay_both_ways(link: Link, port: int) -> None:
    link.impair(Impairment(delay_ms=30, jitter_ms=20), CLEAN)

    lowest, highest = rtts_us(link, port, count=40)

    assert 10_000 <= lowest < 20_000
    assert highest > 40_000


@delays
def test_some_packets_skip_the_delay_when_reordered(link: Link, port: int) -> None:
    link.impair(Impairment(delay_ms=60, reorder=0.3), CLEAN)

    lowest, highest = rtts_us(link, port, count=25)

    assert lowest < LATE_US
    assert highest >= 60_000


@delays
def test_a_rate_of_1_mbit_takes_100_ms_for_12500_bytes(link: Link, port: int) -> None:
    link.impair(Impairment(rate_mbit=1), CLEAN)

    lowest, _ = rtts_us(link, port, count=5, size=12_500)

    # Headers add up to 9 % (netem counts the link layer's).
    assert 100_000 <= lowest <= 109_000 + LATE_US


def test_a_wire_made_clean_again_is_fast(link: Link, port: int) -> None:
    link.impair(Impairment(loss=0.5))
    link.impair(CLEAN)

    lowest, _ = rtts_us(link, port, count=50)

    assert lowest < LATE_US


def test_20_percent_loss_loses_20_percent(link: Link, port: int) -> None:
    """Within 4.5 deviations of the binomial distribution: fails once in 150,000 runs."""
    link.impair(Impairment(loss=0.2), CLEAN)

    answered = exchange(link.client, "probe", SERVER_IPV4, port, count=2000, wait=WAIT_S)

    deviation = (2000 * 0.2 * 0.8) ** 0.5
    assert abs(answered["received"] - 1600) <= 4.5 * deviation


def test_a_clean_wire_loses_nothing(link: Link, port: int) -> None:
    link.impair(CLEAN)

    answered = exchange(link.client, "probe", SERVER_IPV6, port, count=500, wait=PATIENCE_S)

    assert answered["received"] == 500


def test_loss_of_everything_is_a_black_hole(link: Link, port: int) -> None:
    link.impair(Impairment(loss=1), CLEAN)

    answered = exchange(link.client, "probe", SERVER_IPV4, port, count=20, wait=0.2)

    assert answered["received"] == 0


def test_loss_makes_tcp_retransmit_and_the_namespace_counts_it(link: Link, port: int) -> None:
    link.impair(CLEAN)
    before = link.client.counters()
    link.impair(Impairment(loss=0.2), CLEAN)
    exchange(link.client, "pingpong", SERVER_IPV4, port, count=10, connections=5)
    after = link.client.counters()

    assert after["TcpRetransSegs"] > before["TcpRetransSegs"]
    assert after["TcpActiveOpens"] - before["TcpActiveOpens"] == 5


@pytest.mark.parametrize(
    ("prefix", "address"), [("10.64.0.0/12", SERVER_IPV4), ("fd64::/64", SERVER_IPV6)]
)
def test_one_namespace_plays_many_peers(link: Link, port: int, prefix: str, address: str) -> None:
    link.impair(CLEAN)
    link.add_prefix("client", prefix)
    before = link.server.counters()["TcpPassiveOpens"]

    done = exchange(link.client, "peers", address, port, prefix=prefix, count=300, messages=3)

    assert (done["peers"], done["failed"], done["round_trips"]) == (300, 0, 900)
    assert link.server.counters()["TcpPassiveOpens"] - before == 300


def test_a_prefix_of_the_server_can_be_reached(link: Link, port: int) -> None:
    link.impair(CLEAN)
    link.add_prefix("server", "10.128.0.0/16")

    lowest, _ = rtts_us(link, port, "10.128.77.3", bind=CLIENT_IPV4)

    assert lowest < LATE_US


def test_without_segmentation_offload_no_packet_exceeds_the_mtu() -> None:
    with open_link(engine="nft", segmentation_offload=False) as link:
        text = link.client.run(["ip", "-details", "link", "show", link.device]).stdout

        assert "gso_max_segs 1 " in text
        assert "mtu 1500 " in text


def test_neighbours_are_known_before_the_first_packet() -> None:
    """Loss would drop ARP and neighbour discovery too, and SYNs would wait for them."""
    with open_link(engine="nft") as link:
        there = link.client.run(["ip", "neighbour"]).stdout

        for address in (SERVER_IPV4, SERVER_IPV6):
            assert f"{address} dev veth0 lladdr 02:00:00:00:00:02 PERMANENT" in there
        mine = link.server.run(["ip", "address"]).stdout
        assert "tentative" not in mine


def test_an_engine_says_what_it_cannot_do() -> None:
    with (
        pytest.raises(ValueError, match="nft only drops"),
        open_link(Impairment(delay_ms=1), engine="nft"),
    ):
        pass


def test_netem_is_there_in_every_test_kernel() -> None:
    answer = netem_support()

    assert answer.yes is True if IN_VM else answer.yes is not None, answer.reason


def test_a_failing_command_is_told_with_its_own_words() -> None:
    with open_namespace() as namespace, pytest.raises(NetlabError, match='"nosuch0"'):
        namespace.run(["ip", "link", "show", "nosuch0"])


def test_a_daemon_ends_with_its_namespace() -> None:
    with open_namespace() as namespace:
        started = namespace.run(["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"])
        daemon = Path("/proc") / started.stdout.strip()
        assert daemon.exists()

    assert comes_true(lambda: not is_running(daemon))


def test_a_namespace_ends_by_itself_when_its_lifetime_is_over() -> None:
    with open_namespace(lifetime_s=0.5) as namespace:
        child = namespace.popen(["sleep", "300"])

        assert child.wait(timeout=PATIENCE_S) == -signal.SIGKILL


def test_sysctls_of_a_namespace_are_its_own() -> None:
    name = "net.ipv4.tcp_syn_retries"
    ours = Path("/proc/sys", *name.split("."))
    before = ours.read_text()
    with open_namespace() as namespace:
        namespace.set_sysctl(name, 3)

        assert namespace.run(["cat", str(ours)]).stdout == "3\n"
    assert ours.read_text() == before


VICTIM = """
import json, sys, time
from tcpvitals.netlab.link import open_link
from tcpvitals.netlab.workload import serve

with open_link(engine="relay") as far, open_link(engine="nft") as near, serve(near.server):
    shell = near.client.popen(["sh", "-c", "sleep 301 & sleep 302"])
    print(json.dumps([n.pid for n in (near.client, near.server, far.client, far.server)]))
    sys.stdout.flush()
    time.sleep(300)
"""


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[str]]:
    """Return a process with two links and programs in them, which is killed afterwards anyway."""
    with subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, text=True) as it:
        yield it
        it.kill()


def test_kill_9_leaves_no_namespace_no_device_and_no_process(
    victim: subprocess.Popen[str],
) -> None:
    """A veth pair into each namespace tells when the kernel has destroyed it: its end here goes."""
    with open_namespace() as witness:
        holders = json.loads(victim.stdout.readline() if victim.stdout else "[]")
        for number, holder in enumerate(holders):
            pair = f"link add witness{number} type veth peer name witness netns {holder}"
            witness.run(["ip", *pair.split()])
        inodes = {Path(f"/proc/{holder}/ns/net").stat().st_ino for holder in holders}
        doomed = [process for process in Path("/proc").glob("[0-9]*") if net_of(process) in inodes]
        # Four holders and their sleeps, the relay, the server, the shell and its two sleeps.
        assert len(doomed) == 4 * 2 + 1 + 1 + 3

        victim.send_signal(signal.SIGKILL)

        assert comes_true(lambda: not any(is_running(process) for process in doomed))
        assert comes_true(lambda: "witness" not in devices(witness))


def test_the_machines_own_devices_are_left_alone() -> None:
    ours = Path("/sys/class/net")
    before = sorted(ours.iterdir())
    with open_link(engine="relay"), open_link(engine="nft"):
        assert sorted(ours.iterdir()) == before


def devices(namespace: Namespace) -> str:
    """Return what `ip link` lists inside."""
    return namespace.run(["ip", "-brief", "link"]).stdout


def net_of(process: Path) -> int | None:
    """Return the inode of a process's network namespace, if it still has one."""
    try:
        return (process / "ns/net").stat().st_ino
    except OSError:
        return None


def is_running(process: Path) -> bool:
    """Tell whether a process is more than a dead one that nobody has waited for."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def comes_true(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Wait for what the kernel does in its own time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
