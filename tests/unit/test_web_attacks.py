"""What attackers tried and the server withstood: afterwards an honest client gets its page."""

from __future__ import annotations

import random
import re
import socket
import ssl
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from web_certificates import Certificate, client_context, make_certificate
from web_client import GET, is_closed, request, serving

from tcpvitals.sinks.web.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from web_client import Running

PIPELINED = 10_000
STALLED = 300
HELLOS = 400
SEED = 7


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make the server's."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "server", "DNS:localhost")


@pytest.fixture
def web_config(certificate: Certificate, tmp_path: Path) -> Path:
    """Write a web config with it."""
    file = tmp_path / "web.yml"
    file.write_text(
        f"tls_server_config:\n  cert_file: {certificate.file}\n  key_file: {certificate.key}\n"
    )
    return file


def client_hello() -> bytes:
    """Return what a TLS client says first."""
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def changed(hello: bytes) -> Iterator[bytes]:
    """Change some bytes each time, cut it off, or say a part of it twice."""
    chance = random.Random(SEED)  # noqa: S311 no secret
    for number in range(HELLOS):
        data = bytearray(hello)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        at = chance.randrange(1, len(data))
        yield bytes((data, data[:at], data + data[at:])[number % 3])


def honest_client_is_served(server: Running, certificate: Certificate) -> bool:
    """Whether it gets its page, and nothing was reported meanwhile."""
    answer = server.ask_tls(client_context(certificate))
    return (answer.status, answer.body, server.reports) == (200, b"metrics\n", [])


def test_client_hellos_with_any_bytes_changed_leave_the_server_as_it_was(
    web_config: Path, certificate: Certificate
) -> None:
    with serving(web_config=web_config) as server:
        for data in changed(client_hello()):
            with server.connect() as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                assert is_closed(client)
        assert honest_client_is_served(server, certificate)


def test_handshakes_that_stall_leave_room_for_one_that_does_not(
    web_config: Path, certificate: Certificate
) -> None:
    hello = client_hello()
    with serving(Limits(connections=64), web_config) as server, ExitStack() as stack:
        for number in range(STALLED):
            client = stack.enter_context(server.connect())
            client.sendall(hello[: number % len(hello)])
        assert honest_client_is_served(server, certificate)


def test_ten_thousand_requests_without_waiting_are_all_answered_in_order() -> None:
    asked = GET + request("GET /nothing HTTP/1.1")
    last = request("GET /metrics HTTP/1.1", "Connection: close")
    with serving() as server, server.connect() as client:
        data = asked * (PIPELINED // 2) + last
        writer = threading.Thread(target=client.sendall, args=(data,))
        writer.start()
        received = bytearray()
        while some := client.recv(1 << 16):
            received += some
        writer.join()
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
        assert statuses == [b"200", b"404"] * (PIPELINED // 2) + [b"200"]
        assert server.ask().status == 200
        assert server.reports == []
