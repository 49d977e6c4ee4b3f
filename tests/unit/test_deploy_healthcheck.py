"""deploy/healthcheck.py, run as the image runs it, against a made-up /healthz."""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from test_deploy_contract import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def healthz(status: int, text: str, authorization: str | None = None) -> Iterator[str]:
    """Serve one answer, or 401 to who does not say who they are; gives the address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == authorization
            self.send_response(status if allowed and self.path == "/healthz" else 401)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/healthz"
        server.shutdown()
        thread.join()


def check(url: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Return the status and what was said on standard error."""
    done = subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py", *arguments],
        env={"TCPVITALS_HEALTHZ": url, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("arguments", [(), ("--alive",)])
def test_all_is_well(arguments: tuple[str, ...]) -> None:
    with healthz(200, "ok\n") as url:
        assert check(url, *arguments) == (0, "")


def test_losses_that_rise_are_unhealthy_but_no_reason_to_start_anew() -> None:
    with healthz(503, "losses are rising: recursion\n") as url:
        assert check(url) == (1, f"{url}: 503 losses are rising: recursion")
        assert check(url, "--alive") == (0, "")


@pytest.mark.parametrize("arguments", [(), ("--alive",)])
def test_counting_that_stopped_is_a_reason(arguments: tuple[str, ...]) -> None:
    with healthz(503, "counting stopped: the last refresh was 40 s ago\n") as url:
        status, said = check(url, *arguments)
    assert status == 1
    assert said.endswith("503 counting stopped: the last refresh was 40 s ago")


def test_nobody_answers() -> None:
    with healthz(200, "ok\n") as url:
        pass
    status, said = check(url, "--alive")
    assert status == 1
    assert "Connection refused" in said


def test_the_user_and_the_password_are_those_of_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    pair = base64.b64encode(b"scraper:s3cret").decode()
    with healthz(200, "ok\n", f"Basic {pair}") as url:
        assert check(url, TCPVITALS_USER="scraper", TCPVITALS_PASSWORD_FILE=str(secret))[0] == 0
        assert check(url)[0] == 1
