"""The options of `tcpvitals rtt`, and what they ask for.  Loads nothing, and needs no numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tcpvitals.commands.options import (
    add_duration,
    add_filters,
    add_limits,
    add_top,
    checked,
    seconds,
    selection,
)
from tcpvitals.errors import UsageError
from tcpvitals.model.columns import RttColumn
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Measurement, Sample, Unit

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tcpvitals.model.selection import Selection

# The first tool's long options have a single dash.
_SINGLE_DASH: Final = re.compile(
    r"-(laddr-hist|raddr-hist|show-ext|ms|sport|dport|saddr|daddr)(=.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class RttOptions:
    """What to measure, and how to show it.

    `full` asks for whole histograms everywhere, `as_tcprtt` where the output is no terminal: with
    the switches of tcprtt it is that of tcprtt.
    """

    measurement: Measurement
    grouping: Grouping
    selection: Selection
    netns: str | None
    attach: str | None
    max_groups: int
    idle_s: float
    interval_s: float
    duration_s: float | None
    timestamp: bool
    extension: bool
    delta: bool
    json: bool
    top: int | None
    all: bool
    sort: RttColumn | None
    full: bool
    as_tcprtt: bool


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> RttOptions:
    """Read the command line.

    Raises:
        UsageError: it asks for something that does not exist or contradicts itself.
    """
    _add_what(parser)
    add_filters(parser)
    _add_output(parser)
    spelled = [f"-{word}" if _SINGLE_DASH.fullmatch(word) else word for word in arguments]
    given = parser.parse_args(spelled)
    grouping = _grouping(given)
    if given.sort and not grouping.fields:
        message = "--sort is for groups: add --by"
        raise UsageError(message)
    return RttOptions(
        measurement=Measurement(Sample(given.sample), Unit.MS if given.ms else Unit.US),
        grouping=grouping,
        selection=selection(given),
        netns=given.netns,
        attach=given.attach,
        max_groups=given.max_groups,
        idle_s=given.idle,
        interval_s=given.interval,
        duration_s=given.duration,
        timestamp=given.timestamp,
        extension=given.extension,
        delta=given.delta,
        json=given.json,
        top=given.top,
        all=given.all,
        sort=given.sort,
        full=given.full,
        as_tcprtt=given.byladdr or given.byraddr or given.extension,
    )


def _grouping(given: argparse.Namespace) -> Grouping:
    if given.byladdr and given.byraddr:
        message = "by local or by remote address, not both; --by laddr,raddr groups by each pair"
        raise UsageError(message)
    if given.by is not None and (given.byladdr or given.byraddr):
        message = "-b and -B are short for --by laddr and --by raddr; give one of them"
        raise UsageError(message)
    if given.byladdr:
        return Grouping((Field.LADDR,))
    if given.byraddr:
        return Grouping((Field.RADDR,))
    return Grouping() if given.by is None else given.by


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to measure, in which groups")
    what.add_argument(
        "--sample",
        default=Sample.SRTT.value,
        choices=[sample.value for sample in Sample],
        help="srtt: the kernel's smoothed RTT at each received segment (default); "
        "rtt: the kernel's own samples; min: its minimum RTT; network: those samples of rtt that "
        "hold no delayed ACK and no application; inflation: network - min, time spent in queues",
    )
    what.add_argument(
        "--by",
        type=checked(Grouping.parse),
        metavar="FIELD[,...]",
        help=f"{' '.join(Field)}, in any combination; "
        "raddr/24 and raddr/48 cut an address to its prefix; without, the whole host",
    )
    what.add_argument("-b", "--byladdr", "--laddr-hist", action="store_true", help="--by laddr")
    what.add_argument("-B", "--byraddr", "--raddr-hist", action="store_true", help="--by raddr")
    what.add_argument(
        "-m",
        "--ms",
        "--millisecond",
        "--milliseconds",
        action="store_true",
        help="milliseconds instead of microseconds",
    )
    add_limits(what, bytes_each="3 KiB", idle="without a sample")
    what.add_argument("--attach", choices=["fentry", "tp_btf"], help="the hook; default: by host")


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "-i",
        "--interval",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="between prints (default 10)",
    )
    add_duration(output)
    output.add_argument(
        "-T", "--timestamp", action="store_true", help="time of day with each print"
    )
    output.add_argument(
        "-e",
        "--extension",
        "--show-ext",
        action="store_true",
        help="sum of samples and their count",
    )
    output.add_argument("--delta", action="store_true", help="each interval alone")
    output.add_argument("--json", action="store_true", help="one JSON object a group and print")
    output.add_argument(
        "--full",
        action="store_true",
        help="whole histograms, however many groups; without, a pipe gets them with -b, -B and -e",
    )
    add_top(output, RttColumn, "the newest and busiest", "all groups, however tall the terminal")
