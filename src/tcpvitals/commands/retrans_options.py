"""The options of `tcpvitals retrans`, and what they ask for.  Loads nothing, and needs no numpy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpvitals.commands.options import (
    USUAL_GROUPS,
    USUAL_IDLE_S,
    USUAL_RING_BYTES,
    add_buffer,
    add_duration,
    add_filters,
    add_limits,
    add_top,
    checked,
    seconds,
    selection,
)
from tcpvitals.errors import UsageError
from tcpvitals.model.columns import TotalsColumn
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.selection import Selection

_FLOW = Grouping((Field.LADDR, Field.LPORT, Field.RADDR, Field.RPORT))


@dataclass(frozen=True, slots=True)
class RetransOptions:
    """What to count or tell, and how to show it; without `grouping`, event by event."""

    grouping: Grouping | None
    selection: Selection
    netns: str | None
    verify: bool
    min_ratio: float
    max_groups: int
    idle_s: float
    ring_bytes: int
    interval_s: float | None
    duration_s: float | None
    timestamp: bool
    delta: bool
    json: bool
    top: int | None
    all: bool
    wide: bool
    sort: TotalsColumn | None


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> RetransOptions:
    """Read the command line.

    Raises:
        UsageError: it asks for something that does not exist or contradicts itself.
    """
    _add_what(parser)
    add_filters(parser)
    _add_output(parser)
    # What was given can then be told from what was not: see `_check`.
    parser.set_defaults(max_groups=None, idle=None, buffer=None)
    given = parser.parse_args(arguments)
    grouping = _grouping(given)
    _check(given, grouping)
    return RetransOptions(
        grouping=grouping,
        selection=selection(given),
        netns=given.netns,
        verify=given.verify,
        min_ratio=given.min_ratio,
        max_groups=given.max_groups or USUAL_GROUPS,
        idle_s=given.idle or USUAL_IDLE_S,
        ring_bytes=given.buffer or USUAL_RING_BYTES,
        interval_s=given.interval,
        duration_s=given.duration,
        timestamp=given.timestamp,
        delta=given.delta,
        json=given.json,
        top=given.top,
        all=given.all,
        wide=given.wide,
        sort=given.sort,
    )


def _grouping(given: argparse.Namespace) -> Grouping | None:
    named: Grouping | None = given.by
    return _FLOW if named is None and given.count else named


def _check(given: argparse.Namespace, grouping: Grouping | None) -> None:
    """Options that would change nothing are a misunderstanding."""
    if grouping is not None:
        if given.buffer:
            message = "--buffer is for events: leave out -c and --by"
            raise UsageError(message)
        return
    for name, value in (
        ("--max-groups", given.max_groups),
        ("--idle", given.idle),
        ("--min-ratio", given.min_ratio),
        ("--delta", given.delta),
        ("-T", given.timestamp),
        ("--top", given.top),
        ("--all", given.all),
        ("--sort", given.sort),
    ):
        if value:
            message = f"{name} is for totals: add -c or --by"
            raise UsageError(message)
    if given.interval and not given.verify:
        message = "-i is for totals and --verify: add -c, --by or --verify"
        raise UsageError(message)


def _percent(text: str) -> float:
    """Read a percentage, as a share of 1."""
    try:
        number = float(text.removesuffix("%")) if text.isascii() and "_" not in text else -1.0
    except ValueError:
        number = -1.0
    if 0 <= number <= 100:  # noqa: PLR2004 - percent
        return number / 100
    message = f"'{printable(text)}' is not a percentage from 0 to 100"
    raise argparse.ArgumentTypeError(message)


def _add_what(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to show; by default each retransmission as it happens")
    what.add_argument("-c", "--count", action="store_true", help="totals for each flow")
    what.add_argument(
        "--by",
        type=checked(Grouping.parse),
        metavar="FIELD[,...]",
        help=f"totals by {' '.join(Field)}, in any combination; "
        "raddr/24 cuts addresses; '' is the whole host",
    )
    what.add_argument(
        "--min-ratio",
        type=_percent,
        default=0.0,
        metavar="PERCENT",
        help="only groups with at least this retransmission ratio",
    )
    what.add_argument(
        "--verify",
        action="store_true",
        help="compare with the kernel's own counters, for each network namespace; "
        "status 3 if there is a difference that nothing explains",
    )
    add_limits(what, bytes_each="300 bytes", idle="that sends nothing")
    add_buffer(what)


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output")
    output.add_argument(
        "-i",
        "--interval",
        type=seconds,
        metavar="SECONDS",
        help="between prints of totals; default: once, at the end",
    )
    add_duration(output)
    output.add_argument(
        "-T", "--timestamp", action="store_true", help="time of day with each print of totals"
    )
    output.add_argument("--delta", action="store_true", help="each interval alone")
    output.add_argument("--json", action="store_true", help="one JSON object a line")
    output.add_argument(
        "-w",
        "--wide",
        action="store_true",
        help="all columns in one line each, however narrow the terminal",
    )
    add_top(
        output,
        TotalsColumn,
        "the most retransmitted segments",
        "all groups, those without retransmissions too, however tall the terminal",
    )
