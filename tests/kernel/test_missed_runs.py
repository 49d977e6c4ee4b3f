"""Programs that are not run: what they would have counted is found otherwise, or said to be lost.

Some hosts do not run a program when its event interrupts certain tasks, and no counter says so.
Here the program is detached instead, which to all that is counted is the same.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from retrans_scenarios import PATIENCE_S, wait_until_quiet
from sockets_lab import open_actor, round_trip

from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.totals import Totals
    from tcpvitals.sources.live import LiveSockets

pytestmark = pytest.mark.skipif(not IN_VM, reason="another reason not to run them would add to it")

COUNT, MANY = 8, 600


def _detach(live: LiveSockets, *names: str) -> None:
    links = live._loaded._links  # noqa: SLF001 - nothing else would miss a run on purpose
    for name in names:
        if name in links:
            links.pop(name).close()


def _attach(live: LiveSockets, name: str) -> None:
    live._loaded._attach(name)  # noqa: SLF001 - likewise


def _count_for_long(live: LiveSockets) -> None:
    """What may be older than we are is not counted; here nothing is, however often it repeats."""
    since = live._loaded.variables.number("counting_since_s")  # noqa: SLF001 - likewise
    since -= 1 << 30


def _of(live: LiveSockets, inode: int) -> Totals:
    assert live.namespaces
    each = live.namespaces.totals().each
    return next(one for found, one in each.items() if found.inode == inode)


def _look_until(condition: Callable[[], bool], live: LiveSockets) -> None:
    """The kernel takes its time to free a socket."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        live.totals()


@pytest.mark.parametrize("missed", ["all", "the first"])
def test_syn_acks_whose_events_were_missed_are_counted(
    open_sockets: Callable[..., LiveSockets], missed: str
) -> None:
    """8 handshakes; each SYN-ACK is lost for some seconds, and then each is answered."""
    with (
        open_link(CLEAN, Impairment(loss=1)) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host=SERVER_IPV4)
        live = open_sockets("netns,role", totals=True, namespaces=True)
        _count_for_long(live)
        before = link.server.counters()
        _detach(live, "synack_retransmitted")
        for _ in range(COUNT):
            client.do("call", host=SERVER_IPV4, port=port)
        time.sleep(2)
        if missed == "the first":
            _attach(live, "synack_retransmitted")
            time.sleep(2)
        link.impair(CLEAN, CLEAN)
        server.do("accept", count=COUNT)
        wait_until_quiet(link)
        after, ours = link.server.counters(), _of(live, link.server.inode)
        lost = live.totals().losses
    sent = after["TcpRetransSegs"] - before["TcpRetransSegs"]
    assert sent >= COUNT
    assert (ours["segments_retransmitted"], ours["synack"]) == (sent, sent)
    assert ours["segments_control"] == sent
    assert lost["unattributed"] == 0


def test_no_syn_ack_is_counted_twice_however_many_requests_share_a_place(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    """600 requests wait at once, in 16,384 places, of which some eleven pairs share one."""
    with (
        open_link(CLEAN, Impairment(loss=1)) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        for name in ("core.somaxconn", "ipv4.tcp_max_syn_backlog"):
            link.server.set_sysctl(f"net.{name}", 4 * MANY)
        port = server.do("listen", host=SERVER_IPV4)
        live = open_sockets("netns,role", totals=True, namespaces=True)
        _count_for_long(live)
        before = link.server.counters()
        for _ in range(MANY):
            client.do("call", host=SERVER_IPV4, port=port)
        time.sleep(2)
        link.impair(CLEAN, CLEAN)
        server.do("accept", count=MANY)
        wait_until_quiet(link)
        after, ours = link.server.counters(), _of(live, link.server.inode)
    sent = after["TcpRetransSegs"] - before["TcpRetransSegs"]
    assert sent >= MANY
    assert (ours["segments_retransmitted"], ours["synack"]) == (sent, sent)


def test_a_cause_that_was_missed_is_lost_and_no_retransmission(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    """8 connections whose segments are lost for a while; of none of them an event tells."""
    with (
        open_link(CLEAN) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host=SERVER_IPV4)
        client.do("connect", host=SERVER_IPV4, port=port, count=COUNT)
        server.do("accept", count=COUNT)
        round_trip(client.do, server.do)
        live = open_sockets("netns,role", totals=True, namespaces=True)
        before = link.client.counters()
        _detach(live, "retransmitted", "retransmitted_or_failed")
        link.impair(Impairment(loss=1))
        client.do("send", size=1000)
        time.sleep(2)
        link.impair(CLEAN)
        server.do("receive", size=1000)
        wait_until_quiet(link)
        after, ours = link.client.counters(), _of(live, link.client.inode)
        snapshot = live.totals()
    sent = after["TcpRetransSegs"] - before["TcpRetransSegs"]
    assert sent >= COUNT
    assert ours["segments_retransmitted"] == sent == ours.without_cause
    expected = sent if live.shows_errors else 0
    assert snapshot.losses["unattributed"] == expected
    if live.shows_errors:  # older kernels may forget them before anything looks at the socket
        assert ours["timeouts"] == after["TcpExtTCPTimeouts"] - before["TcpExtTCPTimeouts"]


@pytest.mark.parametrize("missed", ["close and end", "close"])
def test_connections_whose_end_was_missed_are_lost_each_once(
    open_sockets: Callable[..., LiveSockets], missed: str
) -> None:
    """8 connections are reset by the client; their ends are seen at the server alone, or late."""
    both = 2 * COUNT
    unseen = ["state_changed_by_call", "state_changed_by_packet"]
    if missed == "close and end":
        unseen.append("socket_gone")
    with (
        open_link(CLEAN) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host=SERVER_IPV4)
        live = open_sockets("netns,role", totals=True, namespaces=True)
        client.do("connect", host=SERVER_IPV4, port=port, count=COUNT)
        server.do("accept", count=COUNT)
        round_trip(client.do, server.do)
        before = live.totals().losses["socket_ends"]
        _detach(live, *unseen)
        client.do("drop", reset=True)
        server.do("drop")
        wait_until_quiet(link)
        _look_until(lambda: sum(dataclasses.astuple(live.missed())[1:]) == both, live)
        lost, missing = live.totals().losses["socket_ends"], live.missed()
    assert before == 0
    assert (lost, missing.ends, missing.closes) == (
        (both, both, 0) if missed == "close and end" else (0, 0, both)
    )
