"""The options of `tcpvitals rtt`, and what they ask for.  Loads nothing, and needs no numpy."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from tcpvitals.errors import UsageError
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.model.printable import printable
from tcpvitals.model.selection import Selection, parse_network, parse_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Value = TypeVar("_Value")

_MOST_GROUPS: Final = 1_000_000
# About ten years: what the clock and select() can still take.
_LONGEST_S: Final = 3e8

# The first tool's long options have a single dash.
_SINGLE_DASH: Final = re.compile(
    r"-(laddr-hist|raddr-hist|show-ext|ms|sport|dport|saddr|daddr)(=.*)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class RttOptions:
    """What to measure, and how to show it."""

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


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> RttOptions:
    """Read the command line.

    Raises:
        UsageError: it asks for something that does not exist or contradicts itself.
    """
    _add_what(parser)
    _add_filters(parser)
    _add_output(parser)
    spelled = [f"-{word}" if _SINGLE_DASH.fullmatch(word) else word for word in arguments]
    given = parser.parse_args(spelled)
    return RttOptions(
        measurement=Measurement(Sample(given.sample), Unit.MS if given.ms else Unit.US),
        grouping=_grouping(given),
        selection=Selection(
            laddr=given.laddr,
            raddr=given.raddr,
            lports=given.lport,
            rports=given.rport,
            family=given.family,
        ).checked(),
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
    return Grouping.parse(given.by) if given.by is not None else Grouping()


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to measure, in which groups")
    what.add_argument(
        "--sample",
        default=Sample.SRTT.value,
        choices=[sample.value for sample in Sample],
        help="srtt: the kernel's smoothed RTT at each received segment (default); "
        "rtt: the kernel's own samples; min: its minimum RTT; inflation: rtt - min",
    )
    what.add_argument(
        "--by",
        metavar="FIELD[,...]",
        help="laddr raddr lport rport service role netns, in any combination; "
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
    what.add_argument(
        "--max-groups",
        type=_whole(1, _MOST_GROUPS),
        default=10240,
        metavar="N",
        help="at most N groups, 3 KiB each; the rest is counted as other (default 10240)",
    )
    what.add_argument(
        "--idle",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a group without a sample for so long may lose its place when there are too many "
        "(default 60)",
    )
    what.add_argument("--attach", choices=["fentry", "tp_btf"], help="the hook; default: by host")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group("filters, of which all must agree")
    address, ports = _checked(parse_network), _checked(parse_ports)
    for short, name, seed, what in (
        ("-a", "--laddr", "--saddr", "local"),
        ("-A", "--raddr", "--daddr", "remote"),
    ):
        filters.add_argument(
            short, name, seed, type=address, metavar="ADDRESS[/N]", help=f"{what} address or prefix"
        )
    for short, name, seed, what in (
        ("-p", "--lport", "--sport", "local"),
        ("-P", "--rport", "--dport", "remote"),
    ):
        filters.add_argument(
            short, name, seed, type=ports, default=(), metavar="PORT[,...]", help=f"{what} port"
        )
    family = filters.add_mutually_exclusive_group()
    for short, number in (("-4", 4), ("-6", 6)):
        family.add_argument(
            short,
            f"--ipv{number}",
            dest="family",
            action="store_const",
            const=number,
            help=f"only IPv{number}",
        )
    filters.add_argument(
        "--netns", metavar="NETNS", help="network namespace: name, path, inode number or pid"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "-i",
        "--interval",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="between prints (default 10)",
    )
    output.add_argument(
        "-d", "--duration", type=_seconds, metavar="SECONDS", help="end after so long"
    )
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
    most = output.add_mutually_exclusive_group()
    most.add_argument("--top", type=_whole(1, _MOST_GROUPS), metavar="N", help="at most N groups")
    most.add_argument("--all", action="store_true", help="all groups, however tall the terminal")


def _checked(parse_: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Argparse would hide what a UsageError says unless it is one of its own."""

    def convert(text: str) -> _Value:
        try:
            return parse_(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _whole(least: int, most: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        digits = len(str(most))
        if text.isascii() and text.isdecimal() and len(text) <= digits:
            number = int(text)
            if least <= number <= most:
                return number
        message = f"'{printable(text)}' is not a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)

    return convert


def _seconds(text: str) -> float:
    try:
        number = float(text) if text.isascii() and "_" not in text else 0.0
    except ValueError:
        number = 0.0
    # NaN compares false and is refused with the rest.
    if 0.01 <= number <= _LONGEST_S:  # noqa: PLR2004 - shorter would only print
        return number
    message = f"'{printable(text)}' is not a number of seconds, 0.01 at least"
    raise argparse.ArgumentTypeError(message)
