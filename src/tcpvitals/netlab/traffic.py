"""Programs that talk across a link: a server that echoes, and clients that time the echo.

    python -m tcpvitals.netlab.traffic serve ADDRESS PORT
    python -m tcpvitals.netlab.traffic pingpong ADDRESS PORT --count 100
    python -m tcpvitals.netlab.traffic peers ADDRESS PORT --prefix 10.64.0.0/12 --count 1000
    python -m tcpvitals.netlab.traffic probe ADDRESS PORT --count 1000

All are bounded in time and in what they do, and print one JSON object: what was done, and for TCP
and UDP alike the round-trip times as the application saw them, in microseconds.  Exit status 1
means that not everything asked for was done.  Standard library only, and little of that: it has to
start quickly under an emulated CPU.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import resource
import selectors
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_BACKLOG = 4096
_CHUNK = 65536


# --- serve ----------------------------------------------------------------------------------------


class EchoServer:
    """Sends back what it receives, over TCP and UDP on one port, in one thread."""

    def __init__(self, address: str, port: int) -> None:
        """Listen; address `::` takes IPv4 as well (as v4-mapped), port 0 lets the kernel choose.

        Raises:
            OSError: no such address here, or the port is taken.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server(
            (address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=address == "::"
        )
        self.port: int = self._listener.getsockname()[1]
        self._udp = socket.socket(family, socket.SOCK_DGRAM)
        if address == "::":
            self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._udp.bind((address, self.port))
        self._unsent: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        for server in (self._listener, self._udp):
            server.settimeout(0)
            self._selector.register(server, selectors.EVENT_READ)

    def serve(self, lifetime_s: float) -> None:
        """Echo for so many seconds."""
        deadline = time.monotonic() + lifetime_s
        while (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                ready = key.fileobj
                if ready is self._listener:
                    self._accept()
                elif ready is self._udp:
                    self._echo_datagrams()
                elif isinstance(ready, socket.socket):
                    self._echo(ready)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(0)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._selector.register(connection, selectors.EVENT_READ)

    def _echo_datagrams(self) -> None:
        with contextlib.suppress(OSError):  # nothing left to read, or nobody left to answer
            while True:
                data, sender = self._udp.recvfrom(_CHUNK)
                self._udp.sendto(data, sender)

    def _echo(self, connection: socket.socket) -> None:
        """Send back what came; while the client does not read, do not read more from it."""
        try:
            data = self._unsent.pop(connection, b"") or connection.recv(_CHUNK)
            rest = data[connection.send(data) :] if data else b""
        except BlockingIOError:
            rest = data
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()
            return
        if rest:
            self._unsent[connection] = rest
        self._selector.modify(connection, selectors.EVENT_WRITE if rest else selectors.EVENT_READ)


# --- pingpong and peers ---------------------------------------------------------------------------


class Talk:
    """What every connection of a client has in common."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Take it from the command line."""
        self.server: tuple[str, int] = (arguments.address, arguments.port)
        self.round_trips: int = arguments.round_trips
        self.message = b"x" * arguments.size
        self.interval_s: float = arguments.interval
        self.hold_s: float = arguments.hold
        self.deadline: float = time.monotonic() + arguments.timeout

    def left(self) -> float:
        """Return the seconds left.

        Raises:
            TimeoutError: none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            message = "out of time"
            raise TimeoutError(message)
        return left


def converse(talk: Talk, bind: str | None) -> dict[str, Any]:
    """Make one connection, exchange the messages, close it, and return what came of it.

    The starts of the round trips are in microseconds since the connection was asked for.
    """
    done: dict[str, Any] = {"local": None, "error": None}
    starts_us: list[float] = []
    rtts_us: list[float] = []
    began_ns = time.perf_counter_ns()
    try:
        source = (bind, 0) if bind else None
        with socket.create_connection(talk.server, talk.left(), source) as connection:
            done["local"] = connection.getsockname()[:2]
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for turn in range(talk.round_trips):
                if turn and talk.interval_s:
                    time.sleep(talk.interval_s)
                connection.settimeout(talk.left())
                starts_us.append((time.perf_counter_ns() - began_ns) / 1000)
                rtts_us.append(_round_trip(connection, talk.message))
            time.sleep(talk.hold_s)
    except OSError as error:
        done["error"] = f"{type(error).__name__}: {error}"
    done |= {"round_trips": len(rtts_us), "starts_us": starts_us, "rtts_us": rtts_us}
    return done | _summary(rtts_us)


def _round_trip(connection: socket.socket, message: bytes) -> float:
    """Send a message, wait until all of it is back, and return the microseconds it took."""
    start = time.perf_counter_ns()
    connection.sendall(message)
    missing = len(message)
    while missing:
        got = len(connection.recv(missing))
        if not got:
            text = "the server closed the connection"
            raise ConnectionError(text)
        missing -= got
    return (time.perf_counter_ns() - start) / 1000


def _summary(rtts_us: list[float]) -> dict[str, float | None]:
    ordered = sorted(rtts_us)
    if not ordered:
        return {"min_us": None, "median_us": None, "mean_us": None, "max_us": None}
    return {
        "min_us": ordered[0],
        "median_us": ordered[len(ordered) // 2],
        "mean_us": sum(ordered) / len(ordered),
        "max_us": ordered[-1],
    }


def converse_from(talk: Talk, binds: list[str | None], concurrency: int) -> list[dict[str, Any]]:
    """Make a connection from each address, so many at a time."""
    results: list[dict[str, Any]] = []
    waiting = collections.deque(binds)

    def work() -> None:
        with contextlib.suppress(IndexError):
            while True:
                results.append(converse(talk, waiting.popleft()))

    workers = [threading.Thread(target=work) for _ in range(min(concurrency, len(binds)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


# --- commands -------------------------------------------------------------------------------------


def serve(arguments: argparse.Namespace) -> bool:
    """Echo until the lifetime is over; the port is printed as soon as it is open."""
    server = EchoServer(arguments.address, arguments.port)
    _print({"port": server.port})
    server.serve(arguments.lifetime)
    return True


def pingpong(arguments: argparse.Namespace) -> bool:
    """Send messages back and forth over one or more connections at once."""
    talk = Talk(arguments)
    many = arguments.connections
    results = converse_from(talk, [arguments.bind] * many, many)
    total = sum(result["round_trips"] for result in results)
    _print({"round_trips": total, "connections": results})
    return not any(result["error"] for result in results)


def peers(arguments: argparse.Namespace) -> bool:
    """Connect from many addresses of a prefix, one connection each."""
    talk = Talk(arguments)
    start = time.monotonic()
    import ipaddress  # noqa: PLC0415 only this program needs it, and all start under emulation

    network = ipaddress.ip_network(arguments.prefix)
    binds: list[str | None] = [
        str(network[index + 1]) for index in range(min(arguments.count, network.num_addresses - 2))
    ]
    results = converse_from(talk, binds, arguments.concurrency)
    failed = [result for result in results if result["error"]]
    _print(
        {
            "peers": len(results),
            "failed": len(failed),
            "round_trips": sum(result["round_trips"] for result in results),
            "elapsed_s": time.monotonic() - start,
            "errors": collections.Counter(result["error"] for result in failed),
        }
    )
    return not failed


def probe(arguments: argparse.Namespace) -> bool:
    """Send numbered datagrams and count those that come back; losing some is not a failure."""
    family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
    count: int = arguments.count
    start_ns: list[int] = []
    rtts_us: dict[int, float] = {}
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect((arguments.address, arguments.port))
        for number in range(count):
            start_ns.append(time.perf_counter_ns())
            udp.send(number.to_bytes(8, "big"))
            _collect(udp, arguments.interval, count, start_ns, rtts_us)
        _collect(udp, arguments.wait, count, start_ns, rtts_us)
    received = {"sent": count, "received": len(rtts_us)}
    _print(received | _summary(list(rtts_us.values())))
    return True


def _collect(
    udp: socket.socket, for_s: float, count: int, start_ns: list[int], rtts_us: dict[int, float]
) -> None:
    """Take in answers for so many seconds, or until `count` have come in all."""
    deadline = time.monotonic() + for_s
    with contextlib.suppress(TimeoutError, BlockingIOError):
        while len(rtts_us) < count:
            udp.settimeout(max(0, deadline - time.monotonic()))
            number = int.from_bytes(udp.recv(8), "big")
            now_ns = time.perf_counter_ns()
            rtts_us.setdefault(number, (now_ns - start_ns[number]) / 1000)


def _print(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _allow_many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function in (serve, pingpong, peers, probe):
        summary = (function.__doc__ or "").partition("\n")[0]
        command = commands.add_parser(function.__name__, help=summary, description=summary)
        command.set_defaults(function=function)
        command.add_argument("address", help="IPv4 or IPv6 address of the server")
        command.add_argument("port", type=int)
        _ADD_OPTIONS[function.__name__](command)
    return parser.parse_args(argv)


def _serve_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lifetime", type=float, default=600, metavar="SECONDS")


def _talk_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--size", type=_size, default=1, metavar="BYTES", help="of a message (default 1)")
    add("--interval", type=float, default=0, metavar="SECONDS", help="between round trips")
    add("--hold", type=float, default=0, metavar="SECONDS", help="stay connected after the last")
    add("--timeout", type=float, default=60, metavar="SECONDS", help="for all of it (default 60)")


def _size(text: str) -> int:
    """Read a message's size: no more than socket buffers hold while nobody reads."""
    size = int(text)
    if not 1 <= size <= _CHUNK:
        message = f"from 1 to {_CHUNK}"
        raise argparse.ArgumentTypeError(message)
    return size


def _pingpong_options(command: argparse.ArgumentParser) -> None:
    _talk_options(command)
    add = command.add_argument
    add("--count", dest="round_trips", type=int, default=100, metavar="N", help="round trips each")
    add("--bind", metavar="ADDRESS", help="local address")
    add("--connections", type=int, default=1, metavar="N", help="at once (default 1)")


def _peers_options(command: argparse.ArgumentParser) -> None:
    _talk_options(command)
    add = command.add_argument
    add("--prefix", required=True, help="local addresses, such as 10.64.0.0/12")
    add("--count", type=int, default=1000, metavar="N", help="addresses (default 1000)")
    add("--messages", dest="round_trips", type=int, default=1, metavar="N", help="round trips each")
    add("--concurrency", type=int, default=32, metavar="N", help="connections at once (default 32)")


def _probe_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--count", type=int, default=1000, metavar="N", help="datagrams (default 1000)")
    add("--interval", type=float, default=0.0002, metavar="SECONDS", help="between datagrams")
    add("--wait", type=float, default=1, metavar="SECONDS", help="for the last answers (default 1)")


_ADD_OPTIONS = {
    "serve": _serve_options,
    "pingpong": _pingpong_options,
    "peers": _peers_options,
    "probe": _probe_options,
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    arguments = parse(argv)
    _allow_many_descriptors()
    return 0 if arguments.function(arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
