"""A running `tcpvitals serve`, and what it says; whatever is started here ends with the test."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

PATIENCE_S = 120  # for what happens in its own time, under an emulated CPU
# The installed program itself.
COMMAND = [str(Path(sys.executable).with_name("tcpvitals")), "serve"]


@dataclass(frozen=True)
class Sample:
    """One series at one moment."""

    name: str
    labels: Mapping[str, str]
    value: float


class Page(list[Sample]):
    """What one scrape got."""

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of all series of that name that have these labels."""
        return sum(one.value for one in self._of(name, labels))

    def by(self, name: str, label: str, **labels: str) -> Counter[str]:
        """Return these sums by one more label."""
        found: Counter[str] = Counter()
        for one in self._of(name, labels):
            found[one.labels[label]] += int(one.value)
        return found

    def _of(self, name: str, labels: Mapping[str, str]) -> Iterator[Sample]:
        wanted = labels.items()
        return (one for one in self if one.name == name and wanted <= one.labels.items())


def parse(text: str) -> Page:
    """Read the classic text format with the library's own parser."""
    families = text_string_to_metric_families(text)
    return Page(
        Sample(one.name, one.labels, one.value) for each in families for one in each.samples
    )


class Exporter:
    """A `tcpvitals serve` that answers on a port of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        """Take it over."""
        self.process, self.port = process, port

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Return the status and the text of a page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def wait_until_ready(self) -> None:
        """Until it has refreshed once."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "it does not answer"
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.scrape().sum("tcpvitals_refresh_timestamp_seconds"):
                    return
            time.sleep(0.05)

    def scrape(self) -> Page:
        """Return what a Prometheus would get now."""
        status, text = self.get("/metrics")
        assert status == 200, text
        return parse(text)

    def scrape_after(self, refreshes: int = 1) -> Page:
        """Return what it says after so many whole refreshes from now on."""
        for _ in range(refreshes + 1):
            self.wait_for_refresh()
        return self.scrape()

    def wait_for_refresh(self) -> None:
        """Until what it says is newer than now."""
        before = self._refreshed()
        deadline = time.monotonic() + PATIENCE_S
        while self._refreshed() == before:
            assert self.process.poll() is None
            assert time.monotonic() < deadline, "it does not refresh"
            time.sleep(0.05)

    def _refreshed(self) -> float:
        return self.scrape().sum("tcpvitals_refresh_timestamp_seconds")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it, and return its status and what it wrote to standard error."""
        self.process.send_signal(number)
        return self.result()

    def result(self) -> tuple[int, str]:
        """Wait for its end, and return its status and what it wrote to standard error."""
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def exporter(*options: str, port: int | None = None, **popen: Any) -> Iterator[Exporter]:  # noqa: ANN401 - Popen's own
    """Start one; if nobody ends it, it is killed."""
    port = port or free_port()
    command = ["setpriv", "--pdeathsig", "KILL", *COMMAND, "--listen", f"127.0.0.1:{port}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
    with subprocess.Popen(
        [*command, *options], stdin=subprocess.DEVNULL, text=True, **pipes
    ) as process:
        try:
            yield Exporter(process, port)
        finally:
            process.kill()


def thread_status(pid: int) -> list[dict[str, str]]:
    """Return what /proc says of each thread."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found.append(dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    return found
