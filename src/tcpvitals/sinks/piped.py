"""Tables for other programs to read: a line for each group, and the same number of words in each.

Nothing depends on a terminal.  Remarks begin with #, and with -T each line with the time of day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tcpvitals.sinks.rows import TextTable


def piped(table: TextTable, remarks: Sequence[str], time: datetime | None) -> list[str]:
    """Return the lines of a table and of what is to be said of it.

    Args:
        table: the table, laid out in lines of any width.
        remarks: what stands below it.
        time: the time of day, if lines are to begin with it.
    """
    clock = f"{time:%H:%M:%S} " if time else ""
    heading = f"{'TIME':<{len(clock) - 1}} " if time else ""
    head, *rows = table.lines() or [""]
    lines = [f"{heading}{head}", *(f"{clock}{row}" for row in rows)] if head else []
    return [*lines, *(f"# {clock}{remark}" for remark in remarks)]


def filled(title: str, heading: str) -> str:
    """Return a title with as many words as the heading has, for a row that has no group."""
    return " ".join([title, *["-"] * heading.count(" ")])
