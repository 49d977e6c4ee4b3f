"""A server that has no room left for connections still answers requests."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from web_client import GET, PATIENCE_S, is_closed, read_answer, request, serving

from tcpvitals.sinks.web.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 8
LIMITS = Limits(deadline_s=60, idle_s=60, connections=MOST)


def ask_once(client: socket.socket) -> None:
    """Get a page, and keep the connection."""
    client.sendall(GET)
    assert read_answer(client).status == 200


def read_nothing(client: socket.socket) -> None:
    """Ask for more than the buffers hold, and do not read it."""
    client.sendall(request("GET /big HTTP/1.1"))
    assert client.recv(1)


@pytest.mark.parametrize("occupy", [ask_once, read_nothing])
def test_one_that_has_yet_to_ask_is_kept_at_the_expense_of_those_that_were_answered(
    occupy: Callable[[socket.socket], None],
) -> None:
    with serving(LIMITS) as server, ExitStack() as stack:
        for _ in range(MOST - 1):
            occupy(stack.enter_context(server.connect()))
        scraper = stack.enter_context(server.connect())
        for _ in range(MOST // 4 - 1):
            stack.enter_context(server.connect())
        ask_once(scraper)


def test_who_was_given_nothing_but_refusals_goes_before_a_reader() -> None:
    with serving(LIMITS) as server, ExitStack() as stack:
        readers = [stack.enter_context(server.connect()) for _ in range(MOST - 1)]
        for reader in readers:
            ask_once(reader)
        prober = stack.enter_context(server.connect())
        prober.sendall(request("GET /admin HTTP/1.1"))
        assert read_answer(prober).status == 404
        time.sleep(1)  # idle for as long as an answer may take to arrive
        assert server.ask().status == 200
        assert is_closed(prober)
        for reader in readers:
            ask_once(reader)


# Serves with so many files left, says on which port, and at the end what it reported.
FEW_FILES = """
import os, resource, sys
from web_client import serving
from tcpvitals.sinks.web.limits import limits_for
with serving(limits_for(60)) as server:
    used = len(os.listdir("/proc/self/fd")) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, used + 60))
    print(server.port, flush=True)
    sys.stdin.read()
    print(server.reports)
"""


def test_a_flood_of_connections_does_not_use_up_the_files() -> None:
    with (
        subprocess.Popen(
            (sys.executable, "-c", FEW_FILES),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        ) as process,
        ExitStack() as stack,
    ):
        assert process.stdout
        port = int(process.stdout.readline())
        held: deque[socket.socket] = deque()
        for _ in range(3000):
            held.append(stack.enter_context(connect(port)))
            if len(held) > 200:
                held.popleft().close()
        with connect(port) as scraper:
            ask_once(scraper)
        said = process.communicate()[0]
    assert said == "[]\n"


def connect(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
