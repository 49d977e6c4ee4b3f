"""The kernel's counters, read in each network namespace by one who is in none of them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tcpvitals.kernel import netns, netns_counters
from tcpvitals.kernel.netns_counters import read_all as read_all_of
from tcpvitals.kernel.netns_counters import read_apart
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, open_link
from tcpvitals.netlab.namespace import Namespace, open_namespace
from tcpvitals.netlab.workload import serve

if TYPE_CHECKING:
    from collections.abc import Iterator


PATIENCE_S = 30
SO_NETNS_COOKIE = 71
HAS_COOKIES = tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 14)
# One segment that nobody answers: the SYN is sent again after a second, and then given up.
CALL_IN_VAIN = f"""
import socket
with socket.socket() as tcp:
    tcp.settimeout(1.5)
    try:
        tcp.connect(("{SERVER_IPV4}", 9))
    except TimeoutError:
        pass
"""


def own_inode() -> int:
    """Return the inode number of the namespace that this thread is in."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def own_cookie() -> int:
    """Return the cookie of the namespace that this thread makes sockets in."""
    with socket.socket() as tcp:
        return int.from_bytes(tcp.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), "little")


def descriptors() -> list[tuple[str, str]]:
    """Return what this process has open; the listing's own descriptor is closed by then."""
    found = []
    for entry in sorted(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            found.append((entry.name, str(entry.readlink())))
    return found


def processes() -> list[tuple[int, int, int]]:
    """Return what the kernel half prints: each process's namespace, with a cookie of its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            inode = (entry / "ns/net").stat().st_ino
            found.append((inode, inode + 1, int(entry.name)))
    return found


def read_all() -> dict[int, dict[str, int]]:
    """Return the counters of every namespace by its inode number."""
    return {one.inode: counters for one, counters in read_all_of(processes()).items()}


def entered(*inodes: int) -> dict[int, tuple[int, dict[str, int]]]:
    """Enter the namespaces of these numbers by a process of each; cookies and counters."""
    places = {inode: [Path(f"/proc/{pid}/ns/net")] for inode, _, pid in processes()}
    found = read_apart({inode: places[inode] for inode in inodes})
    return {one.inode: (one.cookie, counters) for one, counters in found.items()}


def expected(namespace: Namespace) -> dict[str, int]:
    """Return what the namespace's own process sees of the counters."""
    seen = namespace.counters()
    return {name: seen[name] for name in netns_counters.COUNTERS if name in seen}


@contextlib.contextmanager
def named_namespace() -> Iterator[str]:
    """Make a namespace that only a name holds."""
    name = f"tcpvitals-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_counters_read_from_outside_are_those_that_are_seen_inside() -> None:
    with open_link(CLEAN) as link:
        link.impair(Impairment(loss=1))
        link.client.run(["python3", "-c", CALL_IN_VAIN])
        found = read_all()
        apart = entered(link.client.inode, link.server.inode)

        for end in (link.client, link.server):
            assert found[end.inode] == apart[end.inode][1] == expected(end)
    counters = found[link.client.inode]
    sent_again = counters["TcpRetransSegs"]
    assert sent_again >= 1
    assert counters["TcpExtTCPSynRetrans"] == counters["TcpExtTCPTimeouts"] == sent_again
    assert found[link.server.inode]["TcpRetransSegs"] == 0


def test_every_counter_is_there_on_every_kernel_that_we_support() -> None:
    assert list(read_all()[own_inode()]) == list(netns_counters.COUNTERS)


def test_a_syn_ack_that_is_never_answered_is_one_timeout_more_than_it_was_sent_again() -> None:
    """What model/verification.py says of tcp_syn_ack_timeout."""
    with open_link(CLEAN, Impairment(loss=1)) as link, serve(link.server) as port:
        link.server.set_sysctl("net.ipv4.tcp_synack_retries", 1)
        # The SYN must not come twice: it would be answered without a timeout.
        link.client.run(
            ["python3", "-c", CALL_IN_VAIN.replace("1.5", "0.3").replace("9)", f"{port})")]
        )
        deadline = time.monotonic() + PATIENCE_S
        counters = expected(link.server)
        while counters["TcpExtTCPTimeouts"] < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            counters = expected(link.server)

    names = ("TcpRetransSegs", "TcpExtTCPSynRetrans", "TcpExtTCPTimeouts")
    assert [counters[name] for name in names] == [1, 1, 2]


def test_a_namespace_without_any_process_is_read_by_its_name() -> None:
    with named_namespace() as name:
        inode = (netns.NAMED / name).stat().st_ino
        assert (inode, netns.NAMED / name) in netns.mounts()
        found = read_all()

    assert found[inode]["TcpRetransSegs"] == 0
    assert inode not in read_all()


def test_every_namespace_with_a_process_is_read_by_the_identity_that_is_given() -> None:
    with open_namespace() as one, open_namespace() as other:
        found = read_all_of(processes())

    assert {(inode, inode + 1) for inode in (own_inode(), one.inode, other.inode)} <= set(found)


def test_cookies_tell_namespaces_apart() -> None:
    with open_namespace() as one, open_namespace() as other:
        found = entered(one.inode, other.inode, own_inode())

    cookies = [found[inode][0] for inode in (one.inode, other.inode, own_inode())]
    if not HAS_COOKIES:
        assert cookies == [0, 0, 0]
        return
    assert len({0, *cookies}) == 4
    assert cookies[2] == own_cookie()


def test_the_caller_stays_where_it_was_and_keeps_nothing_open() -> None:
    with open_namespace() as elsewhere:
        entered(elsewhere.inode)
        before = own_inode(), descriptors(), threading.active_count()
        for _ in range(20):
            assert elsewhere.inode in entered(elsewhere.inode)
        assert (own_inode(), descriptors(), threading.active_count()) == before
    assert own_inode() != elsewhere.inode


def test_a_namespace_that_was_read_can_end() -> None:
    """A veth pair into it tells when the kernel has destroyed it: the end here goes as well."""
    with open_namespace() as witness:
        with open_namespace() as doomed:
            pair = f"link add witness type veth peer name inside netns {doomed.pid}"
            witness.run(["ip", *pair.split()])
            assert doomed.inode in entered(doomed.inode)
        deadline = time.monotonic() + PATIENCE_S
        while "witness" in witness.run(["ip", "-brief", "link"]).stdout:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_place_that_has_become_another_namespaces_is_not_read() -> None:
    with open_namespace() as namespace:
        places = {namespace.inode + 1: [Path(namespace.path)], namespace.inode: [Path("/dev/null")]}

        assert read_apart(places) == {}


def test_when_a_process_has_ended_another_one_will_do() -> None:
    with open_namespace() as namespace:
        places = {namespace.inode: [Path("/proc/0/ns/net"), Path(namespace.path)]}

        assert {one.inode for one in read_apart(places)} == {namespace.inode}
