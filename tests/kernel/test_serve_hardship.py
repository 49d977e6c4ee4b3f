"""`tcpvitals serve` under signals without end, when it is stopped, and on a bare host."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from serve_lab import COMMAND, Exporter, exporter, free_port

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("--refresh", "0.5")
OTHER_USER = "65534"
STORM = 300
STOPPED_S = 3


def test_a_storm_of_sighup_and_a_stop_delay_it_and_change_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('by = "role"\n')
    with exporter("--config", str(config), *OPTIONS) as started:
        started.wait_until_ready()
        before = started.scrape_after().sum("tcpvitals_sent_segments_total")
        for _ in range(STORM):
            started.process.send_signal(signal.SIGHUP)
        started.process.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        started.process.send_signal(signal.SIGCONT)
        after = started.scrape_after().sum("tcpvitals_sent_segments_total")
        assert started.get("/healthz") == (200, "ok\n")
        status, stderr = started.end()
    assert after > before
    assert status == 0
    assert {line.partition(": ")[2] for line in stderr.splitlines()} == {"SIGHUP: nothing changed"}


@pytest.mark.parametrize(
    "change", ["mount -t proc -o hidepid=2 proc /proc", "mount -o remount,bind,ro /"]
)
def test_it_serves_as_another_user_where_processes_are_hidden_or_nothing_can_be_written(
    change: str,
) -> None:
    port = free_port()
    options = ("--user", OTHER_USER, "--listen", f"127.0.0.1:{port}", *OPTIONS)
    command = ["unshare", "-m", "sh", "-c", f'{change} && exec "$@"', "sh", *COMMAND, *options]
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        started = Exporter(process, port)
        try:
            started.wait_until_ready()
            assert started.scrape_after().sum("tcpvitals_sent_segments_total") > 0
            assert started.get("/healthz") == (200, "ok\n")
            assert started.end() == (0, "")
        finally:
            process.kill()
