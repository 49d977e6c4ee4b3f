"""A running `tcpvitals serve`, as a user starts it: what it takes, and how soon it answers."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from errors import CannotRunError
from process import COMMAND, cpu_ns

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_S: Final = 30
# What Prometheus sends.
_ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
_MEMORY: Final = ("VmRSS", "RssAnon", "RssFile", "RssShmem")


@dataclass(frozen=True, slots=True)
class Memory:
    """What of a process is in memory, in millions of bytes, and of what kind.

    Counters are the kernel's memory, which we map: they are in `file`, as libraries are.
    """

    total: float
    anonymous: float
    file: float
    shared: float

    @classmethod
    def of(cls, pid: int) -> Memory:
        """That of a process, at this moment."""
        status = Path(f"/proc/{pid}/status").read_text()
        kib = dict(re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE))
        return cls(*(int(kib[name]) * 1024 / 1e6 for name in _MEMORY))


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape got, and how long that took, with what the client takes itself."""

    seconds: float
    body: bytes
    compressed: bool

    def text(self) -> str:
        """What it says."""
        return (gzip.decompress(self.body) if self.compressed else self.body).decode()

    def expect(self, name: str, least: float) -> None:
        """Be sure that the sum of all series of a name is at least that.

        Raises:
            CannotRunError: what was to be measured did not come about.
        """
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)", self.text(), re.MULTILINE)
        found = sum(map(float, values))
        if found < least:
            message = f"{name} is {found:.0f}, and was to be {least:.0f}"
            raise CannotRunError(message)

    def series(self) -> int:
        """How many there are."""
        return sum(not line.startswith("#") for line in self.text().splitlines())


class Scraper:
    """A client that keeps its connection."""

    def __init__(self, port: int, *, compressed: bool) -> None:
        """Connect with the first scrape."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
        self._headers = {"Accept": _ACCEPT}
        if compressed:
            self._headers["Accept-Encoding"] = "gzip"

    def get(self, path: str = "/metrics") -> Scrape:
        """Ask for a page.

        Raises:
            CannotRunError: there was another answer.
            OSError: there was none.
        """
        start = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - start
        if answer.status != http.HTTPStatus.OK:
            message = f"{path}: {answer.status} {body[:80].decode(errors='replace').strip()}"
            raise CannotRunError(message)
        return Scrape(seconds, body, answer.getheader("Content-Encoding") == "gzip")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Exporter:
    """The handle of one that serves."""

    def __init__(self, pid: int, port: int) -> None:
        """Describe it."""
        self.pid, self._port = pid, port

    @contextlib.contextmanager
    def scraped(self, *, compressed: bool = True) -> Iterator[Scraper]:
        """Have a client."""
        with contextlib.closing(Scraper(self._port, compressed=compressed)) as scraper:
            yield scraper

    def cpu_s(self, for_s: float, scraper: Scraper | None = None, every_s: float = 1) -> float:
        """CPU seconds of all its threads, user and system, in the next `for_s` seconds.

        If there is a scraper, it comes in the middle of each `every_s` of those.
        """
        start, before = time.monotonic(), cpu_ns(self.pid)
        if scraper:
            for number in range(round(for_s / every_s)):
                sleep_until(start + (number + 0.5) * every_s)
                scraper.get()
        sleep_until(start + for_s)
        return (cpu_ns(self.pid) - before) / 1e9


def sleep_until(moment_s: float) -> None:
    """Of the monotonic clock; a moment that is over is no error."""
    time.sleep(max(0, moment_s - time.monotonic()))


@contextlib.contextmanager
def open_exporter(*options: str) -> Iterator[Exporter]:
    """Start one, on a port of its own, with a refresh each second; it ends with the block.

    Raises:
        CannotRunError: it ended, or does not answer.
    """
    port = _free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--refresh", "1"]
    command = ["setpriv", "--pdeathsig", "KILL", str(COMMAND), "serve", *listen, *options]
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _wait_until_ready(process, port)
            yield Exporter(process.pid, port)
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    """It answers only once everything is attached; /metrics is left to those who measure it."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr else ""
            message = f"tcpvitals serve ended: {said.strip()}"
            raise CannotRunError(message)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(Scraper(port, compressed=False)) as scraper,
        ):
            scraper.get("/healthz")
            return
        time.sleep(0.05)
    message = f"tcpvitals serve does not answer on port {port}"
    raise CannotRunError(message)
