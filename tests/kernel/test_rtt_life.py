"""However it ends, nothing stays behind; and it ends when it is told to."""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import IN_VM
from sockets_lab import PATIENCE_S

from tcpvitals.netlab.link import SERVER_IPV4, open_link
from tcpvitals.netlab.workload import serve, traffic_command

if TYPE_CHECKING:
    from collections.abc import Iterator

# It ends with us, whatever ends us.
_COMMAND = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tcpvitals", "rtt"]
_KILLS, _AT_ONCE = (8, 2) if IN_VM else (100, 4)
_HELD = re.compile(r"^(prog|map|link)_id:\s*(\d+)$", re.MULTILINE)
ROUNDED_S = 0.001  # as JSON has it
# Starting takes most of a second under an emulated CPU.
_START_S = 8.0 if IN_VM else 0.6


def _ids(kind: str) -> set[int]:
    """All BPF programs, maps or links in the kernel."""
    library, found, at = ctypes.CDLL("libbpf.so.1"), set(), ctypes.c_uint32(0)
    while getattr(library, f"bpf_{kind}_get_next_id")(at, ctypes.byref(at)) == 0:
        found.add(at.value)
    return found


def _everything() -> dict[str, set[int]]:
    return {kind: _ids(kind) for kind in ("prog", "map", "link")}


def _held() -> dict[str, set[int]]:
    """What any process has a descriptor of: other tools may start while we kill ours."""
    found: dict[str, set[int]] = {kind: set() for kind in ("prog", "map", "link")}
    for info in Path("/proc").glob("[0-9]*/fdinfo/*"):
        with suppress(OSError):
            for kind, number in _HELD.findall(info.read_text()):
                found[kind].add(int(number))
    return found


def _left_since(before: dict[str, set[int]]) -> dict[str, set[int]]:
    """The kernel frees after a grace period; what a living process holds is not ours."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        now, held = _everything(), _held()
        left = {kind: now[kind] - before[kind] - held[kind] for kind in now}
        if not any(left.values()):
            break
        time.sleep(0.2)
    return left


@contextmanager
def _load() -> Iterator[None]:
    """Traffic for as long as the block takes."""
    with open_link(lifetime_s=300) as link, serve(link.server) as port:
        command = traffic_command(
            "pingpong", SERVER_IPV4, port, count=10_000_000, connections=4, timeout=280
        )
        with link.client.popen(command, stderr=subprocess.DEVNULL) as client:
            try:
                yield
            finally:
                client.kill()


def _start(*options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*_COMMAND, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def test_a_hundred_kill_9_under_load_leave_no_program_map_or_link() -> None:
    """At any moment: while it loads, attaches, counts or prints."""
    chance = random.Random(1)  # noqa: S311 - moments to kill at, not secrets
    before = _everything()
    with _load():
        for _ in range(_KILLS // _AT_ONCE):
            running = [
                _start("--by", "raddr,role,service", "-i", "0.1", "--max-groups", "500")
                for _ in range(_AT_ONCE)
            ]
            time.sleep(chance.uniform(0, _START_S))
            for process in running:
                process.kill()
                process.wait()
    assert not any(_left_since(before).values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_an_hour_before_the_next_print_with_a_last_one_and_status_0(
    number: signal.Signals,
) -> None:
    """The signal cuts the wait short: at its end, or the interval's, no test would see it."""
    command = [*_COMMAND, "--json", "-i", "3600"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    first = json.loads(process.stdout.readline())
    time.sleep(0.3)
    process.send_signal(number)
    rest, complaints = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, complaints) == (0, "")
    assert json.loads(rest)["interval_s"] >= first["interval_s"] + 0.3


def test_it_prints_at_once_then_every_interval_and_at_the_end_of_the_duration() -> None:
    """Never early; how late, and what is missed, depends on the machine.

    What the moments are is proved on a made-up clock (tests/unit/test_commands_moments.py).
    """
    with subprocess.Popen([*_COMMAND, "--json", "-i", "0.2"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        seconds = [json.loads(process.stdout.readline())["interval_s"] for _ in range(5)]
        process.kill()
    assert all(found >= 0.2 * turn - ROUNDED_S for turn, found in enumerate(seconds))
    command = [*_COMMAND, "--json", "-i", "3600", "-d", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, last = [json.loads(line)["interval_s"] for line in done.stdout.splitlines()]
    assert last >= 0.5 - ROUNDED_S


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    process = subprocess.Popen(
        [*_COMMAND, "-i", "0.05"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=PATIENCE_S) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_no_descriptor_of_ours_reaches_a_child() -> None:
    """Links are held by descriptor alone: one inherited by accident would outlive us."""
    process = subprocess.Popen([*_COMMAND, "--json", "-i", "60"], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        process.stdout.readline()
        proc = Path("/proc", str(process.pid))
        bpf = [fd.name for fd in (proc / "fd").iterdir() if "bpf" in str(fd.readlink())]
        flags = [(proc / "fdinfo" / fd).read_text() for fd in bpf]
        assert bpf
        assert all(int(text.split("flags:")[1].split()[0], 8) & os.O_CLOEXEC for text in flags)
    finally:
        process.kill()
        process.communicate()
