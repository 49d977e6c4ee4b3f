"""`tcpvitals serve` as a process: how it ends, what it leaves, and what it is told meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from conftest import IN_VM
from serve_lab import COMMAND, PATIENCE_S, Exporter, exporter, free_port

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("--refresh", "0.5")
# How often a run is ended in each of several ways: each start takes a second, or many.
TURNS = int(os.environ.get("TCPVITALS_TURNS", "2"))


def test_the_next_one_starts_on_the_same_port_however_the_one_before_was_ended() -> None:
    """By a signal with status 0 and nothing to say; or killed, when it cannot tidy up."""
    port = free_port()
    for number, status in [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)] * TURNS:
        with exporter(*OPTIONS, port=port) as started:
            started.wait_until_ready()
            assert started.end(number) == (status, "")


def test_of_many_started_at_once_one_runs_and_the_others_name_the_port() -> None:
    port = free_port()
    with ExitStack() as stack:
        many = [
            stack.enter_context(exporter(*OPTIONS, port=port)) for _ in range(5 if IN_VM else 20)
        ]
        alive = wait_for_the_last(many)
        alive.wait_until_ready()
        for one in many:
            if one is not alive:
                _, stderr = one.process.communicate()
                assert one.process.returncode == 18
                assert f"cannot listen on 127.0.0.1:{port}: port {port} is taken" in stderr
                assert stderr.count("\n") == 1
        assert alive.end() == (0, "")


def wait_for_the_last(many: list[Exporter]) -> Exporter:
    """Return the one that is left when all others have ended."""
    deadline = time.monotonic() + PATIENCE_S
    while len(left := [one for one in many if one.process.poll() is None]) > 1:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    return left[0]


def test_a_port_that_the_kernel_chooses_is_the_one_announced() -> None:
    command = [*COMMAND, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        announced = process.stdout.readline()
        found = re.match(r"serving http://127\.0\.0\.1:([1-9][0-9]*)/metrics;", announced)
        assert found, announced
        assert Exporter(process, int(found[1])).get("/")[0] == 200
        process.terminate()


def test_sighup_reads_the_file_again_and_says_what_takes_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('refresh = 0.5\nby = "role"\n')
    with exporter("--config", str(config)) as started:
        started.wait_until_ready()
        foreign = {"Host": "metrics.example"}
        assert started.get("/healthz", foreign)[0] == 421
        config.write_text(
            'refresh = 0.25\nby = "service"\nbuckets = "0.001,0.01"\n'
            'allow-host = "metrics.example"\n'
        )
        started.process.send_signal(signal.SIGHUP)
        page = started.scrape_after(2)
        assert started.get("/healthz", foreign) == (200, "ok\n")
        status, stderr = started.end()
    assert page.by("tcpvitals_network_rtt_seconds_bucket", "le").keys() == {
        "0.000991",
        "0.010239",
        "+Inf",
    }
    assert (status, stderr.splitlines()) == (
        0,
        [
            "tcpvitals: SIGHUP: --by takes a restart",
            "tcpvitals: SIGHUP: --allow-host, --refresh, --buckets changed",
        ],
    )
