"""`tcpvitals retrans -c` and `--by`: the totals of each group."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING, TextIO

from tcpvitals.commands.announcing import announce, when
from tcpvitals.commands.moments import moments
from tcpvitals.commands.naming import Naming
from tcpvitals.commands.output import output_errors
from tcpvitals.model.key import Grouping
from tcpvitals.model.snapshot import intervals
from tcpvitals.model.totals_report import TotalsPrint
from tcpvitals.sinks.titles import heading
from tcpvitals.sinks.totals import TotalsSink
from tcpvitals.sinks.totalsjson import TotalsJsonSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.commands.retrans_options import RetransOptions
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.commands.verifying import Verifier
    from tcpvitals.model.totals import TotalsSnapshot
    from tcpvitals.sources.live import LiveSockets


def count(
    live: LiveSockets,
    options: RetransOptions,
    verifier: Verifier,
    stop: StopRequest,
    stream: TextIO,
) -> None:
    """Show totals at each interval and at the end, and how they compare with the kernel's."""
    sink = _make_sink(options, stream)
    _announce(options, stream)
    for print_ in _prints(live, options, stop):
        with output_errors():
            sink.show(print_)
        verifier.show(live)


def _prints(live: LiveSockets, options: RetransOptions, stop: StopRequest) -> Iterator[TotalsPrint]:
    naming, grouping = Naming(), options.grouping or Grouping()
    due = moments(
        options.interval_s, options.duration_s, stop, at_once=False, meanwhile=live.keep_up
    )
    for cumulative, recent in intervals((_look(live) for _ in due), live.start_ns):
        yield TotalsPrint(
            wall_time=dt.datetime.now().astimezone(),
            cumulative=cumulative,
            recent=recent,
            delta=options.delta,
            names=naming.for_keys(cumulative.keys, grouping),
            min_ratio=options.min_ratio,
            shows_errors=live.shows_errors,
            sort=options.sort,
        )


def _look(live: LiveSockets) -> TotalsSnapshot:
    live.keep_up()
    return live.totals()


def _make_sink(options: RetransOptions, stream: TextIO) -> TotalsSink | TotalsJsonSink:
    grouping = options.grouping or Grouping()
    if options.json:
        return TotalsJsonSink(stream=stream, grouping=grouping, top=options.top)
    return TotalsSink(
        stream=stream,
        grouping=grouping,
        top=options.top,
        size=shutil.get_terminal_size if stream.isatty() else None,
        timestamp=options.timestamp,
        everything=options.all,
        wide=options.wide,
    )


def _announce(options: RetransOptions, stream: TextIO) -> None:
    """Nothing else is shown for a while."""
    if not (options.json and stream.isatty()):
        by, due = (
            heading(options.grouping or Grouping()),
            when(options.interval_s, options.duration_s),
        )
        announce(f"retransmissions by {by}; {due}", stream)
