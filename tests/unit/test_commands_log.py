"""The log of `serve`: no line makes its author wait, and what is lost is counted and reported."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import F_SETPIPE_SZ, fcntl
from typing import TYPE_CHECKING

import pytest
from web_client import PATIENCE_S, until

from tcpvitals.commands.background import BackgroundWriter
from tcpvitals.commands.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

PAGE = 4096


@dataclass
class Pipe:
    """A pipe of one page: what may be read of it, and the stream that is written to."""

    readable: int
    stream: TextIO

    def read_all(self, until_text: str) -> str:
        """Read until that text was there."""
        data = b""
        while until_text.encode() not in data:
            assert select.select([self.readable], [], [], PATIENCE_S)[0], data[-200:]
            data += os.read(self.readable, 1 << 16)
        return data.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a pipe that has room for a page."""
    readable, writable = os.pipe()
    fcntl(writable, F_SETPIPE_SZ, PAGE)
    with os.fdopen(writable, "w") as stream:
        yield Pipe(readable, stream)
    os.close(readable)


def returns(call: Callable[[], object]) -> bool:
    """Whether a call comes to its end, with the pipe as it is."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()


def test_a_long_line_into_a_pipe_that_is_not_read_makes_nothing_wait(pipe: Pipe) -> None:
    log = Log(pipe.stream)
    with log:
        assert returns(lambda: deque(map(log.report, (letter * 40_000 for letter in "abc"))))
        lines = pipe.read_all("ccc... (cut)\n").splitlines(keepends=True)
    assert [len(line) for line in lines] == [select.PIPE_BUF] * 3
    assert {line[:14] for line in lines} == {f"tcpvitals: {letter * 3}" for letter in "abc"}
    assert {line[-11:] for line in lines} == {f"{letter}... (cut)\n" for letter in "abc"}


def test_lines_without_room_are_counted_and_reported_in_their_place(pipe: Pipe) -> None:
    log = Log(pipe.stream)
    with log:
        assert returns(
            lambda: deque(map(log.report, (f"{number:04}" * 1000 for number in range(200))))
        )
        first = pipe.read_all("lines lost: ")
        log.report("afterwards")
        lines = (first + pipe.read_all("afterwards\n")).splitlines()
    whole = [line for line in lines if line[11:15].isdecimal()]
    assert [line[11:15] for line in whole] == [f"{number:04}" for number in range(len(whole))]
    # One is with the thread and one in the pipe; of the others 256 KiB wait.
    assert 60 <= len(whole) <= 70
    lost = 200 - len(whole)
    assert lines[len(whole) :] == [f"tcpvitals: log lines lost: {lost}", "tcpvitals: afterwards"]


def test_what_waits_is_bounded_by_bytes(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.stream, lambda lost: f"{lost} lost\n", most_bytes=100)
    for _ in range(50):
        writer.write("x" * 9 + "\n")
    assert writer._waiting_bytes == 100  # noqa: SLF001 the structure's size is the bound
    with writer:
        assert pipe.read_all("lost\n") == ("x" * 9 + "\n") * 10 + "40 lost\n"


def test_lines_that_could_not_be_written_are_reported_once_they_can_be(tmp_path: Path) -> None:
    with sometimes_full(tmp_path) as (stream, replace), Log(stream) as log:
        for _ in range(3):
            log.report("lost")
        writer = log._writer  # noqa: SLF001 to know that it has tried
        assert until(lambda: writer._lost == 3)  # noqa: SLF001
        replace()
        log.report("written")
    text = (tmp_path / "log").read_text()
    assert text == "tcpvitals: log lines lost: 3\ntcpvitals: written\n"


@contextmanager
def sometimes_full(folder: Path) -> Iterator[tuple[TextIO, Callable[[], None]]]:
    """Return a stream on a full disk, and what makes it a file with room."""
    with open("/dev/full", "w") as stream, (folder / "log").open("w") as file:  # noqa: PTH123 a device
        yield stream, lambda: (os.dup2(file.fileno(), stream.fileno()), None)[1]


def test_the_end_waits_for_lines_that_can_be_written_and_not_for_others(pipe: Pipe) -> None:
    with Log(pipe.stream) as log:
        log.report("last")
    assert os.read(pipe.readable, PAGE) == b"tcpvitals: last\n"
    stuck = Log(pipe.stream)

    def report_and_end() -> None:
        with stuck:
            for _ in range(10):
                stuck.report("x" * PAGE)

    assert returns(report_and_end)


def test_without_standard_error_nothing_is_kept() -> None:
    with Log(None) as log:
        log.report("nowhere")
        assert not log._writer._waiting  # noqa: SLF001 nothing else shows it


def test_a_stream_that_is_not_blocking_gets_everything_too(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    with Log(pipe.stream) as log:
        for number in range(20):
            log.report(f"{number} " + "x" * 2000)
        log.report("end")
        lines = pipe.read_all("end\n").splitlines()
    assert [line.split()[1] for line in lines] == [*map(str, range(20)), "end"]
