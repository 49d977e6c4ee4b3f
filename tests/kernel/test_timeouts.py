"""Timeouts of which no event tells: the kernel's count is ours all the same."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from retrans_scenarios import Outcome, verification, wait_until_quiet
from sockets_lab import PATIENCE_S, open_actor

from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link
from tcpvitals.netlab.workload import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.netlab.link import Link
    from tcpvitals.netlab.namespace import Namespace

pytestmark = pytest.mark.skipif(not IN_VM, reason="counters are exact in guests only")

_ORPHANS = Path("/proc/sys/net/ipv4/tcp_max_orphans")
_CLIENT_WITHOUT_COOKIE, _SERVER_WITHOUT_COOKIE = 0x5, 0x602
# Data with the SYN on each of many sockets; then wait until the kernel has given up or got through.
_FAST_OPEN = """
import socket, sys, time
address, port, count, seconds = sys.argv[1], *map(int, sys.argv[2:])
kept = []
for _ in range(count):
    tcp = socket.socket()
    tcp.setblocking(False)
    try:
        tcp.sendto(b"x" * 100, 0x20000000, (address, port))  # MSG_FASTOPEN
    except BlockingIOError:
        pass
    kept.append(tcp)
time.sleep(seconds)
"""


def _timeouts(outcome: Outcome, end: Namespace) -> tuple[int, int]:
    one = outcome.counters(end)["TCPTimeouts"]
    return one["ours"], one["kernel"]


def _check(outcome: Outcome, end: Namespace, *, at_least: int) -> None:
    """Ours is the kernel's, without an explanation; and there was something to count."""
    ours, kernel = _timeouts(outcome, end)
    assert ours == kernel >= at_least, outcome.verified
    assert outcome.status == 0, outcome.verified


def _fast_open(link: Link, port: int, count: int, seconds: int) -> None:
    link.client.set_sysctl("net.ipv4.tcp_fastopen", _CLIENT_WITHOUT_COOKIE)
    words = (SERVER_IPV4, port, count, seconds)
    link.client.run([sys.executable, "-c", _FAST_OPEN, *map(str, words)], timeout_s=PATIENCE_S)


def _passive_fast_opens(end: Namespace) -> int:
    names, values = [
        line.split()
        for line in Path(f"/proc/{end.pid}/net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    ]
    return int(dict(zip(names, values, strict=True))["TCPFastOpenPassive"])


@pytest.mark.parametrize("answered", [False, True], ids=["given up", "answered late"])
def test_a_fast_opens_syn_acks_are_its_sockets_timeouts(*, answered: bool) -> None:
    """7 sockets whose SYN-ACKs are lost: for good, or for the first four seconds."""
    with open_link(CLEAN, Impairment(loss=1)) as link:
        link.server.set_sysctl("net.ipv4.tcp_fastopen", _SERVER_WITHOUT_COOKIE)
        link.server.set_sysctl("net.ipv4.tcp_synack_retries", 1)
        link.client.set_sysctl("net.ipv4.tcp_syn_retries", 3 if answered else 1)
        with serve(link.server) as port, verification() as running:
            _fast_open(link, port, 7, 4)
            if answered:
                link.impair(CLEAN, CLEAN)
            assert _passive_fast_opens(link.server) == 7
            wait_until_quiet(link)
            outcome = running.end()
        _check(outcome, link.server, at_least=7)
        _check(outcome, link.client, at_least=7)
        compared = outcome.counters(link.server)
        assert compared["RetransSegs"]["difference"] == compared["TCPSynRetrans"]["difference"] == 0


@pytest.fixture
def _orphans() -> Iterator[None]:
    """Puts the guest's limit of orphaned sockets back."""
    before = _ORPHANS.read_text()
    yield
    _ORPHANS.write_text(before)


@pytest.mark.usefixtures("_orphans")
def test_what_the_limit_of_orphans_kills_was_a_timeout() -> None:
    """16 closed sockets with data in flight; at their next timeout they are gone."""
    with (
        open_link(CLEAN) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host=SERVER_IPV4)
        client.do("connect", host=SERVER_IPV4, port=port, count=16)
        server.do("accept", count=16)
        with verification() as running:
            link.impair(Impairment(loss=1))
            client.do("send", size=1000)
            client.do("drop")
            time.sleep(2)
            _ORPHANS.write_text("1")
            wait_until_quiet(link)
            outcome = running.end()
        _check(outcome, link.client, at_least=32)


def test_timeouts_without_a_route_are_the_kernels_own() -> None:
    """12 connections whose route is gone for some timeouts, and comes back."""
    with (
        open_link(CLEAN) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        port = server.do("listen", host=SERVER_IPV4)
        client.do("connect", host=SERVER_IPV4, port=port, count=12)
        server.do("accept", count=12)
        with verification() as running:
            link.impair(Impairment(loss=1))
            client.do("send", size=1000)
            link.client.run(["ip", "route", "del", "10.0.0.0/24", "dev", link.device])
            time.sleep(4)
            link.client.run(["ip", "route", "add", "10.0.0.0/24", "dev", link.device])
            link.impair(CLEAN)
            server.do("receive", size=1000)
            wait_until_quiet(link)
            outcome = running.end()
        _check(outcome, link.client, at_least=36)
