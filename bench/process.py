"""What the tcpvitals process costs: the time until there is something to see, and its CPU time."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from errors import CannotRunError
from figures import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from load import Load

COMMAND: Final = Path(sys.executable).with_name("tcpvitals")
_PRINTS: Final = 10
_SETTLE_S: Final = 0.5
STEADY_TRIPS_PER_S: Final = 2000
MORE_TRAFFIC: Final = 10


def time_to_first_line(arguments: Sequence[str], times: int) -> Spread:
    """Seconds from the start of the process to its first line of output.

    Raises:
        CannotRunError: it printed none.
    """
    _first_line_s(arguments)  # what is read from disk is read now
    return Spread.of([_first_line_s(arguments) for _ in range(times)])


def _first_line_s(arguments: Sequence[str]) -> float:
    start = time.monotonic()
    with _tcpvitals(arguments) as process:
        _read_line(process)
        return time.monotonic() - start


def cpu_time(load: Load, trips_per_s: float) -> tuple[float, float]:
    """CPU seconds for ten prints a second apart under steady traffic, and the round trips made.

    What it takes to start is left out: it has nothing to do with traffic.

    Raises:
        CannotRunError: it ended early.
    """
    with _tcpvitals(["rtt", "--by", "raddr", "--json", "-i", "1"]) as process:
        load.begin(_PRINTS + _SETTLE_S + 1, trips_per_s)
        time.sleep(_SETTLE_S)
        _read_line(process)
        before = cpu_ns(process.pid)
        for _ in range(_PRINTS):
            _read_line(process)
        spent = cpu_ns(process.pid) - before
        return spent / 1e9, load.end().trips


@contextmanager
def _tcpvitals(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    command = [str(COMMAND), *arguments]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()
    except FileNotFoundError as error:
        msg = f"{COMMAND} is not installed: make bench installs it"
        raise CannotRunError(msg) from error


def _read_line(process: subprocess.Popen[str]) -> None:
    if not (process.stdout and process.stdout.readline()):
        msg = f"{' '.join(map(str, process.args))} ended without printing"  # type: ignore[arg-type]
        raise CannotRunError(msg)


def cpu_ns(pid: int) -> int:
    """CPU time of all threads; the first figure of schedstat counts nanoseconds, not ticks."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
