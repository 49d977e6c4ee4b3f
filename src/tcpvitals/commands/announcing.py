"""The first line on a terminal: what is measured, and when there will be something to see."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from tcpvitals.commands.output import output_errors
from tcpvitals.sinks.folding import folded

if TYPE_CHECKING:
    from typing import TextIO

_ENDS = "Ctrl-C ends"


def when(interval_s: float | None, duration_s: float | None) -> str:
    """Return when there are prints, and when they end; without an interval, only at the end."""
    if interval_s is None:
        return (
            "shown with Ctrl-C (-i 5: every 5 s)"
            if duration_s is None
            else f"shown after {duration_s:g} s, {_ENDS}"
        )
    if duration_s is None:
        return f"every {interval_s:g} s, {_ENDS}"
    if duration_s <= interval_s:
        return f"for {duration_s:g} s, {_ENDS}"
    return f"every {interval_s:g} s for {duration_s:g} s, {_ENDS}"


def announce(line: str, stream: TextIO) -> None:
    """Write a line for people, with a blank one after it.

    To the output if that is a terminal, else to standard error if that is.
    """
    for one in (stream, sys.stderr):
        if one is not None and one.isatty():
            with output_errors():
                parts = folded([line], shutil.get_terminal_size().columns)
                one.write("\n".join([*parts, "", ""]))
                one.flush()
            return
