"""Actors that do with TCP sockets what a test says, step by step, and the commands that watch them.

An actor is a process in a network namespace; it reads a JSON object a line, does it to all the
sockets it holds, and answers with another.  Run as a script this module is the actor: standard
library only, so that it starts quickly under an emulated CPU.  It ends by itself after a while.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.netlab.namespace import Namespace

    Doing = Callable[..., Any]

PATIENCE_S = 60
_LIFETIME_S = 300
_CLOSE = 7
_FDS_AT_ONCE = 200  # SCM_MAX_FD is 253
_PR_SET_NAME = 15
_PR_SET_PDEATHSIG = 1

# Where struct tcp_info of linux/tcp.h has what ss shows by these names.
INFO = {
    "retrans": ("I", 100),
    "data_segs_out": ("I", 156),
    "bytes_sent": ("Q", 200),
    "bytes_retrans": ("Q", 208),
    "dsack_dups": ("I", 216),
}


# --- for tests ------------------------------------------------------------------------------------


class Actor:
    """The handle of an actor."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over one that was started with pipes."""
        assert process.stdin
        assert process.stdout
        self.pid = process.pid
        self._to, self._from = process.stdin, process.stdout
        self._children = 0

    def tell(self, order: str, **fields: object) -> None:
        """Give an order, and do not wait until it is done."""
        self._to.write(json.dumps({"order": order, **fields}) + "\n")
        self._to.flush()

    def hear(self) -> Any:  # noqa: ANN401 - whatever the order answers
        """Wait for the answer to an order."""
        line = self._from.readline()
        assert line, "the actor has ended"
        return json.loads(line)

    def do(self, order: str, **fields: object) -> Any:  # noqa: ANN401 - likewise
        """Give an order, and return the answer."""
        self.tell(order, **fields)
        return self.hear()

    def fork(self) -> tuple[int, Child]:
        """Let it fork; the child's process id, and the child."""
        self._children += 1
        return self.do("fork"), Child(self, self._children - 1)


class Child:
    """The handle of an actor that another one forked."""

    def __init__(self, parent: Actor, index: int) -> None:
        """Speak to it through its parent."""
        self._parent, self.index = parent, index

    def do(self, order: str, **fields: object) -> Any:  # noqa: ANN401 - whatever the order answers
        """Give an order, and return the answer."""
        return self._parent.do("child", index=self.index, told={"order": order, **fields})


@contextlib.contextmanager
def open_actor(namespace: Namespace) -> Iterator[Actor]:
    """Start an actor in a namespace, and end it."""
    command = [sys.executable, __file__]
    with namespace.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Actor(process)
        finally:
            process.kill()


def round_trip(client: Doing, server: Doing, size: int = 1) -> None:
    """Let every connection whose ends two of them hold carry so many bytes there and back."""
    for sender, receiver in ((client, server), (server, client)):
        sender("send", size=size)
        receiver("receive", size=size)


class Watcher:
    """A running command whose output goes to files."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        """Take it over."""
        self.process, self._output = process, output

    def text(self) -> str:
        """What it wrote so far, which must be UTF-8."""
        return self._output.read_bytes().decode()

    def records(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.text().splitlines()]

    def errors(self) -> str:
        """What it wrote on standard error."""
        return self._output.with_suffix(".err").read_text()

    def links(self) -> int:
        """How many BPF links and perf events it has: both are what programs are attached by."""
        found = 0
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
                found += any(kind in str(entry.readlink()) for kind in ("bpf_link", "perf_event"))
        return found

    def wait_for(self, done: Callable[[str], bool]) -> None:
        """Until its output is such."""
        deadline = time.monotonic() + PATIENCE_S
        while not done(self.text()):
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < deadline, self.text()[-500:]
            time.sleep(0.1)

    def end(self, patience_s: float = PATIENCE_S) -> int:
        """Interrupt it, and return its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=patience_s)


@contextlib.contextmanager
def watch(output: Path, *command: str) -> Iterator[Watcher]:
    """Start a command, by default tcpvitals, that writes to a file; it ends with the block."""
    words = command if command[0] == "unshare" else (sys.executable, "-m", "tcpvitals", *command)
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *words], stdout=out, stderr=err
        )
    try:
        yield Watcher(process, output)
    finally:
        process.kill()
        process.wait()


# --- the actor ------------------------------------------------------------------------------------


class _Player:
    """Does what it is told; a method that begins with do_ is an order."""

    def __init__(self) -> None:
        self.sets: dict[str, list[socket.socket]] = {}
        self.using = ""
        self.listeners: dict[str, socket.socket] = {}
        self.children: list[tuple[IO[str], socket.socket]] = []
        self.parent: socket.socket | None = None

    def play(self, orders: IO[str], answers: IO[str]) -> None:
        for line in orders:
            fields = json.loads(line)
            answer = getattr(self, "do_" + fields.pop("order"))(**fields)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    # --- connections

    @property
    def held(self) -> list[socket.socket]:
        """The connections that orders are about."""
        return self.sets.setdefault(self.using, [])

    def do_use(self, name: str) -> None:
        """Turn to another set of connections, with a listener of its own."""
        self.using = name

    def do_listen(self, host: str, port: int = 0) -> int:
        """Answer the port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(
            (host, port), family=family, backlog=4096, dualstack_ipv6=host == "::"
        )
        listener.settimeout(PATIENCE_S)
        self.listeners[self.using] = listener
        return int(listener.getsockname()[1])

    def do_ignore(self) -> None:
        """Listen no more."""
        self.listeners.pop(self.using).close()

    def do_connect(self, host: str, port: int, count: int = 1) -> list[int]:
        """All at once; answers the local ports."""
        fresh = [self._begin(host, port) for _ in range(count)]
        waiting = {tcp.fileno(): tcp for tcp in fresh}
        poll = select.poll()
        for number in waiting:
            poll.register(number, select.POLLOUT)
        deadline = time.monotonic() + PATIENCE_S
        while waiting and time.monotonic() < deadline:
            for number, _ in poll.poll(1000):
                poll.unregister(number)
                waiting.pop(number).settimeout(PATIENCE_S)
        for tcp in fresh:
            assert tcp.getpeername()
        self.held.extend(fresh)
        return [tcp.getsockname()[1] for tcp in fresh]

    def _begin(self, host: str, port: int) -> socket.socket:
        tcp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.settimeout(0)
        tcp.connect_ex((host, port))
        return tcp

    def do_call(self, host: str, port: int) -> None:
        """Begin to connect, and do not wait for it."""
        self.held.append(self._begin(host, port))

    def do_dial(self, first: str, count: int, port: int) -> None:
        """Begin to connect to so many addresses in a row."""
        start = int(IPv4Address(first))
        self.held.extend(self._begin(str(IPv4Address(start + n)), port) for n in range(count))

    def do_accept(self, count: int = 1) -> None:
        for _ in range(count):
            tcp, _ = self.listeners[self.using].accept()
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tcp.settimeout(PATIENCE_S)
            self.held.append(tcp)

    def do_send(self, size: int = 1) -> None:
        for tcp in self.held:
            tcp.sendall(b"x" * size)

    def do_receive(self, size: int = 1) -> None:
        for tcp in self.held:
            missing = size
            while missing:
                got = len(tcp.recv(missing))
                assert got
                missing -= got

    def do_drop(self, *, reset: bool = False) -> None:
        """Close."""
        for tcp in self.held:
            if reset:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            tcp.close()
        self.held.clear()

    def do_finish(self, *, first: bool) -> dict[str, int]:
        """End in order, all data known to have arrived, and answer the sums of the last words.

        A socket that is closed but not yet given back still has its counters.
        """
        if not first:
            for tcp in self.held:
                assert not tcp.recv(1)
        for tcp in self.held:
            tcp.shutdown(socket.SHUT_WR)
        return {} if first else self.do_last_words()

    def do_last_words(self) -> dict[str, int]:
        """Answer the sums of what the kernel counted for sockets that are about to be closed."""
        sums = dict.fromkeys(INFO, 0)
        deadline = time.monotonic() + PATIENCE_S
        for tcp in self.held:
            while (info := tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))[0] != _CLOSE:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            for name, (kind, at) in INFO.items():
                sums[name] += struct.unpack_from(kind, info, at)[0]
        self.do_drop()
        return sums

    # --- processes

    def do_fork(self) -> int:
        """Let a child have a copy of all this; answers its process id."""
        mine, its = socket.socketpair()
        my_fds, its_fds = socket.socketpair()
        pid = os.fork()
        if not pid:
            die_with_parent()
            mine.close()
            my_fds.close()
            self.parent, self.children = its_fds, []
            with its.makefile("rw") as both:
                self.play(both, both)
            os._exit(0)
        its.close()
        its_fds.close()
        self.children.append((mine.makefile("rw"), my_fds))
        return pid

    def do_child(self, index: int, told: dict[str, Any]) -> object:
        both, _ = self.children[index]
        both.write(json.dumps(told) + "\n")
        both.flush()
        return json.loads(both.readline())

    def do_give(self, index: int) -> None:
        """Pass all sockets to a child, over a Unix socket, and keep none."""
        for at in range(0, len(self.held), _FDS_AT_ONCE):
            numbers = [tcp.fileno() for tcp in self.held[at : at + _FDS_AT_ONCE]]
            socket.send_fds(self.children[index][1], [b"!"], numbers)
        self.do_drop()

    def do_take(self, count: int) -> None:
        assert self.parent
        while len(self.held) < count:
            _, numbers, _, _ = socket.recv_fds(self.parent, 1, _FDS_AT_ONCE)
            self.held.extend(socket.socket(fileno=number) for number in numbers)
        for tcp in self.held:
            tcp.settimeout(PATIENCE_S)

    def do_rename(self, name: str) -> None:
        """Call itself so (latin-1: each character is a byte)."""
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode("latin-1"), 0, 0, 0)

    def do_pin(self) -> None:
        """Stay on one CPU, as do the packets over loopback then."""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def do_flood(self, host: str, turns: int, cpus: list[int]) -> int:
        """Make 2 state changes a turn in a process on each of these CPUs; answers how many."""
        children = []
        for cpu in cpus:
            pid = os.fork()
            if not pid:
                die_with_parent()
                os.sched_setaffinity(0, {cpu})
                _listen_and_close(host, turns)
                os._exit(0)
            children.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        return 2 * turns * len(cpus)


def _listen_and_close(host: str, turns: int) -> None:
    tcp = socket.socket()
    tcp.bind((host, 0))
    for _ in range(turns):
        tcp.listen(1)
        tcp.shutdown(socket.SHUT_RD)


def die_with_parent() -> None:
    """As soon as the thread that forked us ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.alarm(_LIFETIME_S)


if __name__ == "__main__":
    signal.alarm(_LIFETIME_S)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _Player().play(sys.stdin, sys.stdout)
