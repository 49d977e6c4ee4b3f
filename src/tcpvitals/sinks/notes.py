"""The lines under the groups: what is not shown above, and what was not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tcpvitals.model.report import Print
    from tcpvitals.model.snapshot import Interval


def notes(print_: Print, hidden: int) -> list[str]:
    """Return them; `hidden` is how many groups with samples the sink leaves out."""
    shown = print_.shown
    lines = [
        _nothing(print_),
        _hidden(hidden),
        _other(shown),
        _retired(shown),
        _lost(shown),
    ]
    return [line for line in lines if line]


def _nothing(print_: Print) -> str:
    if not print_.cumulative.total().count:
        return "no samples yet"
    return "" if print_.shown.total().count else "no samples in this interval"


def _hidden(groups: int) -> str:
    if not groups:
        return ""
    return (
        "... and 1 more group (--all shows it)"
        if groups == 1
        else f"... and {groups} more groups (--all shows them)"
    )


def _other(shown: Interval) -> str:
    count = shown.other.count
    return (
        f"other: {count} samples past the limit of {shown.groups_limit} groups "
        "(--max-groups raises it)"
        if count
        else ""
    )


def _retired(shown: Interval) -> str:
    count = shown.retired.count
    return f"retired: {count} samples of groups that have long been idle" if count else ""


def _lost(shown: Interval) -> str:
    reasons = [f"{reason} {count}" for reason, count in shown.losses.items() if count]
    return f"lost: {', '.join(reasons)}" if reasons else ""
