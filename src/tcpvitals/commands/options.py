"""Options that several commands share: filters, groups, durations.  Loads nothing."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from tcpvitals.errors import UsageError
from tcpvitals.kernel import netns
from tcpvitals.kernel.processes import check_process
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable
from tcpvitals.model.scope import Scope, parse_scopes
from tcpvitals.model.selection import Selection, parse_network, parse_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tcpvitals.model.columns import RttColumn, TotalsColumn
    from tcpvitals.model.selection import Ports

_Value = TypeVar("_Value")

MOST_GROUPS: Final = 1_000_000
USUAL_GROUPS: Final = 10_240
USUAL_IDLE_S: Final = 60.0
USUAL_RING_BYTES: Final = 1 << 24
# About ten years: what the clock and select() can still take.
_LONGEST_S: Final = 3e8
# PID_MAX_LIMIT of linux/threads.h
_LAST_PID: Final = 1 << 22


def add_filters(
    parser: argparse.ArgumentParser,
    lport: tuple[str, ...] = (),
    rport: tuple[str, ...] = (),
) -> None:
    """Add the filters; ports may have more names."""
    filters = parser.add_argument_group("filters, of which all must agree")
    address, ports = checked(parse_network), checked(_ports)
    for short, name, seed, what in (
        ("-a", "--laddr", "--saddr", "local"),
        ("-A", "--raddr", "--daddr", "remote"),
    ):
        filters.add_argument(
            short, name, seed, type=address, metavar="ADDRESS[/N]", help=f"{what} address or prefix"
        )
    for spelled, what in (
        (("-p", "--lport", "--sport", *lport), "local"),
        (("-P", "--rport", "--dport", *rport), "remote"),
    ):
        filters.add_argument(
            *spelled,
            type=ports,
            default=(),
            metavar="PORT[,...]",
            help=f"{what} ports: 443, 8000-8010, https",
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
        "--scope",
        type=checked(parse_scopes),
        default=(),
        metavar="SCOPE[,...]",
        help=f"where the other end is: {' '.join(Scope)}",
    )
    filters.add_argument(
        "--netns", metavar="NETNS", help="network namespace: name, path, inode number or pid"
    )
    filters.add_argument(
        "--pid", type=whole(1, _LAST_PID), metavar="PID", help="the process that owns the socket"
    )


def _ports(text: str) -> tuple[Ports, ...]:
    return parse_ports(text, _port_of)


def _port_of(service: str) -> int | None:
    import socket  # noqa: PLC0415 - takes longer than all other options

    try:
        return socket.getservbyname(service, "tcp")
    except (OSError, ValueError):  # ValueError: a null byte, or no text that can be encoded
        return None


def selection(given: argparse.Namespace) -> Selection:
    """Return the filters that were given, but for the namespace's.

    Raises:
        UsageError: nothing could ever pass.
    """
    return Selection(
        laddr=given.laddr,
        raddr=given.raddr,
        lports=given.lport,
        rports=given.rport,
        family=given.family,
        scopes=given.scope,
        pid=given.pid,
    ).checked()


def on_this_host(chosen: Selection, name: str | None) -> Selection:
    """Return the filters with the network namespace that was named, if one was.

    Raises:
        UsageError: there is no such namespace, or no process that was asked for.
    """
    if chosen.pid is not None:
        check_process(chosen.pid)
    return replace(chosen, netns_inode=netns.find_inode(name)) if name is not None else chosen


def add_limits(
    groups: argparse._ArgumentGroup, *, bytes_each: str, idle: str, default: int = USUAL_GROUPS
) -> None:
    """Add how many groups there may be."""
    groups.add_argument(
        "--max-groups",
        type=whole(1, MOST_GROUPS),
        default=default,
        metavar="N",
        help=f"at most N groups, {bytes_each} each; the rest is counted as other "
        f"(default {default})",
    )
    groups.add_argument(
        "--idle",
        type=seconds,
        default=USUAL_IDLE_S,
        metavar="SECONDS",
        help=f"a group {idle} for so long may lose its place when there are too many "
        f"(default {USUAL_IDLE_S:g})",
    )


def add_top(
    output: argparse._ArgumentGroup, columns: type[TotalsColumn | RttColumn], usual: str, every: str
) -> None:
    """Add how many groups are shown, and in which order."""
    most = output.add_mutually_exclusive_group()
    most.add_argument("--top", type=whole(1, MOST_GROUPS), metavar="N", help="at most N groups")
    most.add_argument("--all", action="store_true", help=every)
    words = {column.value: column for column in columns}
    output.add_argument(
        "--sort",
        type=one_of(words),
        metavar="COLUMN",
        help=f"the most of it first: {' '.join(words)}; default: {usual} first",
    )


def add_duration(output: argparse._ArgumentGroup) -> None:
    """Add when it ends."""
    output.add_argument(
        "-d", "--duration", type=seconds, metavar="SECONDS", help="end after so long"
    )


def add_buffer(parser: argparse._ArgumentGroup) -> None:
    """Add how much room events have."""
    parser.add_argument(
        "--buffer",
        type=_ring_bytes,
        default=USUAL_RING_BYTES,
        metavar="KIB",
        help="room for events that are not yet shown, a power of two "
        f"(default {USUAL_RING_BYTES >> 10})",
    )


def _ring_bytes(text: str) -> int:
    kib = whole(4, 1 << 20)(text)
    if kib & (kib - 1):
        message = f"'{printable(text)}' is not a power of two"
        raise argparse.ArgumentTypeError(message)
    return kib << 10


def checked(parse_: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Argparse would hide what a UsageError says unless it is one of its own."""

    def convert(text: str) -> _Value:
        try:
            return parse_(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def one_of(words: Mapping[str, _Value]) -> Callable[[str], _Value]:
    """Return what reads one of these words."""

    def convert(text: str) -> _Value:
        if text.lower() in words:
            return words[text.lower()]
        message = f"'{printable(text)}' is not one of {', '.join(words)}"
        raise argparse.ArgumentTypeError(message)

    return convert


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number within these bounds."""

    def convert(text: str) -> int:
        number = whole_number(text, least, most)
        if number is not None:
            return number
        message = f"'{printable(text)}' is not a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(message)

    return convert


def seconds(text: str) -> float:
    """Read a duration; shorter than 0.01 s would only print."""
    try:
        number = float(text) if text.isascii() and "_" not in text else 0.0
    except ValueError:
        number = 0.0
    # NaN compares false and is refused with the rest.
    if 0.01 <= number <= _LONGEST_S:  # noqa: PLR2004 - as the text says
        return number
    message = f"'{printable(text)}' is not a number of seconds, 0.01 at least"
    raise argparse.ArgumentTypeError(message)
