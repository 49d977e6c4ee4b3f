"""More peers than groups: everything is counted somewhere, memory is bounded, slots come back."""

from __future__ import annotations

import resource
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING

from conftest import IN_VM, netns_inode

from tcpvitals.model.selection import Selection
from tcpvitals.model.snapshot import between
from tcpvitals.netlab.link import SERVER_IPV4, open_link
from tcpvitals.netlab.workload import exchange, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.rtt import RttSnapshot
    from tcpvitals.netlab.link import Link
    from tcpvitals.sources.live import LiveRtt

# An emulated CPU makes some hundred connections a second.
PEERS = 2_000 if IN_VM else 100_000
GROUPS = 64
_OLD, _NEW = "10.64.0.0/12", "10.96.0.0/12"


def _offer(link: Link, port: int, prefix: str, peers: int) -> None:
    """Every connection from an address of its own: one round trip, and closed."""
    exchange(
        link.client,
        "peers",
        SERVER_IPV4,
        port,
        prefix=prefix,
        count=peers,
        messages=1,
        concurrency=64,
        timeout=300,
    )


def _known(snapshot: RttSnapshot, prefix: str) -> int:
    network = ip_network(prefix)
    return sum(key.raddr in network for key in snapshot.keys)


def _resident_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_known_and_other_and_retired_are_all_there_was_and_new_peers_get_groups_of_their_own(
    open_rtt: Callable[..., LiveRtt],
) -> None:
    with open_link(lifetime_s=900) as link, serve(link.server) as port:
        for prefix in (_OLD, _NEW):
            link.add_prefix("client", prefix)
        server = Selection(netns_inode=netns_inode(link.server))
        total = open_rtt(selection=server)
        live = open_rtt("raddr", selection=server, max_groups=GROUPS, idle_s=0.5)
        _offer(link, port, _OLD, PEERS // 10)
        first, before_kib = live.snapshot(), _resident_kib()
        _offer(link, port, _OLD, PEERS - PEERS // 10)
        time.sleep(0.5)  # the last connections are still closing
        flooded = live.snapshot()
        grown_kib = _resident_kib() - before_kib
        assert len(flooded.keys) <= GROUPS
        assert flooded.other.count > PEERS / 2
        everything = total.snapshot()
        # What the kernel says that it skipped may have been of the other end, which neither counts.
        skipped = flooded.losses["recursion"] + everything.losses["recursion"]
        missing = abs(flooded.total().count - everything.total().count)
        assert missing <= skipped  # both are at one hook: what one is not run for, the other is not
        assert grown_kib < 4096

        newest = _move_on(link, port, live, flooded)
        assert _known(newest, _NEW) == GROUPS // 4
        assert newest.retired.count > 0
        assert newest.total().count == between(newest, first).total().count + first.total().count


def _move_on(link: Link, port: int, live: LiveRtt, snapshot: RttSnapshot) -> RttSnapshot:
    """The old peers fall silent: each reading takes slots back, or hands them out again."""
    for _ in range(4):
        time.sleep(0.7)
        later = live.snapshot()
        between(later, snapshot)
        snapshot = later
    _offer(link, port, _NEW, GROUPS // 4)
    return live.snapshot()
