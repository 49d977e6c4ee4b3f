"""Slow readers: what they keep in memory is bounded, and those that are dropped are counted."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from starlette.responses import Response
from web_certificates import client_context, make_certificate
from web_client import BIG, read_answer, request, serving, until

from tcpvitals.sinks.web.bodies import Bodies, SlowReaders
from tcpvitals.sinks.web.limits import PIECE_BYTES, Limits

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from starlette.requests import Request

READERS = 12
ASK = request("GET /big HTTP/1.1")
SEVERAL_MEBIBYTES = 6 << 20  # more than the buffers between two sockets hold


@dataclass(eq=False)
class Slow:
    """A reader that never ends."""

    is_dropped: bool = False

    def abort_as_slow(self) -> None:
        """Note it."""
        self.is_dropped = True


def test_a_body_counts_once_however_many_read_it_and_until_the_last_has_it() -> None:
    bodies = Bodies(100)
    body = bytes(60)
    with bodies.sending(body, Slow()):
        with ExitStack() as stack:
            for _ in range(500):
                stack.enter_context(bodies.sending(body, Slow()))
            assert bodies.total_bytes == 60
        assert bodies.total_bytes == 60
    assert bodies.total_bytes == 0


def test_the_readers_of_the_oldest_go_when_all_are_too_many_bytes() -> None:
    bodies, readers = Bodies(100), [Slow() for _ in range(5)]
    old, newer, newest = (bytes([number]) * 40 for number in range(3))
    with ExitStack() as stack:
        for body, reader in zip((old, old, newer, newer, newest), readers, strict=True):
            stack.enter_context(bodies.sending(body, reader))
        assert bodies.total_bytes == 80
        assert [reader.is_dropped for reader in readers] == [True, True, False, False, False]
    assert bodies.total_bytes == 0


def test_one_body_may_be_larger_than_all_may_be() -> None:
    bodies, before, reader = Bodies(100), Slow(), Slow()
    with bodies.sending(bytes(10), before), bodies.sending(bytes(1000), reader):
        assert (before.is_dropped, reader.is_dropped) == (True, False)
        assert bodies.total_bytes == 1000


class Block(bytearray):
    """Bytes that can be watched while they are in memory."""


def test_of_bodies_that_change_all_the_time_few_are_in_memory() -> None:
    made: list[weakref.ref[Block]] = []

    async def page(_request: Request) -> Response:
        block = Block(SEVERAL_MEBIBYTES)
        made.append(weakref.ref(block))
        return Response(memoryview(block))

    limits = Limits(deadline_s=60, bodies_bytes=3 * SEVERAL_MEBIBYTES)
    with serving(limits, pages={"/big": page}) as server, ExitStack() as stack:
        for _ in range(READERS):
            client = stack.enter_context(server.connect())
            client.sendall(ASK)
            assert client.recv(1)
        assert until(lambda: sum(block() is not None for block in made) == 3)
        assert (len(made), server.connections()) == (READERS, 3)
    assert server.reports == [f"connections dropped because they read too slowly: {READERS - 3}"]


def test_who_is_dropped_at_the_deadline_is_counted() -> None:
    with serving(Limits(deadline_s=60)) as server, ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(server.connect()).sendall(ASK)
        assert until(lambda: len(server.unsent()) == READERS and min(server.unsent()) > 0)
        server.pass_deadline()
        assert until(lambda: server.connections() == 0)
    assert server.reports == [f"connections dropped because they read too slowly: {READERS}"]


def test_none_slow_is_nothing_to_report() -> None:
    reports: list[str] = []
    SlowReaders(reports.append).flush()
    assert reports == []


@pytest.mark.parametrize(("tls", "pieces"), [(False, 2), (True, 4)])
def test_a_reader_that_reads_nothing_has_a_few_pieces_waiting(
    tmp_path: Path, *, tls: bool, pieces: int
) -> None:
    certificate = make_certificate(tmp_path, "server", "DNS:localhost")
    config = tmp_path / "web.yml"
    config.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}")
    with serving(Limits(deadline_s=60), config if tls else None) as server, ExitStack() as stack:

        def connect() -> socket.socket:
            plain = server.connect()
            context = client_context(certificate)
            return context.wrap_socket(plain, server_hostname="localhost") if tls else plain

        clients = [stack.enter_context(connect()) for _ in range(READERS)]
        for client in clients:
            client.sendall(ASK)
        assert until(lambda: len(server.unsent()) == READERS and min(server.unsent()) > 0)
        assert max(server.unsent()) <= pieces * PIECE_BYTES + 4096
        assert read_answer(clients[0]).body == BIG
