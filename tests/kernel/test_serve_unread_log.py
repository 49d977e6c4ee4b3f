"""A log that is not read: `serve` answers on, and says later what it could not say then."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import TYPE_CHECKING, Final

import pytest
from conftest import IN_VM
from serve_lab import PATIENCE_S, exporter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(IN_VM, reason="each run takes an emulated CPU many seconds")

RELOADS: Final = 5


def test_lines_wait_for_a_pipe_that_is_read_later_and_nothing_waits_for_them(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    readable, writable = os.pipe()
    filled = fill(writable)
    options = ("--refresh", "0.2", "--quiet", "--config", str(config))
    with exporter(*options, stderr=writable) as started:
        os.close(writable)
        started.wait_until_ready()
        config.write_text("nonsense = 1\n" + "# \n" * 10_000)
        for _ in range(RELOADS):
            started.process.send_signal(signal.SIGHUP)
            started.scrape_after()
        assert started.get("/healthz") == (200, "ok\n")
        lines = read_lines(readable, filled, RELOADS)
        assert started.end()[0] == 0
    os.close(readable)
    assert len(lines) == RELOADS
    assert {line.partition(": ")[0] for line in lines} == {"tcpvitals"}
    assert all("SIGHUP: " in line and "(nothing was changed)" in line for line in lines)


def fill(writable: int) -> int:
    """Fill a pipe; how many bytes that took."""
    os.set_blocking(writable, False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(writable, bytes(4096))
    os.set_blocking(writable, True)
    return filled


def read_lines(readable: int, skipped: int, count: int) -> list[str]:
    """Read what fills the pipe, and so many lines after it."""
    data = b""
    while data[skipped:].count(b"\n") < count:
        assert select.select([readable], [], [], PATIENCE_S)[0], data[skipped:]
        data += os.read(readable, 1 << 16)
    return data[skipped:].decode().splitlines()
