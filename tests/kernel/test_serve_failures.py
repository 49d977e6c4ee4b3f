"""What stops `tcpvitals serve`, and what must not: a status, one line, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from conftest import IN_VM
from serve_lab import COMMAND, PATIENCE_S, Exporter, exporter, free_port
from test_startup_failures import FAILURES, MAY_READ, NOBODY, complaint, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(IN_VM, reason="each run takes an emulated CPU many seconds")

OPTIONS: Final = ("--refresh", "0.2")
# As most users have it: else a write that fails leaves nothing behind to fail again at the end.
BUFFERED: Final = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
INTERRUPTED: Final = 130


def ends(*options: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run one that is expected to end by itself."""
    return run(*wrapper, *COMMAND, "--listen", f"127.0.0.1:{free_port()}", *options)


# --- what stops it ---------------------------------------------------------------------------


def test_a_port_that_is_taken_is_found_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # Who may not load anything would be told that first.
        done = run(*NOBODY, *MAY_READ, *COMMAND, "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 18
    assert complaint(done).startswith(f"cannot listen on 127.0.0.1:{port}: port {port} is taken")


@pytest.mark.parametrize(
    "why", ["an ordinary user", "root without CAP_PERFMON", "BTF hidden", "libbpf absent"]
)
def test_what_the_host_lacks_is_told_as_to_every_other_command(why: str) -> None:
    how, status, said = FAILURES[why]
    done = ends(wrapper=how)
    assert done.returncode == status, done.stderr
    assert said in complaint(done)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('quiet = true\nrefresh = "soon"\n', 2, "'soon' is not a number of seconds"),
        ("quiet = true\n\nmax-group = 5\n", 3, "max-group"),
        ("quiet = true\nrefresh = \n", 2, ""),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    done = ends("--config", str(config))
    assert done.returncode == 2
    assert f"{config}:{line}: " in complaint(done)
    assert said in complaint(done)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--user", "nobody-of-that-name"), "nobody-of-that-name"),
        (("--config", "/nowhere/config.toml"), "/nowhere/config.toml"),
        (("--web.config.file", "/nowhere/web.yml"), "/nowhere/web.yml"),
        (("--listen", "0.0.0.0:0"), "--insecure-listen"),
        (("--listen", "example.org:2112"), "'example.org:2112' is not ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_is_bad_usage(options: tuple[str, str], said: str) -> None:
    done = ends(*options)
    assert done.returncode == 2
    assert said in complaint(done)


# --- what does not ---------------------------------------------------------------------------


@contextlib.contextmanager
def broken_pipe() -> Iterator[int]:
    """Return the writing end of a pipe that nobody reads any more."""
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "wb"):
        yield writable


@contextlib.contextmanager
def full() -> Iterator[int]:
    """Return a file on a disk that is full."""
    with Path("/dev/full").open("w") as file:
        yield file.fileno()


@contextlib.contextmanager
def stuck() -> Iterator[int]:
    """Return a pipe that is full, and that nobody reads."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writable, bytes(4096))
    os.set_blocking(writable, True)
    with os.fdopen(readable), os.fdopen(writable, "wb"):
        yield writable


@contextlib.contextmanager
def absent() -> Iterator[None]:
    """Return no file at all."""
    yield


NOWHERE: Final = {
    "closed pipe": broken_pipe,
    "full disk": full,
    "full pipe": stuck,
    "no stream": absent,
}


def test_it_serves_on_when_what_it_writes_has_nowhere_to_go(tmp_path: Path) -> None:
    """Each stream in each way, all at once: they show their tables and complain, into that."""
    config = tmp_path / "config.toml"
    config.write_text("")
    with contextlib.ExitStack() as stack:
        started = {
            (stream, where): stack.enter_context(
                writing_to(stream, stack.enter_context(made()), "--config", str(config))
            )
            for stream in ("stdout", "stderr")
            for where, made in NOWHERE.items()
        }
        for one in started.values():
            one.wait_until_ready()
        config.write_text("nonsense")
        for _ in range(2):
            for one in started.values():
                one.process.send_signal(signal.SIGHUP)
            for one in started.values():
                one.scrape_after()
        healths = {case: one.get("/healthz") for case, one in started.items()}
        ends = {case: one.end()[0] for case, one in started.items()}
    assert healths == dict.fromkeys(started, (200, "ok\n"))
    assert ends == dict.fromkeys(started, 0)


def writing_to(
    stream: str, descriptor: int | None, *options: str
) -> contextlib.AbstractContextManager[Exporter]:
    """Start one with this as one of its streams, or without that stream."""
    if descriptor is not None:
        return exporter(*OPTIONS, *options, env=BUFFERED, **{stream: descriptor})
    number = {"stdout": 1, "stderr": 2}[stream]
    return exporter(*OPTIONS, *options, env=BUFFERED, preexec_fn=lambda: os.close(number))


def test_a_duration_ends_it() -> None:
    done = ends("--duration", "0.5", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- signals ---------------------------------------------------------------------------------


def mask(started: Exporter, name: str) -> int:
    """Return which signals are caught or ignored; none while it is not even that program."""
    for line in Path(f"/proc/{started.process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def wait_for_signal(started: Exporter, name: str, number: int) -> None:
    """Until that signal is caught or ignored."""
    deadline = time.monotonic() + PATIENCE_S
    while not mask(started, name) & 1 << number - 1:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_sighup_while_it_starts_is_no_reason_to_end() -> None:
    with exporter(*OPTIONS) as started:
        wait_for_signal(started, "SigIgn", signal.SIGHUP)
        for _ in range(40):
            started.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        started.wait_until_ready()
        status, stderr = started.end()
    assert status == 0
    assert {line.split(": ", 1)[1] for line in stderr.splitlines()} <= {"SIGHUP: nothing changed"}


def test_a_shorter_interval_need_not_wait_for_the_end_of_the_longer_one(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("refresh = 3600\n")
    with exporter("--quiet", "--config", str(config)) as started:
        started.wait_until_ready()
        config.write_text("refresh = 0.2\n")
        started.process.send_signal(signal.SIGHUP)
        started.scrape_after(2)
        assert started.end() == (0, "tcpvitals: SIGHUP: --refresh changed\n")


def test_started_with_sighup_ignored_it_still_reads_its_file_again() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with exporter(*OPTIONS, preexec_fn=ignore) as started:
        started.wait_until_ready()
        started.process.send_signal(signal.SIGHUP)
        started.scrape_after()
        assert started.end() == (0, "tcpvitals: SIGHUP: nothing changed\n")


def test_asked_to_end_while_it_starts_it_ends_as_it_should() -> None:
    """Five that start at once are asked one after the other."""
    pauses_s = (0, 0.1, 0.1, 0.2, 0.4)
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(exporter(*OPTIONS)) for _ in pauses_s]
        for one, pause_s in zip(started, pauses_s, strict=True):
            wait_for_signal(one, "SigCgt", signal.SIGTERM)
            time.sleep(pause_s)
            one.process.send_signal(signal.SIGTERM)
        assert [one.result() for one in started] == [(0, "")] * len(started)


def test_before_it_has_begun_a_signal_just_ends_it() -> None:
    with exporter(*OPTIONS) as started:
        time.sleep(0.05)
        status, stderr = started.end()
    assert status in {-signal.SIGTERM, 0}
    assert stderr == ""


def test_a_second_request_to_end_does_not_wait_for_slow_readers() -> None:
    with exporter(*OPTIONS, "--by", "raddr,lport,rport") as started, socket.socket() as slow:
        started.wait_until_ready()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", started.port))
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        assert slow.recv(1)  # it answers
        started.process.send_signal(signal.SIGTERM)
        wait_until_refused(started.port)
        assert started.process.poll() is None
        assert started.end() == (INTERRUPTED, "")  # having waited for the slow one, it ends with 0


def wait_until_refused(port: int) -> None:
    """Until it listens no more: it has read the first signal."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
        except ConnectionRefusedError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)
