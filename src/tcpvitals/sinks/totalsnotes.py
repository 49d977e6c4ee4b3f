"""The lines under a table of totals: what is not shown above, and what was not counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpvitals.sinks.remarks import all_hint, hidden_line, lost_line

if TYPE_CHECKING:
    from tcpvitals.model.totals import Totals
    from tcpvitals.model.totals_report import TotalsPrint


def notes(print_: TotalsPrint, hidden: int, quiet: int, *, hints: bool = True) -> list[str]:
    """Return them.

    Args:
        print_: what the sink shows.
        hidden: how many groups with retransmissions the sink leaves out.
        quiet: how many groups without it leaves out.
        hints: whether to name the option that shows them.
    """
    shown = print_.shown
    past_limit = f"past the limit of {shown.groups_limit} groups (--max-groups raises it)"
    lines = [
        _nothing(print_),
        hidden_line(hidden, hint=hints),
        _quiet(quiet, hint=hints),
        _groupless("other", shown.other, past_limit),
        _groupless("retired", shown.retired, "by groups that have long been idle"),
        _unattributed(print_),
        lost_line(shown.losses),
    ]
    return [line for line in lines if line]


def _nothing(print_: TotalsPrint) -> str:
    if not print_.cumulative.total().values.any():
        return "nothing sent yet"
    if not print_.shown.total().values.any():
        return "nothing sent in this interval"
    if print_.min_ratio and not print_.rows():
        return f"no group has a retransmission ratio of {100 * print_.min_ratio:g} % or more"
    return ""


def _quiet(groups: int, *, hint: bool) -> str:
    if not groups:
        return ""
    which = "1 group" if groups == 1 else f"{groups} groups"
    said = f"{which} without retransmissions {'is' if groups == 1 else 'are'} not shown"
    return said + all_hint(groups) if hint else said


def _groupless(name: str, totals: Totals, whose: str) -> str:
    sent, again = totals["segments_sent"], totals["segments_retransmitted"]
    if not sent and not again:
        return ""
    return f"{name}: {sent} segments sent, {again} retransmitted, {whose}"


def _unattributed(print_: TotalsPrint) -> str:
    count = print_.unattributed(print_.shown.total())
    return (
        f"unattributed: {count} segments that the kernel retransmitted and we did not see"
        if count
        else ""
    )
