"""What `serve` shows on a terminal: where it serves, and a first table, to see that it works."""

from __future__ import annotations

import os
import select
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.rtt_report import RttPrint
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.sinks.compact import CompactSink

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot

_ROWS: Final = 10


class FirstTable:
    """Writes to `stream`; whether anybody reads it makes no difference to the rest."""

    def __init__(
        self,
        stream: TextIO,
        grouping: Grouping,
        sample: Sample,
        wall: Callable[[int], dt.datetime],
    ) -> None:
        """Have nothing shown yet; the table will be of this sample."""
        self._stream, self._sample, self._wall = stream, sample, wall
        self._sink = CompactSink(
            stream=stream, size=shutil.get_terminal_size, grouping=grouping, top=_ROWS
        )

    def announce(self, url: str) -> None:
        """Say where figures are served."""
        self._write(f"serving {url}; Ctrl-C ends. The first figures come with the first traffic.\n")

    def show(self, snapshot: VitalsSnapshot) -> bool:
        """Show a snapshot that has something to show; whether that was so."""
        print_ = self._print(snapshot)
        if not print_.rows():
            return False
        self._write(f"\n{self._sample} since the start:\n{self._sink.text(print_)}")
        return True

    def _print(self, snapshot: VitalsSnapshot) -> RttPrint:
        since_start = Snapshot(
            taken_ns=snapshot.taken_ns,
            keys=snapshot.keys,
            table=snapshot.table.histograms[self._sample],
            other=snapshot.other.histograms[self._sample],
            retired=snapshot.retired.histograms[self._sample],
            losses=snapshot.losses,
            groups_limit=snapshot.groups_limit,
        ).since_start(snapshot.start_ns)
        return RttPrint(
            wall_time=self._wall(snapshot.taken_ns),
            cumulative=since_start,
            recent=since_start,
            delta=False,
            names=snapshot.names,
        )

    def _write(self, text: str) -> None:
        """A terminal or file that takes no more is no reason to stop serving."""
        write_if_possible(self._stream, text)


def write_if_possible(stream: TextIO, text: str) -> None:
    """Write all of it and now, or not at all; once that fails, nothing more is written there."""
    if _would_wait(stream):
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            _forget_unwritten(stream)


def _would_wait(stream: TextIO) -> bool:
    """Whether it is a pipe that is full, or a terminal that was stopped: neither may stop us."""
    poll = select.poll()
    with suppress(OSError, ValueError):  # one that is no file never waits
        poll.register(stream.fileno(), select.POLLOUT)
        return not poll.poll(0)
    return False


def _forget_unwritten(stream: TextIO) -> None:
    """Have what is still buffered go nowhere: tried again at the end, it would be an error then."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, stream.fileno())
        stream.flush()
    finally:
        os.close(devnull)
