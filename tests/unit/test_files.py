"""Files that a user names: regular ones are read whole, and nothing else makes the reader wait."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tcpvitals.files import FileError, read_file

if TYPE_CHECKING:
    from pathlib import Path


def refusal(path: str | Path, most_bytes: int = 4096) -> str:
    """Return why a file cannot be read."""
    with pytest.raises(FileError) as raised:
        read_file(path, most_bytes)
    return str(raised.value)


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_a_file_is_read_whole_up_to_the_limit(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert read_file(tmp_path / "file", 4096) == data


def test_a_file_past_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4097))
    assert refusal(tmp_path / "file") == "more than 4 KiB"


def test_a_fifo_without_a_writer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "not a regular file"


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty", "/"])
def test_devices_and_directories_are_refused(path: str) -> None:
    assert refusal(path) in ("not a regular file", os.strerror(6))  # no terminal: ENXIO


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(tmp_path / "socket"))
        assert refusal(tmp_path / "socket") == os.strerror(6)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No such file or directory"),
        ("a\0b", "no file can have this name"),
        ("\ud800", "no file can have this name"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path: Path, name: str, why: str) -> None:
    assert refusal(tmp_path / name) == why


@pytest.mark.parametrize("name", ["missing", "fifo", "large"])
def test_no_descriptor_is_left_open(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(bytes(5000))
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 no path object for each of them
    refusal(tmp_path / name)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
