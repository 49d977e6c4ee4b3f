"""Every grouping and every filter, on real connections of both families and both roles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import IN_VM, netns_inode

from tcpvitals.kernel import cgroups
from tcpvitals.model.key import Grouping, Role
from tcpvitals.model.measurement import Sample
from tcpvitals.model.names import Names
from tcpvitals.model.scope import Scope
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.link import CLIENT_IPV4, CLIENT_IPV6, SERVER_IPV4, SERVER_IPV6, open_link
from tcpvitals.netlab.workload import exchange, serve, traffic_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.plan import Attach
    from tcpvitals.netlab.link import Link
    from tcpvitals.sources.live import LiveRtt

_COMMANDS = Path(__file__).parents[2] / "docs/commands.md"
_MAPPED = f"::ffff:{SERVER_IPV4}"


@pytest.fixture(scope="module")
def net() -> Iterator[tuple[Link, int, int]]:
    """Two namespaces, and two echo servers that take IPv4 and IPv6."""
    with open_link(lifetime_s=600) as link, serve(link.server) as one, serve(link.server) as two:
        yield link, one, two


def _talk(link: Link, *ends: tuple[str, int]) -> None:
    for address, port in ends:
        exchange(link.client, "pingpong", address, port, count=20)


def _labels(live: LiveRtt, by: str, names: dict[int, str]) -> set[tuple[str, ...]]:
    grouping = Grouping.parse(by)
    keys = live.snapshot().keys
    return {tuple(key.labels(grouping, Names(netns=names)).values()) for key in keys}


# What IPv4 to the first and IPv6 to the second server must make of each grouping; None stands for
# the client's own port, which the kernel chose.
_GROUPINGS: dict[str, set[tuple[Any, ...]]] = {
    "laddr": {(CLIENT_IPV4,), (CLIENT_IPV6,), (SERVER_IPV4,), (SERVER_IPV6,)},
    "raddr": {(CLIENT_IPV4,), (CLIENT_IPV6,), (SERVER_IPV4,), (SERVER_IPV6,)},
    "raddr/24": {("10.0.0.0/24",), ("fd00::/48",)},
    "raddr/8/16": {("10.0.0.0/8",), ("fd00::/16",)},
    "raddr/0/0,role": {
        ("0.0.0.0/0", "client"),
        ("0.0.0.0/0", "server"),
        ("::/0", "client"),
        ("::/0", "server"),
    },
    "service,role": {("1", "client"), ("1", "server"), ("2", "client"), ("2", "server")},
    "role": {("client",), ("server",)},
    "netns": {("near",), ("far",)},
    "netns,role,service": {
        ("near", "client", "1"),
        ("near", "client", "2"),
        ("far", "server", "1"),
        ("far", "server", "2"),
    },
}


def test_dropped_is_documented_with_every_field_that_it_has(
    open_rtt: Callable[..., LiveRtt],
) -> None:
    documented = re.findall(r'"dropped":({".*?})', _COMMANDS.read_text())
    lost = list(open_rtt().snapshot().losses)

    assert len(documented) == 2
    assert [list(json.loads(one)) for one in documented] == [lost, lost]


@pytest.mark.parametrize("by", list(_GROUPINGS))
def test_a_grouping_makes_exactly_the_groups_its_name_promises(
    net: tuple[Link, int, int], by: str, attach: Attach, open_rtt: Callable[..., LiveRtt]
) -> None:
    link, one, two = net
    names = {netns_inode(link.client): "near", netns_inode(link.server): "far"}
    # A guest has no other traffic; each load of a program costs seconds there.
    wanted = [Selection()] if IN_VM else [Selection(netns_inode=inode) for inode in names]
    sides = [open_rtt(by, attach=attach, selection=chosen) for chosen in wanted]
    _talk(link, (SERVER_IPV4, one), (SERVER_IPV6, two))
    ports = {str(one): "1", str(two): "2"}
    found = {
        tuple(ports.get(value, value) for value in labels)
        for live in sides
        for labels in _labels(live, by, names)
    }
    assert found == _GROUPINGS[by]


def test_ports_of_both_sides_are_told_apart(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    link, one, _ = net
    live = open_rtt("lport,rport", selection=Selection(netns_inode=netns_inode(link.client)))
    done = exchange(link.client, "pingpong", SERVER_IPV4, one, count=5)
    own_port = done["connections"][0]["local"][1]
    assert _labels(live, "lport,rport", {}) == {(str(own_port), str(one))}


def test_an_ipv4_mapped_address_counts_as_its_ipv4_address(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    link, one, _ = net
    live = open_rtt("raddr,laddr", selection=Selection(lports=(one,)))
    _talk(link, (_MAPPED, one))
    assert _labels(live, "laddr,raddr", {}) == {(SERVER_IPV4, CLIENT_IPV4)}


def _other_ports(port: int) -> tuple[range, range]:
    return range(1, port), range(port + 1, 65536)


def _filters(one: int, link: Link) -> dict[str, tuple[Selection, set[tuple[str, str]]]]:
    """Each filter, and the (remote address, role) of what must come through."""
    v4 = {(SERVER_IPV4, "client"), (CLIENT_IPV4, "server")}
    v6 = {(SERVER_IPV6, "client"), (CLIENT_IPV6, "server")}
    client = {(SERVER_IPV4, "client"), (SERVER_IPV6, "client")}
    near = Selection(netns_inode=netns_inode(link.client))
    return {
        "-4": (Selection(family=4), v4),
        "-6": (Selection(family=6), v6),
        "raddr": (Selection(raddr=ip_network(SERVER_IPV4)), {(SERVER_IPV4, "client")}),
        "raddr/8": (Selection(raddr=ip_network("10.0.0.0/8")), v4),
        "raddr/31": (Selection(raddr=ip_network("10.0.0.2/31")), {(SERVER_IPV4, "client")}),
        "raddr v6/16": (Selection(raddr=ip_network("fd00::/16")), v6),
        "raddr v6/127": (Selection(raddr=ip_network("fd00::2/127")), {(SERVER_IPV6, "client")}),
        "raddr 0/0": (Selection(raddr=ip_network("0.0.0.0/0")), v4),
        "laddr": (Selection(laddr=ip_network(SERVER_IPV6)), {(CLIENT_IPV6, "server")}),
        "lport": (Selection(lports=(1, one)), {(CLIENT_IPV4, "server")}),
        "rport": (Selection(rports=(one, 9)), {(SERVER_IPV4, "client")}),
        "64 ports": (Selection(rports=(*range(1, 64), one)), {(SERVER_IPV4, "client")}),
        "port range": (Selection(rports=(9, range(one, one + 1))), {(SERVER_IPV4, "client")}),
        "just outside": (replace(near, family=4, rports=_other_ports(one)), set()),
        "scope": (Selection(scopes=(Scope.PRIVATE, Scope.PUBLIC)), v4 | v6),
        "other scopes": (Selection(scopes=(Scope.LOOPBACK, Scope.LINK_LOCAL)), set()),
        "netns": (near, client),
        "no port": (Selection(rports=(1,)), set()),
        "all at once": (
            Selection(
                laddr=ip_network(CLIENT_IPV4),
                raddr=ip_network("10.0.0.0/24"),
                rports=(one,),
                family=4,
                netns_inode=netns_inode(link.client),
            ),
            {(SERVER_IPV4, "client")},
        ),
        "one disagrees": (Selection(laddr=ip_network(CLIENT_IPV4), lports=(one,)), set()),
    }


def test_a_filter_lets_through_what_it_says_and_nothing_else(
    net: tuple[Link, int, int], attach: Attach, open_rtt: Callable[..., LiveRtt]
) -> None:
    """All filters at work on the same traffic at the same time."""
    link, one, two = net
    ours = {ip_address(a) for a in (CLIENT_IPV4, CLIENT_IPV6, SERVER_IPV4, SERVER_IPV6)}
    live = {
        name: (open_rtt("raddr,role", attach=attach, selection=chosen), expected)
        for name, (chosen, expected) in _filters(one, link).items()
    }
    _talk(link, (SERVER_IPV4, one), (SERVER_IPV6, two))
    for name, (counting, expected) in live.items():
        keys = counting.snapshot().keys
        found = {(str(key.raddr), str(key.role)) for key in keys if key.raddr in ours}
        assert found == expected, name


def test_a_connection_older_than_we_are_has_the_role_its_listener_gives_it(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """The server listens on; the client's port never did."""
    link, one, _ = net
    command = ["-m", "tcpvitals.netlab.traffic", "pingpong", SERVER_IPV4, str(one)]
    options = ["--count", "60", "--interval", "0.1"]
    with link.client.popen([sys.executable, *command, *options]) as client:
        time.sleep(2)
        live = open_rtt("role,service", selection=Selection(family=4))
        assert client.wait(timeout=60) == 0
    roles = {key.role for key in live.snapshot().keys if key.service == one}
    assert roles == {Role.CLIENT, Role.SERVER}


def test_a_socket_that_is_connected_anew_counts_for_its_new_peer(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """connect(AF_UNSPEC) dissolves a connection, and the same socket may make another."""
    link, one, two = net
    live = open_rtt("rport", selection=Selection(netns_inode=netns_inode(link.client)))
    program = f"""
import ctypes, socket
s = socket.socket()
for port in ({one}, {two}):
    s.connect(("{SERVER_IPV4}", port))
    for _ in range(10):
        s.send(b"x"); s.recv(1)
    ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)
"""
    link.client.run([sys.executable, "-c", program], timeout_s=60)
    snapshot = live.snapshot()
    counts = {
        key.rport: int(n) for key, n in zip(snapshot.keys, snapshot.table.counts, strict=True)
    }
    assert set(counts) == {one, two}
    assert min(counts.values()) >= 10


def test_the_kernels_own_samples_are_one_for_each_round_trip(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """Read before the ACK they come with, so the last one is never seen (docs/measuring.md)."""
    link, one, _ = net
    live = open_rtt(sample=Sample.RTT, selection=Selection(rports=(one,)))
    exchange(link.client, "pingpong", SERVER_IPV4, one, count=40)
    assert 38 <= live.snapshot().total().count <= 41


def test_the_whole_host_is_never_mistaken_for_the_address_0_0_0_0(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    link, one, _ = net
    whole, cut = open_rtt(), open_rtt("raddr/0")
    _talk(link, (SERVER_IPV4, one))
    assert _labels(whole, "", {}) == {()}
    assert ("0.0.0.0/0",) in _labels(cut, "raddr/0", {})


def test_by_process_each_end_is_its_owners(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """The server as `ss` has it, the client as we started it; both in the cgroup they are in."""
    link, port, _ = net
    live = open_rtt("process,role,cgroup", selection=Selection(lports=(port,)))
    remote = open_rtt("process,role,cgroup", selection=Selection(rports=(port,)))
    command = traffic_command("pingpong", SERVER_IPV4, port, count=20)
    client = link.client.popen(command, stdout=subprocess.DEVNULL)
    assert client.wait(60) == 0
    listeners = link.server.run(["ss", "-tlpnH", f"sport = :{port}"]).stdout
    server = int(re.findall(r"pid=(\d+)", listeners)[0])
    comm = Path(sys.executable).name[:15]
    names = Names(cgroups=cgroups.find([_cgroup_of(server)]))
    group = names.cgroup(_cgroup_of(server))
    by = Grouping.parse("process,role,cgroup")
    served = {tuple(key.labels(by, names).values()) for key in live.snapshot().keys}
    asked = {tuple(key.labels(by, names).values()) for key in remote.snapshot().keys}
    assert served == {(f"{server}/{comm}", "server", group)}
    assert asked == {(f"{client.pid}/{comm}", "client", group)}


def test_a_process_is_all_that_comes_through_whether_it_connects_or_accepts(
    net: tuple[Link, int, int], open_rtt: Callable[..., LiveRtt]
) -> None:
    """Both are older than the filter: whose they are is read from their open files."""
    link, port, _ = net
    command = ["-m", "tcpvitals.netlab.traffic", "pingpong", SERVER_IPV4, str(port)]
    options = ["--count", "60", "--interval", "0.1"]
    listeners = link.server.run(["ss", "-tlpnH", f"sport = :{port}"]).stdout
    server = int(re.findall(r"pid=(\d+)", listeners)[0])
    with link.client.popen([sys.executable, *command, *options]) as client:
        time.sleep(2)
        live = {
            pid: open_rtt("process,raddr", selection=Selection(pid=pid))
            for pid in (client.pid, server)
        }
        assert client.wait(timeout=60) == 0

    for pid, remote in ((client.pid, SERVER_IPV4), (server, CLIENT_IPV4)):
        found = {
            (key.process.pid, str(key.raddr)) for key in live[pid].snapshot().keys if key.process
        }
        assert found == {(pid, remote)}


def _cgroup_of(pid: int) -> int:
    """The id of a process's cgroup2, 0 where there is none."""
    root = cgroups.mount_point()
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::")), None)
    return (root / path.lstrip("/")).stat().st_ino if root and path is not None else 0
