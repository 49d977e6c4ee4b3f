"""What the processes do to their connections: they leave, are killed, hand over, call again."""

from __future__ import annotations

import ctypes
import select
import signal
import socket
from functools import partial
from typing import TYPE_CHECKING

from scenario_net import (
    ADDRESSES,
    AGAIN,
    CLIENT,
    MANY,
    PATIENCE_S,
    SERVER,
    SHORT,
    Notes,
    Worker,
    accept,
    error_of,
    exchange_with_loss,
    finish,
    fork,
    hear,
    lose,
    read_all,
    reset,
)

if TYPE_CHECKING:
    from scenario_net import Net

_TCP_USER_TIMEOUT = 18  # linux/tcp.h


# --- connections that end badly -------------------------------------------------------------------


def orphans(net: Net) -> None:
    """Closed by their process with data that is never acknowledged, then given up."""
    net.set_sysctl("ipv4.tcp_orphan_retries", 2)
    net.begin()
    pairs = net.connect_many(MANY)
    for pair in pairs:
        lose(pair.server)
        pair.client.send(bytes(SHORT))
        pair.client.close()
    net.wait_until_quiet()
    for pair in pairs:
        reset(pair.server)


def rst(net: Net) -> None:
    """Reset by either end amid retransmissions; the answer to a SYN that came again."""
    net.begin()
    ours, theirs = net.connect_many(2)
    listener = net.listen()
    lose(listener)
    client = net.call(listener)
    for pair in (ours, theirs):
        lose(pair.server)
        pair.client.send(bytes(SHORT))
    net.wait_for(CLIENT, "TcpExtTCPSynRetrans", 1)
    listener.close()
    reset(ours.client)
    reset(theirs.server)
    assert error_of(client) == "ECONNREFUSED"
    assert error_of(theirs.client) == "ECONNRESET"
    reset(ours.server)


def ss_kill(net: Net) -> None:
    """Destroyed by an administrator amid retransmissions."""
    net.begin()
    pairs = net.connect_many(MANY)
    for pair in pairs:
        lose(pair.server)
        pair.client.send(bytes(SHORT))
    net.wait_for(CLIENT, AGAIN, 2 * MANY)
    net.run(CLIENT, "ss", "-t", "-K", "dst", ADDRESSES[SERVER])
    for pair in pairs:
        assert error_of(pair.client) == "ECONNABORTED"
        reset(pair.server)


def user_timeout(net: Net) -> None:
    """Given up after TCP_USER_TIMEOUT."""
    net.begin()
    pairs = net.connect_many(MANY)
    for pair in pairs:
        pair.client.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 1500)
        lose(pair.server)
        pair.client.send(bytes(SHORT))
    for pair in pairs:
        assert error_of(pair.client) == "ETIMEDOUT"
        reset(pair.server)


# --- what is no retransmission --------------------------------------------------------------------


def zero_window(net: Net) -> None:
    """A receiver that reads nothing is probed; another one is gone, and is given up."""
    net.set_sysctl("ipv4.tcp_retries2", 2)  # caps the time between two probes, too
    silent, gone = net.connect_many(2)
    for pair in (silent, gone):
        _fill(pair.client)
    net.wait_for(CLIENT, "TcpExtTCPWinProbe", 4)
    net.begin()
    lose(gone.server)
    net.wait_for(CLIENT, "TcpExtTCPWinProbe", 5)
    assert error_of(gone.client) == "ETIMEDOUT"
    for tcp in (silent.client, silent.server, gone.server):
        reset(tcp)


def _fill(tcp: socket.socket) -> None:
    """Until nothing more is acknowledged: the peer's window is closed."""
    tcp.settimeout(0)
    while select.select([], [tcp], [], 0.5)[1]:
        tcp.send(bytes(1 << 16))
    tcp.settimeout(PATIENCE_S)


def keepalive(net: Net) -> None:
    """An idle connection is probed; another one's peer is gone, and is given up."""
    silent, gone = net.connect_many(2)
    net.begin()
    for pair in (silent, gone):
        for option, value in (
            (socket.TCP_KEEPIDLE, 1),
            (socket.TCP_KEEPINTVL, 1),
            (socket.TCP_KEEPCNT, 3),
        ):
            pair.client.setsockopt(socket.IPPROTO_TCP, option, value)
        pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    lose(gone.server)
    assert error_of(gone.client) == "ETIMEDOUT"
    for tcp in (silent.client, silent.server, gone.server):
        reset(tcp)


# --- before and after -----------------------------------------------------------------------------


def older(net: Net) -> None:
    """Sockets that were there, and had retransmitted, before anything was counted."""
    pairs = net.connect_many(MANY)
    exchange_with_loss(pairs)
    net.wait_until_quiet()
    net.begin()
    exchange_with_loss(pairs)
    finish(pairs)


def reconnect(net: Net) -> None:
    """connect(AF_UNSPEC) amid retransmissions, and the socket calls again: its counters restart."""
    net.begin()
    client = net.tcp(CLIENT)
    with net.listen() as listener:
        for _ in range(MANY):
            pair = net.connect(listener, client)
            exchange_with_loss([pair])
            lose(pair.server)
            client.send(bytes(SHORT))
            net.wait_for(CLIENT, AGAIN, net.count(CLIENT, AGAIN) + 2)
            nothing = ctypes.create_string_buffer(16)  # a sockaddr of AF_UNSPEC
            assert ctypes.CDLL(None).connect(client.fileno(), nothing, len(nothing)) == 0
            reset(pair.server)
    client.close()


# --- owners ---------------------------------------------------------------------------------------


def killed_owner(net: Net) -> Notes:
    """The kernel goes on retransmitting for a process that is killed."""
    listener = net.listen()
    net.enter(CLIENT)
    worker = fork(partial(_connect_and_send, listener.getsockname()))
    net.begin()
    worker.channel.send(b"!")
    with listener:
        servers = [accept(listener) for _ in range(MANY)]
    for server in servers:
        lose(server)
    worker.channel.send(b"!")
    assert worker.channel.recv(1)
    worker.kill()
    net.wait_for(CLIENT, AGAIN, 2 * MANY)
    for server in servers:
        hear(server)
        assert read_all(server) == SHORT
    return {"side": CLIENT, "owners": {str(worker.pid): 2 * MANY}, "all": True}


def _connect_and_send(address: tuple[str, int], channel: socket.socket) -> None:
    channel.recv(1)
    sockets = [socket.create_connection(address) for _ in range(MANY)]
    channel.recv(1)
    for tcp in sockets:
        tcp.send(bytes(SHORT))
    channel.send(b"!")
    signal.pause()


def prefork(net: Net) -> Notes:
    """Children of a listener's process accept, answer and close."""
    with net.listen() as listener:
        workers = [fork(partial(_accept_and_send, listener)) for _ in range(2)]
        net.begin()
        for worker in workers:
            clients = [net.call(listener) for _ in range(MANY)]
            _answer_amid_loss(net, worker, clients)
    return _owned_by(workers)


def _accept_and_send(listener: socket.socket, channel: socket.socket) -> None:
    channel.recv(1)
    _send_and_close([accept(listener) for _ in range(MANY)], channel)


def scm_rights(net: Net) -> Notes:
    """One process accepts and hands over to another one, which answers and closes."""
    with net.listen() as listener:
        worker = fork(_take_and_send)
        net.begin()
        pairs = [net.connect(listener) for _ in range(MANY)]
    socket.send_fds(worker.channel, [b"!"], [pair.server.fileno() for pair in pairs])
    for pair in pairs:
        pair.server.close()
    _answer_amid_loss(net, worker, [pair.client for pair in pairs])
    return _owned_by([worker])


def _take_and_send(channel: socket.socket) -> None:
    _, numbers, _, _ = socket.recv_fds(channel, 1, MANY)
    channel.recv(1)
    _send_and_close([socket.socket(fileno=number) for number in numbers], channel)


def _send_and_close(sockets: list[socket.socket], channel: socket.socket) -> None:
    for tcp in sockets:
        tcp.send(bytes(SHORT))
        tcp.close()
    channel.send(b"!")
    signal.pause()


def _answer_amid_loss(net: Net, worker: Worker, clients: list[socket.socket]) -> None:
    """The clients lose what a worker sends, until it has been retransmitted for a while."""
    for client in clients:
        select.select([], [client], [])
        lose(client)
    worker.channel.send(b"!")
    assert worker.channel.recv(1)
    net.wait_for(SERVER, AGAIN, net.count(SERVER, AGAIN) + 2 * MANY)
    for client in clients:
        hear(client)
        assert read_all(client) == SHORT


def _owned_by(workers: list[Worker]) -> Notes:
    return {"side": SERVER, "owners": {str(one.pid): 2 * MANY for one in workers}, "all": False}
