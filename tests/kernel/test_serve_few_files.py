"""`serve` with few files to open and a flood of connections: it runs out of none, and answers."""

from __future__ import annotations

import resource
import socket
from collections import deque
from typing import Final

import pytest
from conftest import IN_VM
from serve_lab import PATIENCE_S, exporter

pytestmark = pytest.mark.skipif(IN_VM, reason="on an emulated CPU there is no flood")

FLOOD: Final = 2000
HELD: Final = 300  # more than there may be with any of the limits


@pytest.mark.parametrize("files", [160, 256])
def test_a_flood_of_connections_leaves_files_for_refreshes(files: int) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with exporter("--refresh", "0.1", "--quiet", preexec_fn=limit) as started:
        started.wait_until_ready()
        held: deque[socket.socket] = deque()
        for _ in range(FLOOD):
            held.append(socket.create_connection(("127.0.0.1", started.port), timeout=PATIENCE_S))
            if len(held) > HELD:
                held.popleft().close()
        started.scrape_after()
        assert started.get("/healthz") == (200, "ok\n")
        for one in held:
            one.close()
        assert started.end() == (0, "")
