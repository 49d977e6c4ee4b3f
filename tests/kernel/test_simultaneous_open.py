"""Connections that both ends open at once (RFC 9293, 3.5), and that never come about."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import IN_VM
from retrans_scenarios import PATIENCE_S, verification

from tcpvitals.netlab.impairment import Impairment
from tcpvitals.netlab.link import CLIENT_IPV4, SERVER_IPV4, open_link

if TYPE_CHECKING:
    from tcpvitals.netlab.link import Link
    from tcpvitals.netlab.namespace import Namespace

PORTS = range(40_000, 40_006)
LINEAR_SYNS = "net.ipv4.tcp_syn_linear_timeouts"
_SYN_RECV = "03"
# The first SYN gets through, and nothing that answers it.
_ONLY_SYNS = """
table inet only_syns {
  chain input {
    type filter hook input priority 0; policy accept;
    tcp flags & (ack | rst) != 0 drop
  }
}
"""
# From each port to the same port of the other end, once told to; ends when the last has failed.
_CONNECT = """
import errno, select, socket, sys
here, there, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
waiting, poll = {}, select.poll()
print("ready", flush=True)
sys.stdin.readline()
for port in range(first, first + count):
    tcp = socket.socket()
    tcp.setblocking(False)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((here, port))
    assert tcp.connect_ex((there, port)) == errno.EINPROGRESS
    waiting[tcp.fileno()] = tcp
    poll.register(tcp, select.POLLOUT)
while waiting:
    for fd, _ in poll.poll():
        poll.unregister(fd)
        assert waiting.pop(fd).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
"""


def _prepare(end: Namespace) -> None:
    """Two retransmissions, 1 and 3 seconds after the first SYN, and the end at 7."""
    end.set_sysctl("net.ipv4.tcp_syn_retries", 2)
    if Path("/proc/sys", LINEAR_SYNS.replace(".", "/")).exists():  # from 6.5 on
        end.set_sysctl(LINEAR_SYNS, 0)
    end.run(["nft", "-f", "-"], stdin=_ONLY_SYNS)


def _in_syn_recv(end: Namespace) -> int:
    lines = Path(f"/proc/{end.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[3] == _SYN_RECV for line in lines)


def _open_at_once(link: Link) -> None:
    """From both ends, and see that SYNs did cross: a socket that has no listener is in SYN_RECV."""
    ends = ((link.client, CLIENT_IPV4, SERVER_IPV4), (link.server, SERVER_IPV4, CLIENT_IPV4))
    running = [
        end.popen(
            [sys.executable, "-c", _CONNECT, here, there, str(PORTS[0]), str(len(PORTS))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for end, here, there in ends
    ]
    try:
        assert [process.stdout and process.stdout.readline() for process in running] == [
            "ready\n",
            "ready\n",
        ]
        for process in running:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while not all(_in_syn_recv(end) == len(PORTS) for end, _, _ in ends):
            assert time.monotonic() < deadline, "no SYNs crossed"
            assert None in [process.poll() for process in running], "no SYNs crossed"
            time.sleep(0.05)
        assert [process.wait(PATIENCE_S) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()


def test_a_simultaneous_open_that_is_given_up_is_counted_at_both_ends() -> None:
    """6 connections, whose SYN-ACK each end retransmits until it gives up."""
    with open_link(Impairment(delay_ms=600)) as link, verification() as running:
        for end in (link.client, link.server):
            _prepare(end)
        _open_at_once(link)
        outcome = running.end()
        for end in (link.client, link.server):
            compared = outcome.counters(end)
            again = compared["RetransSegs"]["kernel"]
            assert again >= len(PORTS)
            if IN_VM:
                ours = {name: one["ours"] for name, one in compared.items()}
                assert ours["RetransSegs"] == ours["TCPSynRetrans"] == again
                assert ours["TCPTimeouts"] == compared["TCPTimeouts"]["kernel"]
                assert ours["TCPTimeouts"] >= 2 * len(PORTS)  # some find the segment still queued
                assert outcome.by_groups_of(end) == again
    if IN_VM:
        assert outcome.status == 0, outcome.verified
