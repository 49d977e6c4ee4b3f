"""An exporter for Prometheus: round-trip times and retransmissions of this host, on port 2112.

Serves /metrics, /healthz and a landing page until Ctrl-C. Labels come from --by, and never more
series than --max-groups allow; what is past that is counted as other. docs/metrics.md has them
all. Once everything is attached, all capabilities are given up; root stays root without --user.
SIGHUP reads --config again.

For example:
  tcpvitals serve                            on 127.0.0.1:2112, by role, service, remote prefix
  tcpvitals serve --by service,role --refresh 1
  tcpvitals serve --config /etc/tcpvitals/config.toml --user nobody
  tcpvitals serve --listen :2112 --web.config.file web.yml
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tcpvitals.commands import serve_options
from tcpvitals.commands.options import on_this_host
from tcpvitals.commands.output import escaping_output
from tcpvitals.errors import PrivilegeError
from tcpvitals.kernel.libbpf.allocator import give_memory_back
from tcpvitals.kernel.privileges import capabilities_needed, confine, drop, stay_single
from tcpvitals.model.key import FlowPorts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from tcpvitals.commands.front import Front
    from tcpvitals.commands.serve_options import ServeOptions
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.kernel.settings import Request

# The flows that are counted, for each one that may be shown: so many may compete.
_FLOWS_PER_SERIES = 16


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Serve until the duration is over or a signal comes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to be reloaded

    def read() -> ServeOptions:
        fresh = type(parser)(prog=parser.prog, allow_abbrev=False)
        return serve_options.parse(fresh, arguments)

    options = serve_options.parse(parser, arguments)
    return _run(options, read)


def _run(options: ServeOptions, read: Callable[[], ServeOptions]) -> int:
    stay_single()
    give_memory_back()
    # Not before the options are known to be good: these bring numpy and a web server with them.
    from tcpvitals.commands.front import open_front  # noqa: PLC0415
    from tcpvitals.commands.stopping import StopRequest  # noqa: PLC0415

    stop = StopRequest()
    with open_front(options) as front:
        return _serve(options, read, stop, front)


def _serve(
    options: ServeOptions, read: Callable[[], ServeOptions], stop: StopRequest, front: Front
) -> int:
    from tcpvitals.commands.service import Service  # noqa: PLC0415
    from tcpvitals.kernel import netns  # noqa: PLC0415
    from tcpvitals.kernel.plan import Attach, make_plan  # noqa: PLC0415
    from tcpvitals.kernel.probe import collect_facts  # noqa: PLC0415
    from tcpvitals.sources.vitals import LiveVitals  # noqa: PLC0415

    request = _request(options)
    wanted = Attach(options.attach) if options.attach else None
    plan = make_plan(collect_facts(), wanted, request.groups, following=True)
    host_netns = netns.of_host()
    with ExitStack() as undo:
        live = undo.enter_context(LiveVitals(request, plan, options.idle_s))
        if options.bpf_stats:
            undo.callback(os.close, _time_programs())
        # Nothing needs it: where it is closed there are no tables.
        stream = None if options.quiet or sys.stdout is None else escaping_output()
        service = Service(options, live, front, host_netns, plan.attach or "", stream)
        drop(options.user, capabilities_needed(os.uname().release))
        service.run(stop, read, _remaining(is_confined=confine()))
    return 0


def _remaining(*, is_confined: bool) -> str:
    """Return what the process may still do as root, without any capability; "" as another user."""
    if os.geteuid():
        return ""
    what = (
        "read all of root's files, but write none" if is_confined else "read and write root's files"
    )
    return f"It still runs as root, and may {what}.\n--user NAME gives that up."


def _time_programs() -> int:
    from tcpvitals.kernel.libbpf import enable_run_time_stats  # noqa: PLC0415

    try:
        return enable_run_time_stats()
    except OSError as error:
        message = f"--bpf-stats takes CAP_SYS_ADMIN: {error.strerror}; leave it out, or run as root"
        raise PrivilegeError(message) from error


def _request(options: ServeOptions) -> Request:
    from tcpvitals.kernel.settings import Request  # noqa: PLC0415

    flows = options.flow_ports
    with options.places.blame("pid"):
        on_this_host(options.selection, None)
    with options.places.blame("netns"):
        selected = on_this_host(options.selection, options.netns)
    return Request(
        options.grouping,
        selected,
        options.max_groups,
        totals=True,
        namespaces=True,
        vitals=options.histograms,
        flows=flows,
        flows_limit=0 if flows is FlowPorts.OFF else options.max_flows * _FLOWS_PER_SERIES,
    )
