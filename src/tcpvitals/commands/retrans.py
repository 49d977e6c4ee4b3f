"""Retransmissions of this host's TCP connections: each as it happens, or totals.

Without -c or --by, a line for each retransmission: whose it was, why, and which attempt. With
them, totals: what each group sent and sent again, its retransmission ratio, and the causes, every
interval or once at the end. --verify compares with the kernel's own counters.

For example:
  tcpvitals retrans                          every retransmission, as it happens
  tcpvitals retrans -P 443 --json            to port 443, for a program to read
  tcpvitals retrans -c -d 60                 totals of each flow, after a minute
  tcpvitals retrans --by process,raddr -i 5  whose, to whom, every 5 s
  tcpvitals retrans --by raddr/24 --min-ratio 2 -i 10 --delta
  tcpvitals retrans --by '' --verify -d 10   the whole host, compared with the kernel's count
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from tcpvitals.commands import retrans_options
from tcpvitals.commands.options import on_this_host
from tcpvitals.commands.output import escaping_output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tcpvitals.commands.retrans_options import RetransOptions
    from tcpvitals.kernel.settings import Request


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run until the duration is over or a signal comes."""
    options = retrans_options.parse(parser, arguments)
    selection = on_this_host(options.selection, options.netns)
    return _run(replace(options, selection=selection), escaping_output())


def _run(options: RetransOptions, stream: TextIO) -> int:
    # Not before the options are known to be good: these bring numpy with them.
    from tcpvitals.commands.retrans_events import tell  # noqa: PLC0415
    from tcpvitals.commands.retrans_totals import count  # noqa: PLC0415
    from tcpvitals.commands.stopping import StopRequest  # noqa: PLC0415
    from tcpvitals.commands.verifying import Verifier  # noqa: PLC0415
    from tcpvitals.kernel.plan import make_plan  # noqa: PLC0415
    from tcpvitals.kernel.probe import collect_facts  # noqa: PLC0415
    from tcpvitals.sources.live import LiveSockets  # noqa: PLC0415

    stop = StopRequest(stream)
    request = _request(options)
    plan = make_plan(collect_facts(), None, request.groups, rtt=False)
    verifier = Verifier(stream, json=options.json)
    with LiveSockets(request, plan, options.idle_s) as live:
        verifier.begin(live)
        if options.grouping is None:
            tell(live, options, verifier, stop, stream)
        else:
            count(live, options, verifier, stop, stream)
    verifier.check()
    return 0


def _request(options: RetransOptions) -> Request:
    from tcpvitals.kernel.settings import Request, Telling  # noqa: PLC0415
    from tcpvitals.model.key import Grouping  # noqa: PLC0415

    grouping = options.grouping
    return Request(
        grouping=grouping or Grouping(),
        selection=options.selection,
        max_groups=options.max_groups,
        totals=grouping is not None,
        namespaces=options.verify,
        telling=frozenset({Telling.RETRANSMISSIONS} if grouping is None else ()),
        ring_bytes=options.ring_bytes,
    )
