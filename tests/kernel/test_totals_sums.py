"""What each group sent is what the kernel counted, of live sockets and of closed ones."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from sockets_lab import INFO, PATIENCE_S, Actor, open_actor, round_trip

from tcpvitals.model.key import Role
from tcpvitals.netlab.impairment import CLEAN, Impairment
from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6, open_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.netlab.link import Link
    from tcpvitals.netlab.namespace import Namespace
    from tcpvitals.sources.live import LiveSockets

# What ss and struct tcp_info call it, and what we do.
NAMES = {
    "data_segs_out": "segments_sent",
    "bytes_sent": "bytes_sent",
    "retrans": "segments_retransmitted",
    "bytes_retrans": "bytes_retransmitted",
    "dsack_dups": "segments_unnecessary",
}
assert NAMES.keys() == INFO.keys()
# "retrans:0/7" has those in flight first; what is 0 is left out.
PATTERNS = {name: re.compile(rf"\b{name}:(?:\d+/)?(\d+)") for name in NAMES}
SETS = {"old": 8, "old, then closed": 6, "new": 6, "short": 200}
WAVES = 4


def _by_service(namespace: Namespace, ports: dict[str, int]) -> dict[str, Counter[str]]:
    """The sums of what ss says of the live connections with each of these ports at either end."""
    found = {name: Counter[str]() for name in ports}
    for line in namespace.run(["ss", "-tinHO"]).stdout.splitlines():
        ends = {int(end.rpartition(":")[2]) for end in line.split()[3:5]}
        for name, port in ports.items():
            if port in ends:
                found[name].update(_figures(line))
    return found


def _figures(line: str) -> dict[str, int]:
    matches = {name: pattern.search(line) for name, pattern in PATTERNS.items()}
    figures = {name: int(match[1]) if match else 0 for name, match in matches.items()}
    return figures | {"unacked": "unacked:" in line, "connections": 1}


def _quiet(link: Link, ports: dict[str, int]) -> list[dict[str, Counter[str]]]:
    """What ss says at both ends once nothing is under way any more."""
    deadline = time.monotonic() + PATIENCE_S
    before: list[dict[str, Counter[str]]] = []
    while time.monotonic() < deadline:
        now = [_by_service(end, ports) for end in (link.client, link.server)]
        if now == before and not any(sums["unacked"] for end in now for sums in end.values()):
            return now
        before = now
        time.sleep(0.5)
    message = f"never quiet: {before}"
    raise AssertionError(message)


def _open(client: Actor, server: Actor, name: str, port: int, count: int) -> None:
    client.do("use", name=name)
    server.do("use", name=name)
    client.do("connect", host=SERVER_IPV6 if "old" in name else SERVER_IPV4, port=port, count=count)
    server.do("accept", count=count)


def _talk(client: Actor, server: Actor, name: str, size: int) -> None:
    client.do("use", name=name)
    server.do("use", name=name)
    round_trip(client.do, server.do, size)


def _close(client: Actor, server: Actor, name: str) -> tuple[Counter[str], Counter[str]]:
    """The last words of both ends."""
    client.do("use", name=name)
    server.do("use", name=name)
    client.do("finish", first=True)
    servers = Counter(server.do("finish", first=False))
    return Counter(client.do("last_words")), servers


def _ours(live: LiveSockets, link: Link, ports: dict[str, int]) -> dict[tuple[str, str], list[int]]:
    """Our figures of each end and set, in the order of NAMES."""
    snapshot = live.totals()
    ends = {(link.client.inode, Role.CLIENT): "client", (link.server.inode, Role.SERVER): "server"}
    names = {port: name for name, port in ports.items()}
    found = {}
    for row, key in enumerate(snapshot.keys):
        assert key.netns is not None
        assert key.role is not None
        assert key.service is not None
        end = ends.get((key.netns, key.role))
        if end and key.service in names:
            totals = snapshot.table.row(row)
            found[end, names[key.service]] = [totals[name] for name in NAMES.values()]
    return found


def _untold(live: LiveSockets) -> int:
    """Segments that were sent again, but in no event that we saw."""
    total = live.totals().total()
    told = sum(total.by_cause().values()) + total["segments_failed"]
    return total["segments_retransmitted"] - told


@pytest.mark.parametrize("loss", [0, 0.05], ids=["without loss", "with loss"])
def test_each_group_has_the_sums_of_its_live_and_its_closed_sockets(
    open_sockets: Callable[..., LiveSockets], loss: float
) -> None:
    """20 long-lived connections, 14 of them older than we are, and 200 of one round trip.

    An older one counts from our start on: what ss said of it then is taken off. Without loss a
    machine that stands still may send again all the same: what counts is that we say what ss says.
    """
    impaired = Impairment(loss=loss) if loss else CLEAN
    with (
        open_link(impaired, segmentation_offload=False) as link,
        open_actor(link.client) as client,
        open_actor(link.server) as server,
    ):
        ports = {}
        for name in SETS:
            server.do("use", name=name)
            ports[name] = server.do("listen", host="::")
        for name in ("old", "old, then closed"):
            _open(client, server, name, ports[name], SETS[name])
            _talk(client, server, name, 20_000)
        earlier = _quiet(link, ports)
        live = open_sockets("netns,service,role", totals=True)
        closed = _exchange(client, server, ports)
        later = _quiet(link, ports)
        ours = _ours(live, link, ports)
        losses = {name: count for name, count in live.losses().items() if count}
        untold = _untold(live)
    expected = {}
    for end, before, after, last in zip(("client", "server"), earlier, later, closed, strict=True):
        for name in SETS:
            sums = after[name] + last[name]
            sums.subtract(before[name])
            expected[end, name] = [sums[field] for field in NAMES]
    assert ours == expected
    # A run that the kernel skipped costs one cause, and never a total.
    assert losses.keys() <= {"recursion"}
    if IN_VM:
        assert 0 <= untold <= losses.get("recursion", 0)
    assert [later[0][name]["connections"] for name in SETS] == [8, 0, 6, 0]
    segments = sum(figures[0] for figures in ours.values())
    again = sum(figures[2] for figures in ours.values())
    assert segments >= 1000
    if loss:
        assert again >= 20


def _exchange(
    client: Actor, server: Actor, ports: dict[str, int]
) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
    """All that happens while we look; the last words of each set's closed sockets, at each end."""
    closed = {name: Counter[str]() for name in SETS}, {name: Counter[str]() for name in SETS}
    _open(client, server, "new", ports["new"], SETS["new"])
    for name in ("old", "old, then closed", "new"):
        _talk(client, server, name, 20_000)
    for _ in range(WAVES):
        _open(client, server, "short", ports["short"], SETS["short"] // WAVES)
        _talk(client, server, "short", 200)
        for end, words in zip(closed, _close(client, server, "short"), strict=True):
            end["short"].update(words)
    _talk(client, server, "old", 20_000)
    for end, words in zip(closed, _close(client, server, "old, then closed"), strict=True):
        end["old, then closed"].update(words)
    return closed
