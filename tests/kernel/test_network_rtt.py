"""Network RTT is the wire's, whatever receivers hold back and servers think; inflation is queues.

Packet timestamps say what is right: `packets_lab` reads neither TCP sockets nor anything of ours.
A round trip takes 20 ms, and what waits in a queue.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from conftest import IN_VM, netns_inode
from packets_lab import packets, round_trips, waiting_us

from tcpvitals.model.key import Role
from tcpvitals.model.measurement import Sample
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from tcpvitals.kernel.plan import Attach
    from tcpvitals.model.rtt import Distribution, RttSnapshot
    from tcpvitals.netlab.link import Link
    from tcpvitals.sources.live import LiveRtt

pytestmark = pytest.mark.skipif(not IN_VM, reason="packets are noted of the whole machine")

PROGRAM = Path(__file__).parent / "thinking.py"
HALF, ALL = Impairment(delay_ms=10), Impairment(delay_ms=20)
RATE_MBIT, WINDOW = 10, 128 << 10
THINKING_MS = (0, 5, 30, 100)
# Request, thinking, answer, turns.  Those that are light go on at once.
LIGHT = {
    **{f"thinks {ms} ms": (20_000, ms, 100, 25) for ms in THINKING_MS},
    "small": (100, 30, 100, 25),
}
HEAVY = {"up": (4 << 20, 0, 1, 1), "down": (64, 0, 4 << 20, 1)}
BOTH = (Sample.NETWORK, Sample.INFLATION)


@dataclass(frozen=True)
class Seen:
    """What was counted by service and role, and the packets there were.

    `ports` are by scenario; `srtt_us` after the handshake by port, at the client and the server.
    """

    counted: dict[Sample, dict[tuple[int | None, Role | None], Distribution]]
    packets: np.ndarray
    ports: dict[str, int]
    srtt_us: tuple[dict[int, int], dict[int, int]]
    link: Link

    def client(self, sample: Sample, scenario: str) -> Distribution:
        """What the client's end counted."""
        return self.counted[sample][self.ports[scenario], Role.CLIENT]

    def server(self, sample: Sample, scenario: str) -> Distribution:
        """What the server's end counted."""
        return self.counted[sample][self.ports[scenario], Role.SERVER]


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    """A wire of 20 ms, there and back."""
    with open_link(HALF, HALF, engine="netem", lifetime_s=900) as link:
        yield link


@pytest.fixture(scope="module")
def server(link: Link) -> Iterator[tuple[dict[str, int], IO[str]]]:
    """A server that thinks: a port for each scenario, and what it prints."""
    names = (*LIGHT, *HEAVY, "queue", "old", "before")
    command = [sys.executable, str(PROGRAM), "serve", str(len(names))]
    with link.server.popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            ports = json.loads(server.stdout.readline())
            yield dict(zip(names, ports, strict=True)), server.stdout
        finally:
            server.kill()


@pytest.fixture(scope="module")
def ports(server: tuple[dict[str, int], IO[str]]) -> dict[str, int]:
    """The port of each scenario."""
    return server[0]


def _ask(link: Link, port: int, *figures: int) -> subprocess.Popen[str]:
    words = [SERVER_IPV4, str(port), *map(str, figures)]
    command = [sys.executable, str(PROGRAM), "ask", *words]
    return link.client.popen(command, stdout=subprocess.PIPE)


def _finish(*talks: subprocess.Popen[str]) -> dict[int, int]:
    """Wait for clients to end well; srtt after the handshake, by port."""
    said = [talk.communicate(timeout=200)[0] for talk in talks]
    assert [talk.returncode for talk in talks] == [0] * len(talks)
    return dict(map(json.loads, said))


def _by_end(snapshot: RttSnapshot) -> dict[tuple[int | None, Role | None], Distribution]:
    return {
        (key.service, key.role): snapshot.table.row(row) for row, key in enumerate(snapshot.keys)
    }


@pytest.fixture(scope="module")
def seen(
    link: Link, server: tuple[dict[str, int], IO[str]], module_rtt: Callable[..., LiveRtt]
) -> Iterator[Seen]:
    """All that there is without a queue, once for all tests."""
    ports, printed = server
    live = {sample: module_rtt("service,role", sample=sample) for sample in Sample}
    with packets() as read:
        clients = _finish(*(_ask(link, ports[name], *LIGHT[name]) for name in LIGHT))
        for name, figures in HEAVY.items():
            clients |= _finish(_ask(link, ports[name], *figures))
        counted = {sample: _by_end(one.snapshot()) for sample, one in live.items()}
        servers = dict(json.loads(printed.readline()) for _ in clients)
        yield Seen(counted, read(), ports, (clients, servers), link)


def _p50(distribution: Distribution) -> float:
    (median,) = distribution.quantiles((0.5,))
    assert median is not None, distribution.context
    return median


def _check_sender(seen: Seen, scenario: str, role: Role) -> None:
    """Network RTT within 5 % of what packets say; inflation below 2 ms where they say so, too."""
    port = seen.ports[scenario]
    if role is Role.CLIENT:
        right = round_trips(seen.packets, netns_inode(seen.link.client), to_port=port)
    else:
        right = round_trips(seen.packets, netns_inode(seen.link.server), from_port=port)
    network = seen.counted[Sample.NETWORK][port, role]
    inflation = seen.counted[Sample.INFLATION][port, role]
    # The sample of the last ACK is read at a segment that never comes.
    assert len(right.clean) - 1 <= inflation.count <= len(right.clean)
    assert network.count == inflation.count + 1
    assert network.context
    handshake_us = network.context.handshake_us
    assert _p50(network) == pytest.approx(right.p50(handshake_us), rel=0.05)
    assert _p50(inflation) <= max(2000, 1.1 * right.inflation_p50())
    assert network.context.samples >= network.count


@pytest.mark.parametrize("think_ms", THINKING_MS)
def test_network_rtt_is_the_wires_however_long_the_server_thinks(seen: Seen, think_ms: int) -> None:
    _check_sender(seen, f"thinks {think_ms} ms", Role.CLIENT)


@pytest.mark.parametrize(("scenario", "role"), [("up", Role.CLIENT), ("down", Role.SERVER)])
def test_network_rtt_of_a_bulk_transfer_is_the_wires_in_either_direction(
    seen: Seen, scenario: str, role: Role
) -> None:
    _check_sender(seen, scenario, role)


@pytest.mark.parametrize("think_ms", THINKING_MS)
def test_the_handshakes_sample_is_the_first_srtt_at_both_ends(seen: Seen, think_ms: int) -> None:
    """It is what TCP_INFO has before any data."""
    scenario = f"thinks {think_ms} ms"
    for end, srtt_us in zip((seen.client, seen.server), seen.srtt_us, strict=True):
        context = end(Sample.NETWORK, scenario).context
        assert context
        assert context.handshakes == 1
        assert context.handshake_us == srtt_us[seen.ports[scenario]] >= 20_000


def test_small_requests_have_too_few_clean_samples_and_never_a_queue(seen: Seen) -> None:
    """What is left is said: the handshake, the minimum RTT, and how many samples there were."""
    for end in (seen.client, seen.server):
        network, inflation = (end(sample, "small") for sample in BOTH)
        assert (network.count, inflation.count) == (1, 0)
        assert network.quantiles((0.5, 0.9, 0.99)) == [None] * 3
        assert inflation.quantiles((0.5, 0.9, 0.99)) == [None] * 3
        context = network.context
        assert context
        assert context.samples >= 20
        assert context.handshakes == 1
        assert context.floor_us is not None
        assert 20_000 <= context.floor_us <= 1.05 * context.handshake_us


def test_rtt_has_the_servers_thinking_in_it(seen: Seen) -> None:
    """Network or peer?  What only `rtt` has is the peer's: here 30 ms beside the wire's 20.

    As far as the answer carries the ACK: a server that a busy machine stops acknowledges before.
    """
    client = netns_inode(seen.link.client)
    right = round_trips(seen.packets, client, to_port=seen.ports["small"])
    assert max(right.every) >= 50_000
    assert _p50(seen.client(Sample.RTT, "small")) == pytest.approx(right.p50_of_every(), rel=0.05)


def test_inflation_has_no_thinking_of_the_server_in_it(
    link: Link, ports: dict[str, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """It once was 30 ms here: the answer carries the ACK."""
    live = open_rtt(sample=Sample.INFLATION, selection=_to(ports["before"]))
    _finish(_ask(link, ports["before"], *LIGHT["small"]))
    (median,) = live.snapshot().total().quantiles((0.5,))
    assert (median or 0) < 2000


def test_inflation_is_the_backlog_of_a_queue_by_its_rate(
    link: Link, ports: dict[str, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """A window of a few hundred kilobytes into 10 Mbit/s: all waits but what 20 ms take."""
    port = ports["queue"]
    live = {one: open_rtt("service", sample=one, selection=_to(port)) for one in BOTH}
    client, server = netns_inode(link.client), netns_inode(link.server)
    with _rate_limited(link), packets() as read:
        _finish(_ask(link, port, 4 << 20, 0, 1, 1, WINDOW))
        found = {one: each.snapshot().total() for one, each in live.items()}
        noted = read()
    queue_us = waiting_us(noted, client, server, port, RATE_MBIT)
    right = round_trips(noted, client, to_port=port)
    assert queue_us > 50_000
    assert _p50(found[Sample.INFLATION]) == pytest.approx(queue_us, rel=0.10)
    assert _p50(found[Sample.NETWORK]) == pytest.approx(right.p50(), rel=0.05)


def _to(port: int) -> Selection:
    return Selection(rports=(port,))


@contextmanager
def _rate_limited(link: Link) -> Iterator[None]:
    """The delay is on the way back: the client's queue holds nothing but what waits."""
    link.impair(Impairment(rate_mbit=RATE_MBIT), ALL)
    try:
        yield
    finally:
        link.impair(HALF, HALF)


def test_a_connection_older_than_we_are_has_no_handshake(
    link: Link, ports: dict[str, int], attach: Attach, open_rtt: Callable[..., LiveRtt]
) -> None:
    """On either hook: its first segment here is not its first."""
    port = ports["old"]
    talk = _ask(link, port, 20_000, 5, 100, 100)
    assert talk.stdout
    assert talk.stdout.readline()  # the first answer is there
    live = open_rtt("role", sample=Sample.NETWORK, attach=attach, selection=_to(port))
    assert talk.poll() is None
    fresh = _ask(link, port, 20_000, 5, 100, 3)
    _finish(fresh)
    talk.kill()
    context = live.snapshot().total().context
    assert context
    assert context.handshakes == 1
    assert context.samples > 3


@pytest.fixture(scope="module")
def module_rtt(
    start_rtt: Callable[..., LiveRtt],
) -> Iterator[Callable[..., LiveRtt]]:
    """As `open_rtt`, for all tests of this file."""
    with ExitStack() as stack:
        yield lambda *by, **how: stack.enter_context(start_rtt(*by, **how))
