"""The options of `tcpvitals serve`, and what they ask for.  Loads nothing, and needs no numpy."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from tcpvitals.commands import configuration
from tcpvitals.commands.options import (
    add_duration,
    add_filters,
    add_limits,
    checked,
    selection,
    whole,
)
from tcpvitals.kernel.users import User, find_user
from tcpvitals.model.key import Field, FlowPorts, Grouping
from tcpvitals.model.measurement import HISTOGRAMS, USUAL_HISTOGRAMS
from tcpvitals.model.printable import printable
from tcpvitals.sinks.web.listening import ListenAddress, parse_listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.measurement import Sample
    from tcpvitals.model.selection import Selection

_LISTEN: Final = "127.0.0.1:2112"
_BY: Final = "scope,role,service,raddr/24/48,netns"
_MOST_SERIES: Final = 100_000
_MOST_BUCKETS: Final = 100
# What the kernel half counts: microseconds, up to 2**27 of them.
_FIRST_EDGE_S, _LAST_EDGE_S = 1e-6, 100
_LEAST_REFRESH_S, _MOST_REFRESH_S = 0.1, 3600
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What to count, and how to serve it.

    Without `buckets`, edges of histograms in seconds, there are the usual ones.  `places` has the
    lines of a configuration file, for errors that are found later.
    """

    config: str | None
    listen: ListenAddress
    web_config_file: str | None
    insecure_listen: bool
    allow_hosts: tuple[str, ...]
    grouping: Grouping
    selection: Selection
    netns: str | None
    max_groups: int
    idle_s: float
    refresh_s: float
    histograms: tuple[Sample, ...]
    buckets: tuple[float, ...]
    flow_ports: FlowPorts
    max_flows: int
    attach: str | None
    user: User | None
    bpf_stats: bool
    quiet: bool
    duration_s: float | None
    places: configuration.Places = field(default_factory=configuration.Places, compare=False)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> ServeOptions:
    """Read the command line and the configuration file that it names, if it does.

    Raises:
        UsageError: they ask for something that does not exist or contradicts itself.
    """
    add_options(parser)
    given, places = configuration.parse(parser, arguments)
    with places.blame("laddr", "raddr", "family"):
        selected = selection(given)
    return ServeOptions(
        config=given.config,
        listen=given.listen,
        web_config_file=given.web_config_file,
        insecure_listen=given.insecure_listen,
        allow_hosts=tuple(dict.fromkeys(given.allow_host or ())),
        grouping=given.by,
        selection=selected,
        netns=given.netns,
        max_groups=given.max_groups,
        idle_s=given.idle,
        refresh_s=given.refresh,
        histograms=given.histograms,
        buckets=given.buckets,
        flow_ports=FlowPorts(given.flow_ports),
        max_flows=given.max_flows,
        attach=given.attach,
        user=given.user,
        bpf_stats=given.bpf_stats,
        quiet=given.quiet,
        duration_s=given.duration,
        places=places,
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options; each long one is a key of the configuration file, too."""
    parser.add_argument(
        "--config", metavar="FILE", help="options in TOML, as max-groups = 500; these here override"
    )
    _add_web(parser)
    _add_what(parser)
    add_filters(parser)
    _add_flows(parser)
    _add_running(parser)


def _add_web(parser: argparse.ArgumentParser) -> None:
    web = parser.add_argument_group("who may ask")
    web.add_argument(
        "--listen",
        type=checked(parse_listen),
        default=_LISTEN,
        metavar="ADDRESS:PORT",
        help=f"where to (default {_LISTEN}); [::1]:2112 for IPv6",
    )
    web.add_argument(
        "--web.config.file",
        "--web-config-file",
        dest="web_config_file",
        metavar="FILE",
        help="TLS and users, in the format of Prometheus' exporter-toolkit",
    )
    web.add_argument(
        "--insecure-listen",
        action="store_true",
        help="listen on an address that others can reach without TLS or users",
    )
    web.add_argument(
        "--allow-host",
        action="append",
        type=_host,
        metavar="NAME",
        help="a name that requests may have in Host, besides the address; may be repeated",
    )


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to count, in which groups")
    what.add_argument(
        "--by",
        type=checked(Grouping.parse),
        default=_BY,
        metavar="FIELD[,...]",
        help=f"{' '.join(Field)}, in any combination, are "
        f"the labels; raddr/24/48 cuts addresses; '' is the whole host (default {_BY})",
    )
    add_limits(what, bytes_each="10 KiB", idle="that counts nothing", default=200)
    what.add_argument(
        "--histograms",
        type=_histograms,
        default=USUAL_HISTOGRAMS,
        metavar="SAMPLE[,...]",
        help=f"which of {' '.join(HISTOGRAMS)} are counted and exposed "
        f"(default {','.join(USUAL_HISTOGRAMS)})",
    )
    what.add_argument(
        "--buckets",
        type=_edges,
        default=(),
        metavar="SECONDS[,...]",
        help="upper edges of all histograms, each moved to the nearest edge of what the kernel "
        "half counts (at most 3.2 %% away); default: those of network a factor of 1.4 apart, of "
        "another two, or of four with more than two histograms",
    )
    what.add_argument("--attach", choices=["fentry", "tp_btf"], help="the hook; default: by host")


def _add_flows(parser: argparse.ArgumentParser) -> None:
    flows = parser.add_argument_group("tcp_retransmissions_total, for each pair of addresses")
    flows.add_argument(
        "--flow-ports",
        choices=[ports.value for ports in FlowPorts],
        default=FlowPorts.BOUNDED.value,
        help="which ports tell flows apart: bounded: not a client's own, which is 0 (default); "
        "full: both; off: without this metric",
    )
    flows.add_argument(
        "--max-flows",
        type=whole(1, _MOST_SERIES),
        default=500,
        metavar="N",
        help="at most N flows have a series; the rest is counted as other (default 500)",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("running")
    running.add_argument(
        "--refresh",
        type=_refresh,
        default=5.0,
        metavar="SECONDS",
        help="how often to read the counters, however often they are asked for (default 5)",
    )
    running.add_argument(
        "--user",
        type=checked(find_user),
        metavar="NAME|UID[:GID]",
        help="become that user once all is attached; capabilities are given up in any case",
    )
    running.add_argument(
        "--bpf-stats",
        action="store_true",
        help="have the kernel measure how long BPF programs run, which costs some ns a run",
    )
    running.add_argument("-q", "--quiet", action="store_true", help="no tables on standard output")
    add_duration(running)


# --- values ------------------------------------------------------------------------------


def _host(text: str) -> str:
    """Read the name of a host, without a port; case does not matter in those."""
    if not (_HOST.fullmatch(text) or _is_ipv6(text)):
        message = f"'{printable(text)}' is not a host name or an address, without a port"
        raise argparse.ArgumentTypeError(message)
    return text.lower()


def _is_ipv6(text: str) -> bool:
    """With its brackets, as requests have it, or without."""
    try:
        IPv6Address(text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text)
    except ValueError:
        return False
    return "%" not in text


def _refresh(text: str) -> float:
    number = _number(text)
    # NaN compares false and is refused with the rest.
    if _LEAST_REFRESH_S <= number <= _MOST_REFRESH_S:
        return number
    message = (
        f"'{printable(text)}' is not a number of seconds "
        f"from {_LEAST_REFRESH_S} to {_MOST_REFRESH_S}"
    )
    raise argparse.ArgumentTypeError(message)


def _histograms(text: str) -> tuple[Sample, ...]:
    """Read samples, each once; in the order in which they are shown."""
    words = [word.strip() for word in text.split(",")]
    unknown = next((word for word in words if word not in HISTOGRAMS), None)
    if unknown is not None:
        message = f"'{printable(unknown)}' is not one of {', '.join(HISTOGRAMS)}"
        raise argparse.ArgumentTypeError(message)
    return tuple(sample for sample in HISTOGRAMS if sample in words)


def _edges(text: str) -> tuple[float, ...]:
    edges = tuple(_edge(word.strip()) for word in text.split(","))
    if list(edges) != sorted(set(edges)):
        message = "the edges do not increase"
        raise argparse.ArgumentTypeError(message)
    if len(edges) > _MOST_BUCKETS:
        message = f"{len(edges)} edges are too many: {_MOST_BUCKETS} at most"
        raise argparse.ArgumentTypeError(message)
    return edges


def _edge(word: str) -> float:
    number = _number(word)
    if _FIRST_EDGE_S <= number <= _LAST_EDGE_S:
        return number
    message = f"'{printable(word)}' is not a number of seconds from 0.000001 to {_LAST_EDGE_S}"
    raise argparse.ArgumentTypeError(message)


def _number(text: str) -> float:
    """The number, NaN if it is none."""
    try:
        return float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        return float("nan")
