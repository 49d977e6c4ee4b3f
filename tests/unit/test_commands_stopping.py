"""The first signal asks for an orderly end, the second does not ask."""

from __future__ import annotations

import os
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


def test_a_signal_in_the_middle_of_a_wait_ends_it(stop: StopRequest) -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        assert stop.wait_until(time.monotonic() + FAR_AWAY_S) is True
    finally:
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_interrupts_whatever_is_going_on(
    stop: StopRequest, second: signal.Signals
) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.made is True
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), second)
