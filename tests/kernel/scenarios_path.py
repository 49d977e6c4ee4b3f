"""What lies between two hosts, and how they deal with it: loss, path MTU, options, handshakes."""

from __future__ import annotations

import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scenario_net import (
    ADDRESSES,
    CLIENT,
    CLIENT_2,
    FAR,
    LOSS,
    MANY,
    SERVER,
    SHORT,
    Absent,
    Pair,
    accept,
    accept_each,
    error_of,
    exchange,
    exchange_with_loss,
    finish,
    hear,
    lose,
    read_all,
    transfer,
)

from tcpvitals.netlab.impairment import CLEAN, Engine, Impairment, netem_arguments, nft_ruleset

if TYPE_CHECKING:
    from scenario_net import Net, Notes

_MPTCP = 262
# linux/tcp.h
_TCP_DEFER_ACCEPT, _TCP_INFO, _TCP_CONGESTION = 9, 11, 13
_ECN_NEGOTIATED = 8
_OLDER_THAN_A_REQUEST_S = 3
_SIZE_OF_12 = 50_000  # bytes on each of twelve connections


# --- ways to retransmit ---------------------------------------------------------------------------


def path_mtu(net: Net) -> None:
    """A router in between can no longer forward what is under way, and says so."""
    net.begin()
    with net.listen(FAR) as listener:
        pairs = [net.connect(listener) for _ in range(MANY)]
    exchange(pairs, SHORT)
    net.set_mtu(SERVER, "veth1", 1200)
    transfer([(pair.client, pair.server) for pair in pairs], SHORT)
    finish(pairs)


def under_loss(net: Net, settings: dict[str, int], congestion: bytes = b"") -> None:
    """Bulk both ways at 10 % loss, handshakes too, with these settings."""
    for name, value in settings.items():
        net.set_sysctl(name, value)
    net.begin()
    with net.listen() as listener:
        if congestion:
            _choose(listener, congestion)
        lose(listener)
        clients = [net.call(listener) for _ in range(MANY)]
        net.wait_for(CLIENT, "TcpExtTCPSynRetrans", 1)
        hear(listener)
        pairs = accept_each(listener, clients)
    for pair in pairs:
        if congestion:
            _choose(pair.client, congestion)
    exchange_with_loss(pairs)
    finish(pairs)


def _choose(tcp: socket.socket, congestion: bytes) -> None:
    try:
        tcp.setsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, congestion)
    except FileNotFoundError:
        raise Absent(congestion.decode()) from None


def ecn(net: Net) -> None:
    """Both ends use ECN; loss is loss all the same."""
    net.set_sysctl("ipv4.tcp_ecn", 1)
    net.begin()
    pairs = net.connect_many(MANY)
    for tcp in (end for pair in pairs for end in pair.ends):
        assert tcp.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 8)[5] & _ECN_NEGOTIATED
    exchange_with_loss(pairs)
    finish(pairs)


def f_rto(net: Net) -> None:
    """Only ACKs are lost: what a timeout retransmits had arrived, and the next ACK shows it."""
    for name in ("tcp_timestamps", "tcp_dsack", "tcp_early_retrans"):
        net.set_sysctl(f"ipv4.{name}", 0)  # else these show it first, or a probe does
    net.begin()
    pairs = net.connect_many(MANY)
    exchange(pairs, SHORT)
    for pair in pairs:
        lose(pair.client)
        pair.client.send(bytes(SHORT))
    net.wait_until(lambda: all(_timeouts(pair.client) for pair in pairs), "timeouts")
    for pair in pairs:
        hear(pair.client)
        transfer([(pair.client, pair.server)], SHORT)
    finish_reading(pairs, SHORT)


def _timeouts(tcp: socket.socket) -> int:
    """How many in a row, without an answer (tcpi_retransmits)."""
    return tcp.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 8)[2]


def finish_reading(pairs: list[Pair], rest: int) -> None:
    """Close the clients; the servers still have so much to read."""
    for pair in pairs:
        pair.client.shutdown(socket.SHUT_WR)
        assert read_all(pair.server) == rest
        pair.client.close()


def mptcp(net: Net) -> None:
    """A connection over two subflows, which are TCP connections."""
    net.set_sysctl("mptcp.enabled", 1, optional=True)
    try:
        listener = net.listen(protocol=_MPTCP)
    except OSError as error:
        raise Absent(str(error)) from None
    for side in (CLIENT, SERVER):
        net.run(side, "ip", "mptcp", "limits", "set", "subflow", "2")
    net.add_address(CLIENT, CLIENT_2)
    net.run(CLIENT, "ip", "mptcp", "endpoint", "add", CLIENT_2, "dev", "veth0", "subflow")
    net.begin()
    pair = net.connect(listener, net.tcp(CLIENT, _MPTCP))
    exchange([pair], SHORT)
    net.wait_for(SERVER, "MPTcpExtMPJoinAckRx", 1)
    engine: Engine = "netem" if Path("/sys/module/sch_netem").exists() else "nft"
    _impair(net, engine, Impairment(loss=LOSS))
    exchange([pair])
    _impair(net, engine, CLEAN)
    finish([pair])


def _impair(net: Net, engine: Engine, impairment: Impairment) -> None:
    """The whole wire: a socket of MPTCP takes no filter."""
    for side in (CLIENT, SERVER):
        if engine == "nft":
            net.run(side, "nft", nft_ruleset(impairment, "veth0"))
        else:
            words = ("tc", "qdisc", "replace", "dev", "veth0", "root")
            net.run(side, *words, *netem_arguments(impairment))


# --- handshakes and listeners ---------------------------------------------------------------------


def syn_flood(net: Net) -> Notes:
    """More handshakes than the listener remembers: the others get a cookie, as one that is real.

    A listener whose queue is full forgets the oldest after some seconds (reqsk_timer_handler), so
    whether the real one would find it full depends on the machine: it gets a cookie in any case.
    """
    net.set_sysctl("ipv4.tcp_syncookies", 1)
    net.set_sysctl("ipv4.tcp_syn_retries", 1)
    net.set_sysctl("ipv4.tcp_syn_linear_timeouts", 0, optional=True)
    net.begin()
    with net.listen(backlog=8) as listener:
        flood = [net.call(listener, deaf=True) for _ in range(40)]
        net.set_sysctl("ipv4.tcp_syncookies", 2)
        real = net.connect(listener)
        net.set_sysctl("ipv4.tcp_syncookies", 1)
        net.set_sysctl("ipv4.tcp_synack_retries", 1)
        exchange_with_loss([real])
        for client in flood:
            assert error_of(client) == "ETIMEDOUT"
        net.wait_until_quiet()
    finish([real])
    syns = net.count(CLIENT, "TcpActiveOpens") + net.count(CLIENT, "TcpExtTCPSynRetrans")
    return {"remembered": syns - net.count(SERVER, "TcpExtSyncookiesSent")}


def deferred_accept(net: Net) -> None:
    """Clients that say nothing are accepted late, after another SYN-ACK.

    They connect when the command has counted for so long that none of their timeouts can be older
    than it is (is_ours() in handshakes.h): those it would take as counted before.
    """
    net.begin()
    time.sleep(_OLDER_THAN_A_REQUEST_S)
    with net.listen() as listener:
        listener.setsockopt(socket.IPPROTO_TCP, _TCP_DEFER_ACCEPT, 3)
        clients = [net.call(listener) for _ in range(MANY)]
        pairs = accept_each(listener, clients)
    finish(pairs)


def reuseport(net: Net) -> None:
    """Four listeners on one port, each with its share of the connections."""
    listeners = [net.tcp(SERVER) for _ in range(4)]
    address = (ADDRESSES[SERVER], 7000)
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen()
    net.begin()
    clients = [net.call(listeners[0]) for _ in range(12)]
    by_peer = {client.getsockname(): client for client in clients}
    pairs: list[Pair] = []
    used = set()
    while len(pairs) < len(clients):
        for listener in select.select(listeners, [], [], 60)[0]:
            server = accept(listener)
            pairs.append(Pair(by_peer[server.getpeername()], server))
            used.add(listener)
    assert len(used) > 1
    exchange_with_loss(pairs, _SIZE_OF_12)
    finish(pairs)
