"""What `serve` shows on a terminal: where it serves, and a first table, to see that it works."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.measurement import Sample, Unit
from tcpvitals.model.report import Print
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.sinks.compact import CompactSink

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from tcpvitals.model.key import Grouping
    from tcpvitals.model.vitals import VitalsSnapshot

_ROWS: Final = 10


class FirstTable:
    """Writes to `stream`; whether anybody reads it makes no difference to the rest."""

    def __init__(
        self, stream: TextIO, grouping: Grouping, wall: Callable[[int], dt.datetime]
    ) -> None:
        """Have nothing shown yet."""
        self._stream, self._wall = stream, wall
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
        self._write(f"\nsrtt since the start:\n{self._sink.text(print_)}")
        return True

    def _print(self, snapshot: VitalsSnapshot) -> Print:
        srtt = Snapshot(
            taken_ns=snapshot.taken_ns,
            keys=snapshot.keys,
            counters=snapshot.table.histograms[Sample.SRTT],
            other=snapshot.other.histograms[Sample.SRTT],
            retired=snapshot.retired.histograms[Sample.SRTT],
            losses=snapshot.losses,
            groups_limit=snapshot.groups_limit,
            unit=Unit.US,
        ).since_start(snapshot.start_ns)
        return Print(
            wall_time=self._wall(snapshot.taken_ns),
            cumulative=srtt,
            recent=srtt,
            delta=False,
            names=snapshot.names,
        )

    def _write(self, text: str) -> None:
        """A terminal or file that takes no more is no reason to stop serving."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass
