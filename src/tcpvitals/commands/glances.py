"""What `serve` shows on a terminal: where it serves, and then what the network does.

The first table comes with the first traffic of the network; on a terminal another follows at each
refresh that brings more of it, elsewhere none: that is what the metrics are for.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.commands.glance import Glance, left_out
from tcpvitals.sinks.compact import CompactSink
from tcpvitals.sinks.folding import folded
from tcpvitals.sinks.totals import TotalsSink

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from tcpvitals.model.key import Grouping
    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.vitals import VitalsSnapshot

_ROWS: Final = 5
_LEAST_NS: Final = 1_000_000_000
"""Between two tables, however often is refreshed."""


class Glances:
    """Made for the terminal `stream`; `write` is given the text."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        stream: TextIO,
        grouping: Grouping,
        sample: Sample,
        port: int,
        wall: Callable[[int], dt.datetime],
        write: Callable[[str], None],
    ) -> None:
        """Have nothing shown yet; round trips will be of this sample, `port` is our own."""
        self._write, self._sample, self._port, self._wall = write, sample, port, wall
        self._left_out = left_out(grouping, port)
        self._is_terminal = stream.isatty()
        self._before: Glance | None = None
        self._is_waiting = False
        size = shutil.get_terminal_size
        # Without hints, which are at options of other commands: here the metrics have the rest.
        self._rtt = CompactSink(stream=stream, size=size, grouping=grouping, top=_ROWS, hints=False)
        self._totals = TotalsSink(
            stream=stream, size=size, grouping=grouping, top=_ROWS, hints=False
        )

    def announce(self, url: str, remark: str) -> None:
        """Show where figures are served, and a remark below if there is one."""
        width = shutil.get_terminal_size().columns if self._is_terminal else None
        serving = f"serving {url}; Ctrl-C ends."
        said = [serving, "The first figures come with the first traffic.", *remark.splitlines()]
        lines = folded(said, width)
        self._write("".join(f"{line}\n" for line in lines))

    def show(self, snapshot: VitalsSnapshot) -> bool:
        """Show a snapshot if there is something new; whether that was all there is to show."""
        now, before = Glance.of(snapshot, self._sample, self._port), self._before
        if before and snapshot.taken_ns - before.rtt.taken_ns < _LEAST_NS:
            return False
        if not now.has_moved(before):
            self._wait(snapshot)
            return False
        self._write(self._text(now, before, self._wall(snapshot.taken_ns)))
        self._before = now
        return not self._is_terminal

    def _wait(self, snapshot: VitalsSnapshot) -> None:
        """Say once what is waited for."""
        if self._is_waiting or self._before:
            return
        self._is_waiting = True
        live = int(snapshot.table.live.sum()) + snapshot.other.live
        left_out_ = f"\n{self._left_out} left out" if self._left_out else ""
        self._write(f"\nWaiting for traffic; connections open now: {live}.{left_out_}\n")

    def _text(self, now: Glance, before: Glance | None, wall: dt.datetime) -> str:
        without = f", {self._left_out} left out" if self._left_out else ""
        totals = now.totals.table.total()
        again, sent = totals["segments_retransmitted"], totals["segments_sent"]
        lines = [f"\n{wall:%H:%M:%S}, since the start{without}:\n"]
        lines += [f"{self._sample}\n", self._rtt.text(now.round_trips(before, wall))]
        if again:
            lines += ["retransmissions\n", self._totals.text(now.retransmissions(wall))]
        else:
            lines.append(f"retransmissions: none; segments sent: {sent}\n\n")
        return "".join([*lines, *_next(is_lossy=again > 0)])


def _next(*, is_lossy: bool) -> list[str]:
    """What to run after this, by the name that it has here."""
    called, name = Path(sys.argv[0]), "tcpvitals"
    program = name if called.name != name or shutil.which(name) else str(called)
    lossy = [("retrans --by process,raddr", "whose is it, and to whom?")] if is_lossy else []
    asked = [
        *lossy,
        ("rtt --by raddr/24", "to whom is it slow?"),
        ("rtt --sample network --by raddr", "the network, or the peer?"),
    ]
    return ["Next, as root:\n", *(f"  {program} {words:<33} {why}\n" for words, why in asked)]
