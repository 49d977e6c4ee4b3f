"""Live sockets are settled and counted alike by each set of iterators, whatever ends meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from tcpvitals.kernel import libbpf
from tcpvitals.kernel.plan import make_plan
from tcpvitals.kernel.settings import Request
from tcpvitals.model.key import Grouping, Role
from tcpvitals.model.measurement import Measurement, Sample
from tcpvitals.model.names import Names
from tcpvitals.model.selection import Selection
from tcpvitals.sources.vitals import LiveVitals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.facts import HostFacts
    from tcpvitals.sources.live import LiveSockets

ACCEPTED, WAITING, BYTES = 5, 3, 1000
CHURN_S = 10
NO_LINGER = struct.pack("ii", 1, 0)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A listener on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


@contextmanager
def another_holder() -> Iterator[None]:
    """A process that holds every socket that is open here, too."""
    held, hold = os.pipe()
    child = os.fork()
    if not child:
        os.close(hold)
        os.read(held, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(hold)
        os.close(held)
        os.waitpid(child, 0)


@contextmanager
def other_storages() -> Iterator[None]:
    """A map of socket storages that is not ours, as another program may have."""
    other = libbpf.create_socket_storage()
    try:
        yield
    finally:
        os.close(other)


def open_vitals(facts: HostFacts) -> LiveVitals:
    """Count everything, by service and role."""
    request = Request(
        Grouping.parse("service,role"),
        Selection(),
        1000,
        Measurement(),
        totals=True,
        namespaces=True,
        vitals=(Sample.RTT, Sample.NETWORK),
    )
    return LiveVitals(request, make_plan(facts, None, request.groups, following=True), 600)


@pytest.mark.parametrize("company", [nullcontext, other_storages], ids=["alone", "in company"])
def test_each_socket_is_settled_and_counted_once_whoever_holds_it(
    facts: HostFacts, company: Callable[[], AbstractContextManager[None]]
) -> None:
    """Some are held by two processes, and some by none yet: they wait to be accepted."""
    with ExitStack() as stack:
        listener = stack.enter_context(listening())
        address = listener.getsockname()
        stack.enter_context(company())
        live = stack.enter_context(open_vitals(facts))
        clients = [
            stack.enter_context(socket.create_connection(address))
            for _ in range(ACCEPTED + WAITING)
        ]
        servers = [stack.enter_context(listener.accept()[0]) for _ in range(ACCEPTED)]
        stack.enter_context(another_holder())
        for client, server in zip(clients, servers, strict=False):
            client.sendall(bytes(BYTES))
            assert len(server.recv(BYTES, socket.MSG_WAITALL)) == BYTES
        for _ in range(2):
            snapshot = live.snapshot(0, lambda _keys: Names())
            rows = {
                key.role: row for row, key in enumerate(snapshot.keys) if key.service == address[1]
            }
            opened = {role: int(snapshot.table.live[row]) for role, row in rows.items()}
            sent = {
                role: snapshot.table.totals.row(row)["bytes_sent"] for role, row in rows.items()
            }
            assert opened == {Role.CLIENT: ACCEPTED + WAITING, Role.SERVER: ACCEPTED + WAITING}
            assert sent[Role.CLIENT] == ACCEPTED * BYTES


@contextmanager
def churning() -> Iterator[None]:
    """Connections that are opened and reset at once, one after the other, in a process."""
    with listening() as listener:
        child = os.fork()
        if not child:
            signal.alarm(CHURN_S * 20)
            while True:
                with socket.create_connection(listener.getsockname()) as client:
                    listener.accept()[0].close()
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        try:
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_sockets_that_end_while_all_are_settled_bring_no_kernel_down(
    open_sockets: Callable[..., LiveSockets],
) -> None:
    """On 7.3 the iterator over socket storages did within seconds."""
    live, other = (open_sockets("role", totals=True) for _ in range(2))
    with churning():
        until = time.monotonic() + CHURN_S
        while time.monotonic() < until:
            live.totals()
            other.totals()
    opened = [one.totals().total()["connections_opened"] for one in (live, other)]
    assert min(opened) > 100
