"""The first signal asks for an orderly end, the second does not ask."""

from __future__ import annotations

import math
import os
import pty
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tcpvitals.commands.stopping import StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR_AWAY_S = 3600


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    """Return a request that has the signals, and give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield StopRequest()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_a_signal_the_deadline_ends_the_wait(stop: StopRequest) -> None:
    deadline = time.monotonic() + 0.02
    assert stop.wait_until(deadline) is False
    assert time.monotonic() >= deadline
    assert stop.made is False


def test_a_deadline_that_is_over_is_not_waited_for(stop: StopRequest) -> None:
    assert stop.wait_until(time.monotonic() - FAR_AWAY_S) is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_every_one_after_it(
    stop: StopRequest, number: signal.Signals
) -> None:
    os.kill(os.getpid(), number)
    assert stop.made is True
    for _ in range(2):
        assert stop.wait_until(time.monotonic() + FAR_AWAY_S) is True


@pytest.mark.parametrize(
    ("number", "shown"), [(signal.SIGINT, b"^C\r\nnext\r\n"), (signal.SIGTERM, b"^Cnext\r\n")]
)
def test_after_ctrl_c_output_begins_on_a_new_line_of_a_terminal(
    stop: StopRequest, number: signal.Signals, shown: bytes
) -> None:
    """Where the terminal has just written ^C; even if the output was already on its way."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        stop = StopRequest(terminal)
        terminal.write("^C")
        terminal.flush()
        os.kill(os.getpid(), number)
        terminal.write("next\n")
        terminal.flush()
        assert stop.wait_until(time.monotonic() + FAR_AWAY_S) is True
        found = b""
        while b"next\r\n" not in found:
            found += os.read(ours, 100)
    os.close(ours)
    assert found == shown


def test_after_ctrl_c_nothing_is_added_to_what_is_no_terminal(
    stop: StopRequest, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    with os.fdopen(os.dup(writer), "w") as stream:
        stop = StopRequest(stream)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait_until(time.monotonic() + FAR_AWAY_S) is True
        stream.write("next\n")
        stream.flush()
    assert os.read(reader, 100) == b"next\n"


def test_a_signal_in_the_middle_of_a_wait_ends_it(stop: StopRequest) -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        assert stop.wait_until(time.monotonic() + FAR_AWAY_S) is True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts_whatever_is_going_on(
    stop: StopRequest, second: signal.Signals
) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.made is True
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), second)


# --- something to be read meanwhile ------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return a pipe's two ends: to read from, and to write to."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_what_is_there_to_be_read_ends_the_wait_and_is_no_signal(
    stop: StopRequest, pipe: tuple[int, int]
) -> None:
    readable, writable = pipe
    os.write(writable, b"!")
    began = time.monotonic()
    assert stop.wait_until(began + FAR_AWAY_S, readable) is False
    assert time.monotonic() < began + FAR_AWAY_S
    assert os.read(readable, 2) == b"!"


def test_what_comes_in_the_middle_of_a_wait_ends_it(
    stop: StopRequest, pipe: tuple[int, int]
) -> None:
    readable, writable = pipe
    previous = signal.signal(signal.SIGALRM, lambda *_: os.write(writable, b"!"))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        assert stop.wait_until(math.inf, readable) is False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_while_there_is_nothing_to_be_read_the_deadline_ends_the_wait(
    stop: StopRequest, pipe: tuple[int, int]
) -> None:
    deadline = time.monotonic() + 0.02
    assert stop.wait_until(deadline, pipe[0]) is False
    assert time.monotonic() >= deadline


def test_a_signal_is_told_from_what_is_there_to_be_read(
    stop: StopRequest, pipe: tuple[int, int]
) -> None:
    os.write(pipe[1], b"!")
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait_until(math.inf, pipe[0]) is True


def test_an_endless_wait_is_ended_by_a_signal(stop: StopRequest) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.wait_until(math.inf) is True
