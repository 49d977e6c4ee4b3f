"""A server in a thread of its own, and clients that say exactly what a test wants them to."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from tcpvitals.sinks.web.connection import Connection
from tcpvitals.sinks.web.limits import Limits
from tcpvitals.sinks.web.listening import ListenAddress, open_listener
from tcpvitals.sinks.web.reloading import WebConfigFile
from tcpvitals.sinks.web.server import Server, ServerOptions

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from tcpvitals.sinks.web.app import Page

GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
PATIENCE_S = 10
BIG = b"x" * (16 << 20)


async def metrics(_request: Request) -> Response:
    """Answer with something small."""
    return PlainTextResponse("metrics\n")


async def big(_request: Request) -> Response:
    """Answer with more than all the buffers between two sockets hold."""
    return PlainTextResponse(BIG)


async def broken(_request: Request) -> Response:
    """Fail."""
    message = "a\nreason"
    raise ValueError(message)


async def slow(_request: Request) -> Response:
    """Answer after a while."""
    await asyncio.sleep(0.2)
    return PlainTextResponse("slow\n")


PAGES: Mapping[str, Page] = {"/metrics": metrics, "/big": big, "/broken": broken, "/slow": slow}


@dataclass
class Running:
    """A server that runs, what it reported, and a way to stop it."""

    port: int
    reports: list[str]
    stop: Callable[[], None]
    connections: Callable[[], int]
    unsent: Callable[[], list[int]]
    pass_deadline: Callable[[], None]
    thread: threading.Thread = field(default_factory=threading.current_thread)

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, request: bytes = GET) -> Answer:
        """Ask on a connection of its own."""
        with self.connect() as client:
            client.sendall(request)
            return read_answer(client, is_head=request.startswith(b"HEAD"))

    def ask_tls(self, context: ssl.SSLContext, request: bytes = GET) -> Answer:
        """Ask over TLS."""
        plain = self.connect()
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(request)
            return read_answer(client)


@contextmanager
def serving(
    limits: Limits | None = None,
    web_config: Path | None = None,
    pages: Mapping[str, Page] = PAGES,
    listen: str = "127.0.0.1",
) -> Iterator[Running]:
    """Run a server on a free port; it must end within patience."""
    reports: list[str] = []
    address = ListenAddress(listen, 0)
    web = WebConfigFile(web_config, reports.append) if web_config else None
    listener = open_listener(address)
    options = ServerOptions(
        listen=address, report=reports.append, web=web, limits=limits or Limits()
    )
    server = Server(pages, listener, options)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def request_stop() -> None:
        loop.call_soon_threadsafe(stop.set)

    def pass_deadline() -> None:
        for one in _all(server):
            loop.call_soon_threadsafe(one._on_time)  # noqa: SLF001 instead of waiting for it

    running = Running(
        listener.getsockname()[1],
        reports,
        request_stop,
        lambda: len(server._connections),  # noqa: SLF001 what a test counts
        lambda: _unsent(server),
        pass_deadline,
    )
    running.thread = threading.Thread(target=loop.run_until_complete, args=(server.run(stop),))
    running.thread.start()
    try:
        yield running
    finally:
        if running.thread.is_alive():
            running.stop()
        running.thread.join(PATIENCE_S)
        assert not running.thread.is_alive()
        loop.close()


def _unsent(server: Server) -> list[int]:
    """Return the bytes that wait for each client that was let in."""
    return [one._unsent() for one in _all(server) if one._ready]  # noqa: SLF001 likewise


def _all(server: Server) -> list[Connection]:
    return [one for one in server._connections if isinstance(one, Connection)]  # noqa: SLF001 likewise


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def read_answer(client: socket.socket, *, is_head: bool = False) -> Answer:
    """Read one answer, by its Content-Length."""
    received = bytearray()  # bytes that grow are copied each time
    while b"\r\n\r\n" not in received:
        received += _some(client)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = 0 if is_head else int(headers["content-length"])
    while len(body) < length:
        body += _some(client)
    return Answer(int(first.split()[1]), headers, bytes(body))


def _some(client: socket.socket) -> bytes:
    data = client.recv(1 << 16)
    if not data:
        raise ConnectionResetError
    return data


def is_closed(client: socket.socket) -> bool:
    """Wait until the server ends a connection, whatever it still says before."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def request(line: str = "GET /metrics HTTP/1.1", *headers: str, host: str = "localhost") -> bytes:
    """Write a request without a body."""
    return "\r\n".join([line, f"Host: {host}", *headers, "", ""]).encode()


def authorized(name: str, password: str) -> bytes:
    """Write a request with a user's name and password."""
    token = base64.b64encode(f"{name}:{password}".encode()).decode()
    return request("GET /metrics HTTP/1.1", f"Authorization: Basic {token}")


def until(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, patiently; whether it came true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 no path object for each of them
