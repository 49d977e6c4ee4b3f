"""What `--verify` found: our totals beside the kernel's own, as text and as JSON lines.

A namespace in which neither side counted anything is not shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.printable import printable
from tcpvitals.sinks.folding import folded
from tcpvitals.sinks.jsonlines import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.verification import Comparison, NamespaceReport, Verification

NOTHING = "Neither we nor the kernel counted anything in any network namespace\n\n"
UNKNOWN = "{} network namespace{} without a process: identity unknown here, not verified"
GONE = "{} network namespace{} gone, not verified: we counted {} segments retransmitted there"
# Before what is said of a row below it.
_UNDER: Final = 4 * " "


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationConsoleSink:
    """Writes a block for each namespace, a row for each counter, and a line for all the others.

    `size` returns columns and lines of the terminal, and is asked at each print: what does not fit
    is folded between words.  Without it, each row is one line.
    """

    stream: TextIO
    size: Callable[[], tuple[int, int]] | None = None

    def show(self, found: Verification, _wall_time: datetime, names: Names) -> None:
        """Write one print, with a blank line after each block; the totals above have the time."""
        width = self.size()[0] if self.size else None
        blocks = [_block(report, names, width) for report in found.reports if report.active]
        others = [folded([line], width) for line in _others(found)]
        self.stream.write(
            "".join("\n".join([*one, "", ""]) for one in [*blocks, *others]) or NOTHING
        )
        self.stream.flush()


def _block(report: NamespaceReport, names: Names, width: int | None) -> list[str]:
    title = f"Network namespace: {printable(names.namespace(report.inode))}"
    heading = _row("COUNTER", "OURS", "KERNEL", "DIFFERENCE")
    rows = [line for one in report.comparisons for line in _comparison_rows(one, width)]
    return [*folded([title], width), heading, *rows]


def _others(found: Verification) -> Iterator[str]:
    """One line for all that are gone, however many, and one for those that are unknown."""
    gone, unknown = found.gone.namespaces, len(found.unknown)
    if gone:
        yield GONE.format(gone, _s(gone), found.gone.retransmitted)
    if unknown:
        yield UNKNOWN.format(unknown, _s(unknown))


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _comparison_rows(one: Comparison, width: int | None) -> list[str]:
    """Return the row, with what is said of it behind it, or below it where that does not fit."""
    difference = f"{one.difference:+}" if one.difference else "0"
    row = _row(one.counter, str(one.ours), str(one.kernel), difference)
    said = _said(one)
    if width is None or not said or len(f"{row}  {said}") <= width:
        return [f"{row}  {said}".rstrip()]
    return [row, *folded([f"{_UNDER}{said}"], width, _UNDER)]


def _said(one: Comparison) -> str:
    """Why they differ, and how much of what the known reasons allow that takes."""
    if one.status == "equal":
        return ""
    said = "UNEXPLAINED" if one.status == "unexplained" else one.explanation or ""
    return f"{said} ({abs(one.difference)} of {one.allowed} allowed)"


def _row(counter: str, ours: str, kernel: str, difference: str) -> str:
    return f"{counter:<19} {ours:>12} {kernel:>12} {difference:>10}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationJsonSink:
    """Writes a line for each namespace, and one for all that could not be verified."""

    stream: TextIO

    def show(self, found: Verification, wall_time: datetime, names: Names) -> None:
        """Write one print; nothing at all if nothing was counted anywhere."""
        lines = [_line(one, wall_time, names) for one in found.reports if one.active]
        if found.gone.namespaces or found.unknown:
            lines.append(_others_line(found, wall_time))
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()


def _line(report: NamespaceReport, wall_time: datetime, names: Names) -> str:
    fields = {
        "type": "verify",
        "time": rfc3339(wall_time),
        "netns": printable(names.namespace(report.inode)),
        "counters": {one.counter: _fields(one) for one in report.comparisons},
        "explained": report.explained,
    }
    return json.dumps(fields, separators=(",", ":"))


def _others_line(found: Verification, wall_time: datetime) -> str:
    fields = {
        "type": "not_verified",
        "time": rfc3339(wall_time),
        "gone": found.gone.namespaces,
        "gone_retransmitted": found.gone.retransmitted,
        "unknown": len(found.unknown),
    }
    return json.dumps(fields, separators=(",", ":"))


def _fields(one: Comparison) -> dict[str, int | str | bool | None]:
    return {
        "ours": one.ours,
        "kernel": one.kernel,
        "difference": one.difference,
        "allowed": one.allowed,
        "explanation": one.explanation,
        "explained": one.status != "unexplained",
    }
