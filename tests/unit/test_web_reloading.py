"""A web config that changes while it is served: whole or not at all, and never in anybody's way."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest
from web_client import serving

from tcpvitals.sinks.web import reloading
from tcpvitals.sinks.web.reloading import WebConfigFile
from tcpvitals.sinks.web.webconfig import read_web_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tcpvitals.sinks.web.webconfig import WebConfig

GOOD = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n"
BETTER = GOOD.replace("deny", "sameorigin")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a web config that is good."""
    (tmp_path / "web.yml").write_text(GOOD)
    return tmp_path / "web.yml"


def replace(file: Path, make: Callable[[Path], object]) -> None:
    """Put something else in a file's place."""
    file.unlink()
    make(file)


BAD = {
    "a fifo": os.mkfifo,
    "an endless device": lambda file: file.symlink_to("/dev/zero"),
    "a directory": lambda file: file.mkdir(),
    "a large file": lambda file: file.write_bytes(b"#" * 65_537),
    "nonsense": lambda file: file.write_text("a: ["),
    "bytes": lambda file: file.write_bytes(b"\xff\xfe\x00"),
    "deep": lambda file: file.write_text("[" * 60_000),
    "a null byte in a path": lambda file: file.write_text(
        'tls_server_config: {cert_file: "a\\0b", key_file: c}'
    ),
    "a number of 4400 digits": lambda file: file.write_text(
        f"rate_limit: {{interval: 1s, burst: {'4' * 4400}}}"
    ),
    "an interval of 1200 digits": lambda file: file.write_text(
        f"rate_limit: {{interval: {'1' * 1200}, burst: 1}}"
    ),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD)
def test_what_is_no_web_config_is_reported_once_and_the_one_before_stays(
    file: Path, make: Callable[[Path], object]
) -> None:
    with serving(web_config=file) as server:
        replace(file, make)
        for _ in range(3):
            assert server.ask().headers["x-frame-options"] == "deny"
        assert len(server.reports) == 1
        assert server.reports[0].endswith("(what was in force before stays in force)")


def test_a_change_is_adopted_by_the_next_request(file: Path) -> None:
    with serving(web_config=file) as server:
        file.write_text(BETTER)
        assert server.ask().headers["x-frame-options"] == "sameorigin"
        assert server.reports == []


class Reading:
    """Counts how often the web config is read, and holds the reading up when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the real reading."""
        self.times = 0
        self.go_on = threading.Event()
        self.go_on.set()
        self._read = read_web_config
        monkeypatch.setattr(reloading, "read_web_config", self)

    def __call__(self, file: Path) -> WebConfig:
        """Read."""
        self.times += 1
        assert self.go_on.wait(60)
        return self._read(file)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    """Watch the reading of web configs."""
    return Reading(monkeypatch)


def test_a_file_that_takes_long_to_read_holds_no_request_up(
    file: Path, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "_PATIENCE_S", 0.01)
    with serving(web_config=file) as server:
        reading.go_on.clear()
        file.write_text(BETTER)
        assert [server.ask().headers["x-frame-options"] for _ in range(3)] == ["deny"] * 3
        reading.go_on.set()
        monkeypatch.setattr(reloading, "_PATIENCE_S", 60)
        assert server.ask().headers["x-frame-options"] == "sameorigin"
    assert reading.times == 2


def follow(web: WebConfigFile, times: int) -> None:
    """Ask for the web config as so many requests do, one after the other."""

    async def ask() -> None:
        for _ in range(times):
            await web.follow()

    asyncio.run(ask())


def test_what_does_not_change_is_read_once(file: Path, reading: Reading) -> None:
    follow(WebConfigFile(file, pytest.fail), 5)
    assert reading.times == 1


def test_a_change_of_permissions_alone_has_it_read_again(file: Path, reading: Reading) -> None:
    web = WebConfigFile(file, pytest.fail)
    file.chmod(0o640)
    follow(web, 5)
    assert reading.times == 2


def test_the_same_file_is_read_again_when_the_service_is_told_to_reload(
    file: Path, reading: Reading
) -> None:
    web = WebConfigFile(file, pytest.fail)
    web.move_to(file)
    follow(web, 5)
    assert reading.times == 2


def test_a_certificate_that_was_missing_is_found_when_it_is_there(
    file: Path, reading: Reading
) -> None:
    reports: list[str] = []
    web = WebConfigFile(file, reports.append)
    file.write_text("tls_server_config: {cert_file: new.crt, key_file: new.key}")
    follow(web, 3)
    assert (reading.times, len(reports)) == (2, 1)
    (file.parent / "new.key").write_text("")
    follow(web, 3)
    assert (reading.times, len(reports)) == (3, 2)
