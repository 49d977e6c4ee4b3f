"""What `serve` shows on a terminal: where it serves, and a first table, to see that it works."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.rtt_report import RttPrint
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.sinks.compact import CompactSink
from tcpvitals.sinks.folding import folded

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot

_ROWS: Final = 10


class FirstTable:
    """Made for the terminal `stream`; `write` is given the text."""

    def __init__(
        self,
        stream: TextIO,
        grouping: Grouping,
        sample: Sample,
        wall: Callable[[int], dt.datetime],
        write: Callable[[str], None],
    ) -> None:
        """Have nothing shown yet; the table will be of this sample."""
        self._write, self._sample, self._wall = write, sample, wall
        self._is_terminal = stream.isatty()
        self._sink = CompactSink(
            stream=stream, size=shutil.get_terminal_size, grouping=grouping, top=_ROWS
        )

    def announce(self, url: str, remark: str) -> None:
        """Show where figures are served, and a remark below if there is one."""
        width = shutil.get_terminal_size().columns if self._is_terminal else None
        serving = f"serving {url}; Ctrl-C ends."
        said = [serving, "The first figures come with the first traffic.", *remark.splitlines()]
        lines = folded(said, width)
        self._write("".join(f"{line}\n" for line in lines))

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
