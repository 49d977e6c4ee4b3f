"""The traffic programs over this host's own loopback: they do what they say they did."""

from __future__ import annotations

import json
import threading

import pytest

from tcpvitals.netlab import traffic


@pytest.fixture
def port() -> str:
    """Return the port of an echo server on all addresses."""
    server = traffic.EchoServer("::", 0)
    threading.Thread(target=server.serve, args=(3.0,), daemon=True).start()
    return str(server.port)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, dict[str, object]]:
    """Run one program here, and return its status and what it printed."""
    status = traffic.main([*argv])
    printed: dict[str, object] = json.loads(capsys.readouterr().out)
    return status, printed


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_pingpong_times_every_round_trip_of_every_connection(
    port: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(
        capsys, "pingpong", address, port, "--count", "20", "--connections", "3", "--size", "3000"
    )

    assert status == 0
    assert printed["round_trips"] == 60
    connections = printed["connections"]
    assert isinstance(connections, list)
    assert len({tuple(one["local"]) for one in connections}) == 3
    for one in connections:
        assert 0 < one["min_us"] <= one["median_us"] <= one["max_us"]


def test_the_largest_message_comes_back_whole(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--count", "10", "--size", "65536", "--timeout", "10"]
    status, printed = run(capsys, "pingpong", "127.0.0.1", port, *arguments)

    assert (status, printed["round_trips"]) == (0, 10)


@pytest.mark.parametrize("size", ["0", "65537", "many"])
def test_a_message_must_fit_the_socket_buffers(size: str) -> None:
    """A client that sends more than they hold before it reads may wait for ever."""
    with pytest.raises(SystemExit):
        traffic.main(["pingpong", "127.0.0.1", "1", "--size", size])


def test_peers_connect_from_different_addresses(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(
        capsys, "peers", "127.0.0.1", port, "--prefix", "127.9.0.0/16", "--count", "300"
    )

    assert status == 0
    assert (printed["peers"], printed["failed"], printed["round_trips"]) == (300, 0, 300)


def test_a_prefix_smaller_than_the_count_is_used_up(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, printed = run(capsys, "peers", "127.0.0.1", port, "--prefix", "127.9.0.0/29")

    assert printed["peers"] == 6


def test_a_refused_connection_is_reported_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    status, printed = run(capsys, "peers", "127.0.0.1", "1", "--prefix", "127.9.0.0/30")

    assert status == 1
    assert printed["failed"] == 2
    assert "ConnectionRefusedError" in json.dumps(printed["errors"])


def test_probes_that_nobody_drops_all_come_back(
    port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(capsys, "probe", "127.0.0.1", port, "--count", "200")

    assert status == 0
    assert (printed["sent"], printed["received"]) == (200, 200)


def test_out_of_time_is_a_failure_not_a_hang(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--count", "1000000", "--interval", "0.01", "--timeout", "0.1"]
    status, printed = run(capsys, "pingpong", "127.0.0.1", port, *arguments)

    assert status == 1
    assert "TimeoutError" in json.dumps(printed)
