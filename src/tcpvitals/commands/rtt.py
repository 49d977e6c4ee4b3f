"""Round-trip times of this host's TCP connections, as histograms.

Prints at once and then every interval, until Ctrl-C, each time all that was counted since the
start; --delta prints each interval alone. Options of bcc's tcprtt work as there, and so do
-laddr-hist -raddr-hist -show-ext -sport -dport -saddr -daddr -ms.

For example:
  tcpvitals rtt                              the whole host, every 10 s
  tcpvitals rtt --by raddr/24 -i 1           each remote /24, every second
  tcpvitals rtt --by service,role -m         each service, as client and as server, in ms
  tcpvitals rtt -P 443 -A 2001:db8::/32      to port 443 of one prefix
  tcpvitals rtt --sample inflation --by raddr --json -d 60

On a terminal, a p99 is green below 10 ms, yellow below 100 ms and magenta from there on;
NO_COLOR=1 leaves the colours out.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from tcpvitals.commands import rtt_options
from tcpvitals.commands.options import on_this_host
from tcpvitals.commands.output import escaping_output, output_errors

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from tcpvitals.commands.rtt_options import RttOptions
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.model.rtt_report import RttPrint
    from tcpvitals.sinks import Sink
    from tcpvitals.sources.live import LiveRtt


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run until the duration is over or a signal comes; always with a last print."""
    options = rtt_options.parse(parser, arguments)
    selection = on_this_host(options.selection, options.netns)
    return _run(replace(options, selection=selection), escaping_output())


def _run(options: RttOptions, stream: TextIO) -> int:
    # Not before the options are known to be good: these bring numpy with them.
    from tcpvitals.commands.stopping import StopRequest  # noqa: PLC0415
    from tcpvitals.kernel.plan import Attach, make_plan  # noqa: PLC0415
    from tcpvitals.kernel.probe import collect_facts  # noqa: PLC0415
    from tcpvitals.kernel.settings import Request  # noqa: PLC0415
    from tcpvitals.sources.live import LiveRtt  # noqa: PLC0415

    stop = StopRequest(stream)
    request = Request(options.grouping, options.selection, options.max_groups, options.measurement)
    wanted = Attach(options.attach) if options.attach else None
    plan = make_plan(collect_facts(), wanted, request.groups, following=request.needs_owner)
    sink = _make_sink(options, stream)
    with LiveRtt(request, plan, options.idle_s) as live:
        _announce(options, plan.attach or "", stream)
        for print_ in _prints(live, options, stop):
            with output_errors():
                sink.show(print_)
    return 0


def _prints(live: LiveRtt, options: RttOptions, stop: StopRequest) -> Iterator[RttPrint]:
    """At once, every interval, and at the end."""
    from tcpvitals.commands.moments import moments  # noqa: PLC0415
    from tcpvitals.commands.naming import Naming  # noqa: PLC0415
    from tcpvitals.model.rtt_report import RttPrint  # noqa: PLC0415
    from tcpvitals.model.snapshot import intervals  # noqa: PLC0415

    naming = Naming()
    due = moments(
        options.interval_s, options.duration_s, stop, at_once=True, meanwhile=live.find_owners
    )
    for cumulative, recent in intervals((live.snapshot() for _ in due), live.start_ns):
        yield RttPrint(
            wall_time=dt.datetime.now().astimezone(),
            cumulative=cumulative,
            recent=recent,
            delta=options.delta,
            names=naming.for_keys(cumulative.keys, options.grouping),
            sort=options.sort,
        )


def _make_sink(options: RttOptions, stream: TextIO) -> Sink:
    from tcpvitals.sinks.compact import CompactSink  # noqa: PLC0415
    from tcpvitals.sinks.console import ConsoleSink  # noqa: PLC0415
    from tcpvitals.sinks.jsonlines import JsonLinesSink  # noqa: PLC0415
    from tcpvitals.sinks.layout import TerminalSink  # noqa: PLC0415

    if options.json:
        return JsonLinesSink(
            stream=stream,
            measurement=options.measurement,
            grouping=options.grouping,
            top=options.top,
        )
    full = ConsoleSink(
        stream=stream,
        measurement=options.measurement,
        grouping=options.grouping,
        extension=options.extension,
        timestamp=options.timestamp,
        top=options.top,
    )
    is_terminal = stream.isatty()
    if options.full or (not is_terminal and (options.as_tcprtt or not options.grouping.fields)):
        return full
    if not is_terminal:
        return _make_table(options, stream)
    compact = CompactSink(
        stream=stream,
        size=shutil.get_terminal_size,
        measurement=options.measurement,
        grouping=options.grouping,
        timestamp=options.timestamp,
        color="NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb",
        top=options.top,
        everything=options.all,
    )
    return TerminalSink(full, compact)


def _make_table(options: RttOptions, stream: TextIO) -> Sink:
    from tcpvitals.sinks.rtttable import RttTableSink  # noqa: PLC0415

    return RttTableSink(
        stream=stream,
        measurement=options.measurement,
        grouping=options.grouping,
        timestamp=options.timestamp,
        top=options.top,
    )


def _announce(options: RttOptions, attach: str, stream: TextIO) -> None:
    """For people only: the output of a pipe begins at once."""
    if stream.isatty() and not options.json:
        from tcpvitals.commands.announcing import announce, when  # noqa: PLC0415
        from tcpvitals.sinks.titles import heading  # noqa: PLC0415

        measured, by = options.measurement, heading(options.grouping)
        due = when(options.interval_s, options.duration_s)
        announce(f"{measured.sample} in {measured.unit}, by {by}, {attach}; {due}", stream)
