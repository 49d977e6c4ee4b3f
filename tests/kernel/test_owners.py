"""Whose each socket is: one of the processes that ss says hold it, however it came to them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from sockets_lab import Actor, Child, open_actor, round_trip

from tcpvitals.kernel.settings import Telling
from tcpvitals.model.event import StateChange, TcpState, state_name
from tcpvitals.model.key import Process
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockets_lab import Doing

    from tcpvitals.netlab.namespace import Namespace
    from tcpvitals.sources.live import LiveSockets

    Ports = tuple[int, int]

HOST = "127.0.0.1"
CONNECTIONS = 300 if IN_VM else 1000
# How often find_owners looks at most: for what was accepted, and for what was handed on.
ACCEPTED_S, HANDED_ON_S = 0.6, 10.5
HOLDER = re.compile(r'\("([^"]*)",pid=(\d+),fd=\d+\)')


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network of its own."""
    with open_namespace() as namespace:
        yield namespace


@pytest.fixture
def start(
    namespace: Namespace, open_sockets: Callable[..., LiveSockets]
) -> Callable[[], LiveSockets]:
    """A function that begins to follow the sockets of that network, by process and ports."""

    def start() -> LiveSockets:
        selection = Selection(netns_inode=namespace.inode)
        return open_sockets("process,lport,rport", totals=True, selection=selection)

    return start


def _find_owners(live: LiveSockets, after_s: float = ACCEPTED_S) -> None:
    time.sleep(after_s)
    live.find_owners()


def _holders(namespace: Namespace) -> dict[Ports, set[Process]]:
    """Who holds each connection's ends, by local and remote port, as ss has it."""
    found = {}
    for line in namespace.run(["ss", "-tnpHO"]).stdout.splitlines():
        local, remote = (int(end.rpartition(":")[2]) for end in line.split()[3:5])
        found[local, remote] = {
            Process(int(pid), name.encode()) for name, pid in HOLDER.findall(line)
        }
    return found


def _sent_by(live: LiveSockets) -> dict[tuple[Ports, Process | None], int]:
    snapshot = live.totals()
    sent = snapshot.table.column("segments_sent").tolist()
    found = {}
    for key, count in zip(snapshot.keys, sent, strict=True):
        assert key.lport is not None
        assert key.rport is not None
        found[(key.lport, key.rport), key.process] = count
    return found


def _owners(live: LiveSockets, *pairs: tuple[Doing, Doing]) -> dict[Ports, set[Process | None]]:
    """Whose group has what each connection's ends send now: one segment each."""
    before = _sent_by(live)
    for client, server in pairs:
        round_trip(client, server)
    owners: dict[Ports, set[Process | None]] = {}
    for (ports, process), count in _sent_by(live).items():
        if count > before.get((ports, process), 0):
            owners.setdefault(ports, set()).add(process)
    return owners


def _wrong(
    owners: dict[Ports, set[Process | None]], holders: dict[Ports, set[Process]]
) -> dict[Ports, object]:
    """Those whose owner, which must be one, does not hold them; what we say and what ss says."""
    assert owners.keys() == holders.keys()
    return {
        ports: (owners[ports], holders[ports])
        for ports in owners
        if len(owners[ports]) != 1 or not owners[ports] <= holders[ports]
    }


def _name(*actors: tuple[Actor, str]) -> None:
    for actor, name in actors:
        actor.do("rename", name=name)


def _in_set(name: str, *doers: Doing) -> Doing:
    """All of them, each with its connections of a set, one after the other."""

    def doing(order: str, **fields: object) -> None:
        for do in doers:
            do("use", name=name)
            do(order, **fields)

    return doing


def _listen(server: Actor, name: str) -> int:
    server.do("use", name=name)
    port: int = server.do("listen", host=HOST)
    return port


def _connect(client: Actor, server: Actor, name: str, many: int) -> tuple[Doing, Doing]:
    """One process connects, another one accepts."""
    port = _listen(server, name)
    ends = _in_set(name, client.do), _in_set(name, server.do)
    ends[0]("connect", host=HOST, port=port, count=many)
    ends[1]("accept", count=many)
    return ends


def _fork(client: Actor, server: Actor, name: str, many: int) -> tuple[Doing, Doing]:
    """A process connects, forks, and closes its own copies."""
    _, end = _connect(client, server, name, many)
    _, child = client.fork()
    client.do("drop")
    return _in_set(name, child.do), end


def _prefork(client: Actor, server: Actor, name: str, many: int) -> tuple[Doing, Doing]:
    """A process listens, and its two children accept."""
    port = _listen(server, name)
    children = [server.fork()[1].do for _ in range(2)]
    ends = _in_set(name, client.do), _in_set(name, *children)
    ends[0]("connect", host=HOST, port=port, count=many)
    ends[1]("accept", count=many // 2)
    return ends


def _pass(client: Actor, server: Actor, name: str, many: int) -> tuple[Doing, Doing]:
    """A process connects, and passes the sockets to another one over a Unix socket."""
    _, child = client.fork()
    _, end = _connect(client, server, name, many)
    return _hand_over(client, child, name, many), end


def _hand_over(client: Actor, child: Child, name: str, many: int) -> Doing:
    client.do("use", name=name)
    client.do("give", index=child.index)
    other = _in_set(name, child.do)
    other("take", count=many)
    return other


def test_the_owner_of_a_thousand_connections_ends_is_one_that_ss_names(
    namespace: Namespace, start: Callable[[], LiveSockets]
) -> None:
    """A fifth of them older than we are, the others new; and most not with whom they began."""
    many = CONNECTIONS // 5
    with open_actor(namespace) as client, open_actor(namespace) as server:
        _name((client, "client"), (server, "server"))
        pairs = [_connect(client, server, "old", many)]
        live = start()
        pairs += [
            scenario(client, server, scenario.__name__, many)
            for scenario in (_connect, _fork, _prefork, _pass)
        ]
        _find_owners(live)
        owners = _owners(live, *pairs)
        wrong = _wrong(owners, _holders(namespace))
    assert not wrong, f"{len(wrong)}: {list(wrong.items())[:5]}"
    assert len(owners) == 2 * CONNECTIONS
    assert len(set.union(*owners.values())) == 6


def test_sockets_that_change_hands_between_two_looks_are_found_with_their_new_owner(
    namespace: Namespace, start: Callable[[], LiveSockets]
) -> None:
    """No connection is accepted meanwhile: nothing but the passing itself tells."""
    with open_actor(namespace) as client, open_actor(namespace) as server:
        live = start()
        _, child = client.fork()
        _, end = _connect(client, server, "", 10)
        _find_owners(live)
        other = _hand_over(client, child, "", 10)
        _find_owners(live, HANDED_ON_S)
        owners = _owners(live, (other, end))
        wrong = _wrong(owners, _holders(namespace))
    assert not wrong, f"{len(wrong)}: {list(wrong.items())[:5]}"
    assert len(owners) == 20


def test_connections_accepted_after_a_look_that_saw_them_waiting_are_found_too(
    namespace: Namespace, start: Callable[[], LiveSockets]
) -> None:
    """The handshake is over, and no process has them yet, when we look for the first time."""
    with open_actor(namespace) as client, open_actor(namespace) as server:
        port = server.do("listen", host=HOST)
        _, child = server.fork()
        live = start()
        client.do("connect", host=HOST, port=port, count=10)
        _find_owners(live)
        child.do("accept", count=10)
        _find_owners(live, HANDED_ON_S)
        owners = _owners(live, (client.do, child.do))
        wrong = _wrong(owners, _holders(namespace))
    assert not wrong, f"{len(wrong)}: {list(wrong.items())[:5]}"
    assert len(owners) == 20


def test_a_step_that_a_process_takes_is_told_with_its_process(
    namespace: Namespace, open_sockets: Callable[..., LiveSockets]
) -> None:
    """What a listener's child accepts is the listener's until the child is seen to close it."""
    with open_actor(namespace) as client, open_actor(namespace) as server:
        port = server.do("listen", host=HOST)
        forked, child = server.fork()
        live = open_sockets(
            telling=Telling.STATES, selection=Selection(netns_inode=namespace.inode)
        )
        (lport,) = client.do("connect", host=HOST, port=port)
        child.do("accept")
        child.do("finish", first=True)
        client.do("finish", first=False)
        child.do("last_words")
        events = [event for event in live.events() if isinstance(event, StateChange)]
    told = [
        (state_name(event.new_state), event.owner.pid)
        for event in events
        if (event.ends.lport, event.ends.rport) == (port, lport)
        and event.new_state != TcpState.SYN_RECV  # before 6.10 or so its ports are not yet known
    ]
    assert told == [
        ("ESTABLISHED", server.pid),
        ("FIN_WAIT1", forked),
        ("FIN_WAIT2", forked),
        ("CLOSE", forked),
    ]
    clients = {event.owner.pid for event in events if event.ends.rport == port}
    assert clients == {client.pid}
