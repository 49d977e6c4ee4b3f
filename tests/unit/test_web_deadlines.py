"""Slow clients, many clients: each goes at its deadline, and honest ones do not notice."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from web_client import GET, Running, descriptors, is_closed, read_answer, request, serving, until

from tcpvitals.sinks.web.limits import Limits

HASTY = Limits(deadline_s=0.4, idle_s=0.4)
CALM = Limits(deadline_s=60, idle_s=60)


def test_a_connection_that_says_nothing_goes_at_the_deadline() -> None:
    with serving(HASTY) as server, server.connect() as client:
        assert is_closed(client)


def send_slowly(client: socket.socket, data: bytes) -> None:
    """Send a byte now and then."""
    for byte in data:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def test_a_byte_now_and_then_does_not_move_the_deadline() -> None:
    with serving(HASTY) as server, server.connect() as client:
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            send_slowly(client, request("GET /metrics HTTP/1.1", "X-Long: " + "x" * 500))
        assert HASTY.deadline_s * 0.9 < time.monotonic() - began < 10


def test_the_deadline_of_a_later_request_runs_from_its_first_byte() -> None:
    with serving(Limits(deadline_s=0.4, idle_s=60)) as server, server.connect() as client:
        client.sendall(GET)
        assert read_answer(client).status == 200
        time.sleep(0.8)  # idle: no deadline
        client.sendall(GET)
        assert read_answer(client).status == 200
        client.sendall(GET[:10])
        assert is_closed(client)


def test_an_idle_connection_goes_after_the_idle_time() -> None:
    with serving(Limits(deadline_s=60, idle_s=0.3)) as server, server.connect() as client:
        client.sendall(GET)
        assert read_answer(client).status == 200
        assert is_closed(client)


def test_who_does_not_read_the_answer_goes_at_the_deadline() -> None:
    with serving(HASTY) as server, server.connect() as client:
        client.sendall(request("GET /big HTTP/1.1"))
        assert client.recv(1)
        assert until(lambda: server.connections() == 0)


def read_slowly(client: socket.socket) -> None:
    """Read a little now and then."""
    while client.recv(512):
        time.sleep(0.01)


def test_who_reads_slowly_goes_too(caplog: pytest.LogCaptureFixture) -> None:
    with serving(HASTY) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(request("GET /big HTTP/1.1"))
        with pytest.raises(ConnectionError):
            read_slowly(client)
    assert caplog.messages == []


def test_who_goes_away_in_the_middle_of_an_answer_is_no_news(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(CALM) as server:
        for _ in range(5):
            with server.connect() as client:
                client.sendall(request("GET /big HTTP/1.1"))
                assert client.recv(1)
        assert until(lambda: server.connections() == 0)
        assert server.reports == []
    assert caplog.messages == []


def test_who_does_not_read_the_refusal_of_nonsense_goes_too() -> None:
    with serving(CALM) as server, server.connect() as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert client.recv(1)
        assert until(lambda: server.connections() == 0)


def test_a_refused_body_has_no_more_time_than_the_request() -> None:
    with serving(HASTY) as server, server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.1", "Content-Length: 9"))
        assert read_answer(client).status == 413
        assert is_closed(client)


def trickle(server: Running, clients: list[socket.socket], stop: threading.Event) -> None:
    """Send a byte a second on each, for as long as they live, and replace those that went."""
    while not stop.is_set():
        for index, client in enumerate(clients):
            try:
                client.sendall(b"G")
            except OSError:
                client.close()
                clients[index] = server.connect()
        stop.wait(1)


def honest_scrapes(server: Running, *, seconds: float) -> int:
    """Scrape until the time is over, each time on a new connection; how many succeeded."""
    deadline = time.monotonic() + seconds
    count = 0
    while time.monotonic() < deadline:
        assert server.ask().status == 200
        count += 1
        time.sleep(0.01)
    return count


def test_two_hundred_slow_clients_do_not_keep_an_honest_one_out() -> None:
    threads, files = threading.active_count(), descriptors()
    with serving(Limits(deadline_s=1.0, connections=100)) as server:
        clients = [server.connect() for _ in range(200)]
        stop = threading.Event()
        slow = threading.Thread(target=trickle, args=(server, clients, stop))
        slow.start()
        try:
            assert honest_scrapes(server, seconds=2.5) > 20
            assert server.connections() <= 100
            assert threading.active_count() == threads + 2  # the server's and the slow clients' own
            assert descriptors() <= files + 200 + 100 + 20
        finally:
            stop.set()
            slow.join()
            for client in clients:
                client.close()
        assert until(lambda: server.connections() == 0)
        assert server.reports == []
    assert threading.active_count() == threads
    assert descriptors() <= files


def test_stopping_finishes_what_is_being_answered() -> None:
    with serving(CALM) as server, server.connect() as idle, server.connect() as client:
        idle.sendall(GET)
        assert read_answer(idle).status == 200
        client.sendall(request("GET /slow HTTP/1.1"))
        time.sleep(0.05)
        server.stop()
        assert read_answer(client).body == b"slow\n"
        assert is_closed(client)
        assert is_closed(idle)
        server.thread.join(5)
        assert not server.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            server.connect()


def test_stopping_does_not_wait_for_ever() -> None:
    limits = Limits(deadline_s=60, idle_s=60, stop_s=0.2)
    with serving(limits) as server, server.connect() as client, server.connect() as half:
        half.sendall(GET[:9])
        client.sendall(request("GET /big HTTP/1.1"))
        time.sleep(0.05)
        server.stop()
        server.thread.join(5)
        assert not server.thread.is_alive()
