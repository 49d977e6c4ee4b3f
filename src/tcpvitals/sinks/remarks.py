"""Lines that several texts have under what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping


def hidden_line(groups: int, *, hint: bool) -> str:
    """Say that there are more groups than shown, with a hint at --all; empty if there are none."""
    if not groups:
        return ""
    said = "... and 1 more group" if groups == 1 else f"... and {groups} more groups"
    return said + all_hint(groups) if hint else said


def all_hint(groups: int) -> str:
    """Return how to see groups that are not shown."""
    return f" (--all shows {'it' if groups == 1 else 'them'})"


def lost_line(losses: Mapping[str, int]) -> str:
    """Say what was lost, by reason; empty if nothing was."""
    reasons = [f"{reason} {count}" for reason, count in losses.items() if count]
    return f"lost: {', '.join(reasons)}" if reasons else ""


def write_lost(stream: TextIO, losses: Mapping[str, int]) -> None:
    """Write `lost_line` as a line of its own among events, at once; nothing if nothing was."""
    line = lost_line(losses)
    if line:
        stream.write(f"{line}\n")
        stream.flush()
