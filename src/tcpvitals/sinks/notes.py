"""The lines under the groups: what is not shown above, and what was not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpvitals.sinks.remarks import hidden_line, lost_line

if TYPE_CHECKING:
    from tcpvitals.model.rtt import RttInterval
    from tcpvitals.model.rtt_report import RttPrint


def notes(print_: RttPrint, hidden: int, *, hints: bool = True) -> list[str]:
    """Return them.

    Args:
        print_: what the sink shows.
        hidden: how many groups with samples the sink leaves out.
        hints: whether to name the option that shows them.
    """
    shown = print_.shown
    lines = [
        _nothing(print_),
        hidden_line(hidden, hint=hints),
        _other(shown),
        _retired(shown),
        lost_line(shown.losses),
    ]
    return [line for line in lines if line]


def _nothing(print_: RttPrint) -> str:
    if not print_.cumulative.total().taken:
        return "no samples yet"
    return "" if print_.shown.total().taken else "no samples in this interval"


def _other(shown: RttInterval) -> str:
    count = shown.other.taken
    return (
        f"other: {count} samples past the limit of {shown.groups_limit} groups "
        "(--max-groups raises it)"
        if count
        else ""
    )


def _retired(shown: RttInterval) -> str:
    count = shown.retired.taken
    return f"retired: {count} samples of groups that have long been idle" if count else ""
