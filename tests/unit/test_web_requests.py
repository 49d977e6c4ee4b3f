"""What is answered and what is refused, over real sockets."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from web_client import BIG, GET, is_closed, read_answer, request, serving, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web_client import Running


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """Serve the test's pages."""
    with serving() as running:
        yield running


def test_a_page_comes_with_its_headers(server: Running) -> None:
    answer = server.ask()
    assert (answer.status, answer.body) == (200, b"metrics\n")
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "date" in answer.headers
    assert "server" not in answer.headers


def test_a_connection_is_kept_for_the_next_request(server: Running) -> None:
    with server.connect() as client:
        for _ in range(3):
            client.sendall(GET)
            assert read_answer(client).status == 200


def test_head_has_the_headers_of_get_and_no_body(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("HEAD /metrics HTTP/1.1"))
        head = read_answer(client, is_head=True)
        assert head.headers["content-length"] == str(len(b"metrics\n"))
        client.sendall(GET)  # a body after the headers would be taken for this answer
        assert read_answer(client).status == 200


def test_a_query_is_no_part_of_the_path(server: Running) -> None:
    assert server.ask(request("GET /metrics?name=a HTTP/1.1")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"])
def test_other_methods_are_not_allowed(server: Running, method: str) -> None:
    answer = server.ask(request(f"{method} /metrics HTTP/1.1"))
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../etc/passwd", "/metrics/../", "//metrics", "/metrics/", "/metrics%00",
     "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "*", "http://localhost/metrics", "/METRICS"],
)  # fmt: skip
def test_a_path_that_is_no_page_is_not_found(server: Running, path: str) -> None:
    answer = server.ask(request(f"GET {path} HTTP/1.1"))
    assert answer.status == 404
    assert answer.body == b"no such page\n"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_foreign_host_is_misdirected(server: Running) -> None:
    answer = server.ask(request(host="evil.example"))
    assert answer.status == 421
    assert answer.body.count(b"\n") == 1


def test_without_a_host_nothing_is_answered(server: Running) -> None:
    assert server.ask(b"GET /metrics HTTP/1.1\r\n\r\n").status == 400
    assert server.ask(b"GET /metrics HTTP/1.0\r\n\r\n").status == 400
    assert server.ask(b"GET /metrics HTTP/1.1\r\nHost:\r\n\r\n").status == 400


def test_two_hosts_are_one_too_many(server: Running) -> None:
    assert server.ask(request("GET /metrics HTTP/1.1", "Host: evil.example")).status == 400


def test_http_1_0_is_answered_and_the_connection_closed(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.0"))
        assert read_answer(client).body == b"metrics\n"
        assert is_closed(client)


def test_a_client_that_asked_to_close_is_closed(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.1", "Connection: close"))
        assert read_answer(client).status == 200
        assert is_closed(client)


def test_a_client_that_sends_no_more_still_gets_its_answer(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /slow HTTP/1.1"))
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client).body == b"slow\n"
        assert is_closed(client)


@pytest.mark.parametrize(
    "headers", [("X-Long: " + "x" * (1 << 20),), tuple(f"X-{n}: 12345678" for n in range(50_000))]
)
def test_a_megabyte_of_headers_is_too_long(server: Running, headers: tuple[str, ...]) -> None:
    with server.connect() as client:
        with suppress(ConnectionError):
            client.sendall(request("GET /metrics HTTP/1.1", *headers))
        assert read_answer(client).status == 431
        assert is_closed(client)


def test_a_header_just_too_long_that_came_in_one_piece_is_too_long(server: Running) -> None:
    assert server.ask(request("GET /metrics HTTP/1.1", "X: " + "x" * 16_000)).status == 200
    assert server.ask(request("GET /metrics HTTP/1.1", "X: " + "x" * 16_500)).status == 431
    assert server.ask(request(f"GET /{'x' * 16_500} HTTP/1.1")).status == 431


def test_a_body_is_refused_and_read_over(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.1", "Content-Length: 100000") + b"x" * 100_000)
        assert read_answer(client).status == 413
        client.sendall(GET)
        assert read_answer(client).status == 200


def test_a_body_in_chunks_is_refused_and_read_over(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.1", "Transfer-Encoding: chunked"))
        assert read_answer(client).status == 413
        client.sendall(b"3\r\nabc\r\n0\r\n\r\n" + GET)
        assert read_answer(client).status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(("method", "status"), [("GET", 413), ("HEAD", 413), ("POST", 405)])
def test_a_request_with_two_lengths_is_refused_and_the_connection_closed(
    server: Running, method: str, status: int, version: str
) -> None:
    lengths = ("Content-Length: 5", "Transfer-Encoding: chunked")
    asked = request(f"{method} /metrics HTTP/{version}", *lengths)
    with server.connect() as client:
        client.sendall(asked + b"0\r\n\r\n" + GET)
        answer = read_answer(client, is_head=method == "HEAD")
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert is_closed(client)


def test_a_body_of_no_length_is_none(server: Running) -> None:
    assert server.ask(request("GET /metrics HTTP/1.1", "Content-Length: 0")).status == 200


def test_an_endless_body_is_not_read_to_its_end(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /metrics HTTP/1.1", f"Content-Length: {1 << 40}"))
        assert read_answer(client).status == 413
        with pytest.raises(ConnectionError):
            client.sendall(bytes(64 << 20))


def test_requests_in_one_piece_are_answered_in_order(server: Running) -> None:
    with server.connect() as client:
        client.sendall(request("GET /slow HTTP/1.1") + GET * 20 + request("GET /no HTTP/1.1"))
        stream = b""
        while not stream.endswith(b"no such page\n"):
            stream += client.recv(1 << 16)
    assert stream.count(b"HTTP/1.1 200") == 21
    assert stream.index(b"slow\n") < stream.index(b"metrics\n")


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, b"hello\r\n\r\n",
     b"GET  / HTTP/1.1\r\n\r\n", b"\xff\xfe\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"],
)  # fmt: skip
def test_nonsense_is_a_bad_request_and_ends_the_connection(server: Running, garbage: bytes) -> None:
    with server.connect() as client:
        client.sendall(garbage)
        client.settimeout(5)
        assert read_answer(client).status == 400
        assert is_closed(client)


@pytest.mark.parametrize("version", ["0.9", "2.0", "9.9"])
def test_another_version_of_http_is_not_spoken(server: Running, version: str) -> None:
    assert server.ask(request(f"GET /metrics HTTP/{version}")).status == 505


def test_nonsense_after_a_good_request_does_no_harm(server: Running) -> None:
    with server.connect() as client:
        client.sendall(GET + b"\x00nonsense\r\n\r\n")
        assert read_answer(client).status == 200
    with server.connect() as client:
        chunked = request("GET /metrics HTTP/1.1", "Transfer-Encoding: chunked")
        client.sendall(chunked + b"nonsense\r\n")
        assert is_closed(client)


def test_an_upgrade_is_not_done(server: Running) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    assert server.ask(request("GET /metrics HTTP/1.1", *upgrade)).status == 200


def test_a_big_answer_comes_whole(server: Running) -> None:
    assert server.ask(request("GET /big HTTP/1.1")).body == BIG


def test_a_page_that_fails_is_reported_on_one_line_and_the_next_is_served(server: Running) -> None:
    assert server.ask(request("GET /broken HTTP/1.1")).status == 500
    assert server.reports == [r"cannot answer /broken: ValueError: a\x0areason"]
    assert server.ask().status == 200


def test_nothing_else_was_reported_and_no_connection_is_left(server: Running) -> None:
    assert until(lambda: server.connections() == 0)
    assert all(line.startswith("cannot answer /broken") for line in server.reports)
