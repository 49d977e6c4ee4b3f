"""Networks of two or three hosts for many scenarios at once, made without starting programs.

Each host is a network namespace held by a forked child; one `ip -batch` lays all the wires, and
ioctl() gives the addresses: under an emulated CPU a started program costs half a second. Segments
are lost where they arrive, by a socket filter: tcp_filter() drops them before TCP sees them. Only
the standard library, and no threads: everything here forks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sockets_lab import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Notes: TypeAlias = dict[str, Any] | None
"""What the test has to know of how a scenario went."""

PATIENCE_S = 90
POLL_S = 0.05
LOSS = 0.1
SIZE = 400_000  # bytes, 276 segments: 27 are lost on average, and hardly ever fewer than 6
SHORT = 10_000  # bytes, 7 segments: within the first window
MANY = 3  # connections
AGAIN = "TcpRetransSegs"

CLIENT, SERVER, FAR = "client", "server", "far"
CLIENT_2 = "10.0.0.3"
ADDRESSES = {CLIENT: "10.0.0.1", SERVER: "10.0.0.2", FAR: "10.0.1.2"}
_ROUTER = "10.0.1.1"
# To the others all are on one wire: the router answers for what is behind it (proxy_arp).
_WHOLE, _BEHIND = "255.255.0.0", "255.255.255.0"
_TIMERS_THAT_SEND = {"01", "04"}  # get_tcp4_sock: retransmissions, window probes

_CLONE_NEWNET = 0x40000000
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFMTU = 0x8914, 0x8916, 0x891C, 0x8922
_IFF_UP = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Absent(Exception):  # noqa: N818 - not an error: this kernel lacks what a scenario is about
    """What the kernel lacks."""


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# --- processes and namespaces ---------------------------------------------------------------------


@dataclass(frozen=True)
class Worker:
    """A forked process and the socket to it."""

    pid: int
    channel: socket.socket

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def fork(work: Callable[[socket.socket], None]) -> Worker:
    """Let a child do some work; it dies with us."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        try:
            die_with_parent()
            ours.close()
            work(theirs)
        except BaseException:  # noqa: BLE001 - nothing of the parent's may run here
            traceback.print_exc()
        os._exit(0)
    theirs.close()
    return Worker(pid, ours)


def _hold(channel: socket.socket) -> None:
    _check(_LIBC.unshare(_CLONE_NEWNET))
    channel.send(b"!")
    signal.pause()


def open_hosts(scenarios: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Worker]]:
    """A namespace for each side of each scenario, with a wire between neighbouring sides."""
    hosts = {name: {side: fork(_hold) for side in sides} for name, sides in scenarios.items()}
    for sides in hosts.values():
        for holder in sides.values():
            assert holder.channel.recv(1)
    one, lines = "netns {} gso_max_segs 1", ""
    for sides in hosts.values():
        lines += f"link add veth0 {one.format(sides[CLIENT].pid)} type veth"
        lines += f" peer name veth0 {one.format(sides[SERVER].pid)}\n"
        if FAR in sides:
            lines += f"link add veth1 {one.format(sides[SERVER].pid)} type veth"
            lines += f" peer name veth0 {one.format(sides[FAR].pid)}\n"
    subprocess.run(["ip", "-batch", "-"], input=lines.encode(), check=True)
    return hosts


def _request(device: str, payload: bytes) -> bytes:
    return struct.pack("16s24s", device.encode(), payload)


def _sockaddr(address: str) -> bytes:
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address))


def _set_address(device: str, address: str, netmask: str = _WHOLE) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFADDR, _request(device, _sockaddr(address)))
        fcntl.ioctl(any_socket, _SIOCSIFNETMASK, _request(device, _sockaddr(netmask)))


def _set_up(device: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _request(device, struct.pack("H", _IFF_UP)))


def counters(pid: int) -> dict[str, int]:
    """The kernel's counters of a process's namespace, named as `nstat` names them."""
    found: dict[str, int] = {}
    for name in ("snmp", "netstat"):
        lines = Path(f"/proc/{pid}/net/{name}").read_text().splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix, *fields = names.replace(":", "").split()
            pairs = zip(fields, values.split()[1:], strict=True)
            found |= {prefix + field: int(value) for field, value in pairs}
    return found


# --- a scenario's network -------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """Both ends of a connection."""

    client: socket.socket
    server: socket.socket

    @property
    def ends(self) -> tuple[socket.socket, socket.socket]:
        """The client's, then the server's."""
        return self.client, self.server


class Net:
    """The hosts of one scenario, used by one process, which moves from one to the other."""

    def __init__(self, pids: Mapping[str, int], wait_for_start: Callable[[], None]) -> None:
        """Configure the hosts that these processes hold."""
        self.pids = pids
        self._wait_for_start = wait_for_start
        self._spaces = {
            side: os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for side, pid in pids.items()
        }
        self._before: dict[str, dict[str, int]] = {}
        for side in pids:
            self.enter(side)
            _set_address("veth0", ADDRESSES[side])
            _set_up("veth0")
            _set_up("lo")
        if FAR in pids:
            self.enter(SERVER)
            _set_address("veth1", _ROUTER, _BEHIND)
            _set_up("veth1")
            self.set_sysctl("ipv4.ip_forward", 1, SERVER)
            self.set_sysctl("ipv4.conf.all.proxy_arp", 1, SERVER)

    def enter(self, side: str) -> None:
        """Make this process's next sockets and settings those of a side."""
        _check(_LIBC.setns(self._spaces[side], _CLONE_NEWNET))

    def begin(self) -> None:
        """Wait until retransmissions are counted; what comes before this is older."""
        self._wait_for_start()
        self._before = {side: counters(pid) for side, pid in self.pids.items()}

    def moved(self) -> dict[str, dict[str, int]]:
        """By how much each of the kernel's counters has grown since the beginning, where it has."""
        found = {}
        for side, pid in self.pids.items():
            before = self._before[side]
            grown = {name: value - before.get(name, 0) for name, value in counters(pid).items()}
            found[side] = {name: value for name, value in grown.items() if value}
        return found

    def set_sysctl(self, name: str, value: object, *sides: str, optional: bool = False) -> None:
        """Write a net.* setting on some sides, or on all; some kernels lack an optional one."""
        for side in sides or self.pids:
            self.enter(side)
            path = Path("/proc/sys/net", name.replace(".", "/"))
            if not optional or path.exists():
                path.write_text(str(value))

    def add_address(self, side: str, address: str) -> None:
        """A second one."""
        self.enter(side)
        _set_address("veth0:1", address)

    def set_mtu(self, side: str, device: str, mtu: int) -> None:
        """Of a device."""
        self.enter(side)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFMTU, _request(device, struct.pack("i", mtu)))

    def run(self, side: str, *command: str) -> None:
        """Run a program to its end."""
        self.enter(side)
        subprocess.run(command, check=True, capture_output=True)

    def count(self, side: str, counter: str) -> int:
        """By how much one of the kernel's counters has grown since the beginning."""
        before = self._before.get(side, {}).get(counter, 0)
        return counters(self.pids[side]).get(counter, 0) - before

    def wait_for(self, side: str, counter: str, least: int) -> None:
        """Until one has grown by so much."""
        self.wait_until(lambda: self.count(side, counter) >= least, counter)

    def wait_until_quiet(self) -> None:
        """Until no connection or handshake of any side can send anything again."""
        self.wait_until(lambda: not self._waiting(), "silence")

    def _waiting(self) -> list[str]:
        tables = (Path(f"/proc/{pid}/net/tcp").read_text() for pid in self.pids.values())
        lines = (line for table in tables for line in table.splitlines()[1:])
        return [line for line in lines if line.split()[5].partition(":")[0] in _TIMERS_THAT_SEND]

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Until something is so; `what` it is for the failure."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(POLL_S)

    # --- sockets

    def tcp(self, side: str, protocol: int = 0) -> socket.socket:
        """A TCP socket, or one of another stream protocol."""
        self.enter(side)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.settimeout(PATIENCE_S)
        return tcp

    def listen(self, side: str = SERVER, protocol: int = 0, backlog: int = 64) -> socket.socket:
        """A listener on a free port."""
        tcp = self.tcp(side, protocol)
        tcp.bind((ADDRESSES[side], 0))
        tcp.listen(backlog)
        return tcp

    def call(self, listener: socket.socket, *, deaf: bool = False) -> socket.socket:
        """Begin to connect, and do not wait for it; a deaf caller never sees the answer."""
        client = self.tcp(CLIENT)
        if deaf:
            lose(client)
        client.settimeout(0)
        client.connect_ex(listener.getsockname())
        client.settimeout(PATIENCE_S)
        return client

    def connect(self, listener: socket.socket, client: socket.socket | None = None) -> Pair:
        """Connect and accept."""
        client = client or self.tcp(CLIENT)
        client.connect(listener.getsockname())
        return Pair(client, accept(listener))

    def connect_many(self, count: int) -> list[Pair]:
        """So many connections to a listener of their own."""
        with self.listen() as listener:
            return [self.connect(listener) for _ in range(count)]


def accept(listener: socket.socket) -> socket.socket:
    """Accept; the new socket waits as long as the listener does."""
    server, _ = listener.accept()
    server.settimeout(PATIENCE_S)
    return server


def accept_each(listener: socket.socket, clients: Iterable[socket.socket]) -> list[Pair]:
    """Accept the connections of these clients, in whatever order their handshakes end."""
    by_name = {client.getsockname(): client for client in clients}
    servers = (accept(listener) for _ in by_name)
    return [Pair(by_name[server.getpeername()], server) for server in servers]


# --- loss -----------------------------------------------------------------------------------------


def lose(tcp: socket.socket, share: float = 1) -> None:
    """Let a socket lose this share of what arrives, at random; what it accepts loses it as well."""
    # ld random; jge #kept, drop; ret #-1; drop: ret #0 (linux/filter.h, SKF_AD_OFF + SKF_AD_RANDOM)
    kept = min(round((1 - share) * (1 << 32)), (1 << 32) - 1)
    steps = ((0x20, 0, 0, 0xFFFFF000 + 56), (0x35, 1, 0, kept), (6, 0, 0, 0xFFFFFFFF), (6, 0, 0, 0))
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(steps), ctypes.addressof(buffer))
    tcp.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def hear(*sockets: socket.socket) -> None:
    """Let them lose nothing more."""
    for tcp in sockets:
        tcp.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


# --- traffic --------------------------------------------------------------------------------------


def transfer(ways: Iterable[tuple[socket.socket, socket.socket]], size: int) -> None:
    """Send so many bytes from each sender to its receiver, all at once."""
    left, missing = {}, {}
    for sender, receiver in ways:
        left[sender], missing[receiver] = size, size
    deadline = time.monotonic() + PATIENCE_S
    while missing:
        assert time.monotonic() < deadline, f"{len(missing)} transfers have not ended"
        readable, writable, _ = select.select([*missing], [*left], [], 1)
        for tcp in writable:
            left[tcp] -= tcp.send(bytes(min(left[tcp], 1 << 16)))
            if not left[tcp]:
                del left[tcp]
        for tcp in readable:
            got = len(tcp.recv(min(missing[tcp], 1 << 16)))
            assert got, "the other end has closed"
            missing[tcp] -= got
            if not missing[tcp]:
                del missing[tcp]


def exchange(pairs: Sequence[Pair], size: int = SIZE) -> None:
    """Send so many bytes from clients to servers, then back."""
    transfer([(pair.client, pair.server) for pair in pairs], size)
    transfer([(pair.server, pair.client) for pair in pairs], size)


def exchange_with_loss(pairs: Sequence[Pair], size: int = SIZE) -> None:
    """Likewise, over a bad network; at the end it is good again."""
    ends = [tcp for pair in pairs for tcp in pair.ends]
    for tcp in ends:
        lose(tcp, LOSS)
    exchange(pairs, size)
    hear(*ends)


def read_all(tcp: socket.socket) -> int:
    """How many bytes come until the other end closes."""
    total = 0
    while got := len(tcp.recv(1 << 16)):
        total += got
    tcp.close()
    return total


def finish(pairs: Iterable[Pair]) -> None:
    """Close in order, the client first."""
    for pair in pairs:
        pair.client.shutdown(socket.SHUT_WR)
        assert read_all(pair.server) == 0
        assert read_all(pair.client) == 0


def reset(tcp: socket.socket) -> None:
    """Close with an RST."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp.close()


def error_of(tcp: socket.socket) -> str:
    """What the connection ends with, once it does."""
    poll = select.poll()
    poll.register(tcp, 0)
    assert poll.poll(PATIENCE_S * 1000), "the connection does not fail"
    number = tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    tcp.close()
    return errno.errorcode[number]
