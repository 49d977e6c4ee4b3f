"""`tcpvitals serve` and its clients: slow ones, hostile ones, those that must say who they are."""

from __future__ import annotations

import base64
import contextlib
import http.client
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import bcrypt
import pytest
from conftest import IN_VM
from serve_lab import PATIENCE_S, Exporter, exporter, free_port, parse
from test_serve_prometheus import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.skipif(IN_VM, reason="on an emulated CPU every client is a slow one")

OPTIONS: Final = ("--refresh", "0.5", "--quiet")
CLIENTS: Final = 200
ANSWERS: Final = 20
PASSWORD: Final = "correct horse"  # noqa: S105 - made up
MEGABYTE: Final = 1_000_000


# --- slow ones -------------------------------------------------------------------------------


@dataclass
class Dribblers:
    """Clients that send one byte a second each, and come back when they are thrown out."""

    port: int
    stop: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)
    returned: int = 0

    def run(self) -> None:
        """Dribble until told to stop."""
        self.sockets = [self._dial() for _ in range(CLIENTS)]
        while not self.stop.wait(1):
            for at, one in enumerate(self.sockets):
                try:
                    one.send(b"G")
                except OSError:
                    one.close()
                    self.sockets[at] = self._dial()
                    self.returned += 1
        for one in self.sockets:
            one.close()

    def _dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)


@contextlib.contextmanager
def dribbling(port: int) -> Iterator[Dribblers]:
    """Have them there for as long as the block takes."""
    crowd = Dribblers(port)
    thread = threading.Thread(target=crowd.run)
    thread.start()
    try:
        yield crowd
    finally:
        crowd.stop.set()
        thread.join()


def usage(started: Exporter) -> tuple[int, int]:
    """Return how many threads and descriptors it has."""
    proc = Path(f"/proc/{started.process.pid}")
    return len(list((proc / "task").iterdir())), len(list((proc / "fd").iterdir()))


def test_two_hundred_dribbling_clients_do_not_keep_an_honest_one_waiting() -> None:
    """It is answered while all of them still have their first request to send."""
    with exporter(*OPTIONS) as started:
        started.wait_until_ready()
        started.scrape()
        before, most = usage(started), (0, 0)
        with dribbling(started.port) as crowd:
            for _ in range(ANSWERS):
                answered_before_any_of(crowd, started)
                now = usage(started)
                most = max(most[0], now[0]), max(most[1], now[1])
        assert most[0] <= before[0] + 1
        assert CLIENTS / 2 <= most[1] - before[1] <= CLIENTS + 10
        wait_until_back(started, before)
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end() == (0, "")


def answered_before_any_of(crowd: Dribblers, started: Exporter) -> None:
    """Ask until no dribbler is thrown out meanwhile: one that waits for them never is so lucky."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        thrown_out = crowd.returned
        started.scrape()
        if len(crowd.sockets) == CLIENTS and crowd.returned == thrown_out:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_back(started: Exporter, before: tuple[int, int]) -> None:
    """Until it has no more threads and descriptors than before."""
    deadline = time.monotonic() + PATIENCE_S
    while not all(now <= then for now, then in zip(usage(started), before, strict=True)):
        assert time.monotonic() < deadline, (usage(started), before)
        time.sleep(0.1)


# --- hostile ones ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> Iterator[Exporter]:
    """Return one without TLS or users."""
    with exporter(*OPTIONS) as started:
        started.wait_until_ready()
        yield started
        assert started.get("/healthz") == (200, "ok\n")
        assert started.end() == (0, "")


def status(started: Exporter, request: bytes) -> int:
    """Return what a request, as it is sent, is answered with."""
    with socket.create_connection(("127.0.0.1", started.port), timeout=PATIENCE_S) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        answer = client.recv(100)
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer.split()[1])


def request(
    method: str = "GET", path: str = "/metrics", host: str = "localhost", more: str = ""
) -> bytes:
    """Return a request."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode("latin-1")


REFUSED: Final[Mapping[str, tuple[bytes, int]]] = {
    "a foreign name": (request(host="rebound.example"), 421),
    "a foreign name with our port": (request(host="rebound.example:2112"), 421),
    "a foreign address": (request(host="192.0.2.1"), 421),
    "no name": (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
    "POST": (request("POST"), 405),
    "PUT with a body": (request("PUT", more="Content-Length: 3\r\n") + b"abc", 405),
    "DELETE": (request("DELETE"), 405),
    "CONNECT": (request("CONNECT", "example.org:443"), 405),
    "TRACE": (request("TRACE"), 405),
    "traversal": (request(path="/../../etc/passwd"), 404),
    "hidden traversal": (request(path="/metrics/%2e%2e/%2e%2e/etc/passwd"), 404),
    "traversal with a NUL": (request(path="/%00/../metrics"), 404),
    "another path": (request(path="/metrics/"), 404),
    "a body": (request(more="Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 413),
    "a long header": (request(more=f"X-Long: {'x' * MEGABYTE}\r\n"), 431),
    "a long path": (request(path="/" + "x" * MEGABYTE), 431),
    "many headers": (request(more="X-Many: x\r\n" * (MEGABYTE // 11)), 431),
    "nonsense": (b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 100 + b"\r\n\r\n", 400),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_business_of_anybodys_is_refused(plain: Exporter, what: str) -> None:
    sent, expected = REFUSED[what]
    assert status(plain, sent) == expected
    assert status(plain, request()) == 200


# --- those who must say who they are ---------------------------------------------------------


@dataclass(frozen=True)
class Protected:
    """One with TLS and a user, and what its clients must know."""

    exporter: Exporter
    certificate: Path
    web: Path

    def get(self, password: str = PASSWORD) -> tuple[int, str]:
        """Return the status and the text of its metrics."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        client = http.client.HTTPSConnection(
            "localhost", self.exporter.port, timeout=PATIENCE_S, context=context
        )
        secret = base64.b64encode(f"scraper:{password}".encode()).decode()
        with contextlib.closing(client):
            client.request("GET", "/metrics", headers={"Authorization": f"Basic {secret}"})
            answer = client.getresponse()
            return answer.status, answer.read().decode()

    def wait_until_ready(self) -> None:
        """Until it has refreshed once."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.exporter.process.poll() is None, self.exporter.process.communicate()
            with contextlib.suppress(OSError, http.client.HTTPException):
                if parse(self.get()[1]).sum("tcpvitals_refresh_timestamp_seconds"):
                    return
            time.sleep(0.1)


def certify(folder: Path) -> Path:
    """Make a certificate for this host, and its key beside it."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-nodes", "-days", "1", "-keyout", "web.key", "-out", "web.crt"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True, cwd=folder)
    return folder / "web.crt"


@contextlib.contextmanager
def open_protected(folder: Path) -> Iterator[Protected]:
    """Start one with TLS and a user, on an address that others could reach."""
    certificate, web, port = certify(folder), folder / "web.yml", free_port()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode()
    web.write_text(
        "tls_server_config:\n  cert_file: web.crt\n  key_file: web.key\n"
        f"basic_auth_users:\n  scraper: {hashed}\n"
    )
    everywhere = ("--listen", f"0.0.0.0:{port}", "--web.config.file", str(web))
    with exporter(*OPTIONS, *everywhere, port=port) as started:
        one = Protected(started, certificate, web)
        one.wait_until_ready()
        yield one


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Protected]:
    """Return one that clients ask, and nothing else happens to."""
    with open_protected(tmp_path_factory.mktemp("protected")) as one:
        yield one
        assert one.exporter.end() == (0, "")


def test_curl_is_let_in_with_the_password_over_tls_and_not_otherwise(protected: Protected) -> None:
    port = protected.exporter.port
    trust = ("--cacert", str(protected.certificate))
    right = ("--user", f"scraper:{PASSWORD}")

    def curl(*options: str, scheme: str = "https") -> tuple[int, str]:
        output = ("--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
        url = f"{scheme}://localhost:{port}/metrics"
        done = subprocess.run(
            ["curl", "-4", "--max-time", "30", *output, *options, url],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert curl(*trust, *right) == (0, "200")
    assert curl(*trust) == (0, "401")
    assert curl(*trust, "--user", "scraper:wrong") == (0, "401")
    assert curl(*trust, "--user", f"nobody:{PASSWORD}") == (0, "401")
    assert curl(*right) == (60, "000")  # who does not trust the certificate
    assert curl(*trust, *right, "--tls-max", "1.1")[1] == "000"
    assert curl(*right, scheme="http")[1] == "000"


JOB: Final = """
  - job_name: {name}
    scheme: https
    tls_config:
      ca_file: {certificate}
    basic_auth:
      username: scraper
      password: {password}
    static_configs:
      - targets: [127.0.0.1:2112]
"""


def test_a_prometheus_with_the_password_is_let_in_and_one_with_another_is_not(
    protected: Protected, tmp_path: Path
) -> None:
    jobs = (
        JOB.format(name=name, certificate=protected.certificate, password=password)
        for name, password in (("right", PASSWORD), ("wrong", "battery staple"))
    )
    config = tmp_path / "prometheus.yml"
    config.write_text("global:\n  scrape_interval: 1s\nscrape_configs:" + "".join(jobs))
    with prometheus(tmp_path, protected.exporter.port) as asked:
        assert asked.wait_for('up{job="right"} == 1') == [1]
        assert asked.wait_for('up{job="wrong"}') == [0]
        assert asked.wait_for('tcpvitals_build_info{job="right"}') == [1]
        assert asked.query('tcpvitals_build_info{job="wrong"}') == []


def put(file: Path, text: str) -> None:
    """Replace a file at once: half of one, read in between, would be told as well."""
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)


def test_a_web_config_that_breaks_is_told_with_its_line_and_the_old_one_stays(
    tmp_path: Path,
) -> None:
    with open_protected(tmp_path) as one:
        text = one.web.read_text()
        put(one.web, text.replace("basic_auth_users", "basic_auth_user"))
        one.exporter.process.send_signal(signal.SIGHUP)
        assert one.get()[0] == 200
        assert one.get("wrong")[0] == 401
        put(one.web, text.replace("scraper:", "other:"))
        assert one.get()[0] == 401
        ended, stderr = one.exporter.end()
    assert ended == 0
    [told] = {line for line in stderr.splitlines() if "SIGHUP" not in line}
    assert told.startswith(f"tcpvitals: {one.web}:4: ")
    assert told.endswith("(what was in force before stays in force)")


def test_a_configuration_that_breaks_is_told_with_its_line_and_nothing_changes(
    tmp_path: Path,
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("refresh = 0.5\n")
    with exporter("--quiet", "--config", str(config)) as started:
        started.wait_until_ready()
        config.write_text("refresh = 0.5\nidle = = 3\n")
        started.process.send_signal(signal.SIGHUP)
        started.scrape_after()
        assert started.get("/healthz") == (200, "ok\n")
        ended, stderr = started.end()
    assert ended == 0
    [told] = stderr.splitlines()
    assert told.startswith(f"tcpvitals: SIGHUP: {config}:2: ")
    assert told.endswith("(nothing was changed)")


def test_an_address_that_others_can_reach_takes_a_word_that_it_is_meant() -> None:
    port = free_port()
    everywhere = ("--listen", f"0.0.0.0:{port}")
    with exporter(*OPTIONS, *everywhere, port=port) as refused:
        _, stderr = refused.process.communicate(timeout=PATIENCE_S)
        assert refused.process.returncode == 2
        assert f"tcpvitals: --listen 0.0.0.0:{port} can be reached from other hosts" in stderr
        assert stderr.count("\n") == 1
    with exporter(*OPTIONS, *everywhere, "--insecure-listen", port=port) as started:
        started.wait_until_ready()
        assert started.end() == (0, "")
