"""What `--verify` found: our totals beside the kernel's own, as text and as JSON lines.

A namespace in which neither side counted anything is not shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from tcpvitals.model.printable import printable
from tcpvitals.sinks.jsonlines import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.verification import Comparison, NamespaceReport

NOTHING = "Neither we nor the kernel counted anything in any network namespace\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationConsoleSink:
    """Writes a block for each namespace, a row for each counter."""

    stream: TextIO

    def show(self, reports: Sequence[NamespaceReport], _wall_time: datetime, names: Names) -> None:
        """Write one print, with a blank line after each block; the totals above have the time."""
        blocks = "".join(_block(report, names) for report in reports if report.active)
        self.stream.write(blocks or NOTHING)
        self.stream.flush()


def _block(report: NamespaceReport, names: Names) -> str:
    title = f"Network namespace: {printable(names.namespace(report.inode))}"
    if report.gone:
        return f"{title}: gone, not verified\n\n"
    rows = [_row("COUNTER", "OURS", "KERNEL", "DIFFERENCE", "")]
    rows += [_comparison_row(comparison) for comparison in report.comparisons]
    return "\n".join([title, *rows, "", ""])


def _comparison_row(one: Comparison) -> str:
    said = "UNEXPLAINED" if one.status == "unexplained" else one.explanation or ""
    difference = f"{one.difference:+}" if one.difference else "0"
    return _row(one.counter, str(one.ours), str(one.kernel), difference, said)


def _row(counter: str, ours: str, kernel: str, difference: str, said: str) -> str:
    return f"{counter:<19} {ours:>12} {kernel:>12} {difference:>10}  {said}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationJsonSink:
    """Writes a line for each namespace.  One that is gone has no counters, and no fault."""

    stream: TextIO

    def show(self, reports: Sequence[NamespaceReport], wall_time: datetime, names: Names) -> None:
        """Write one print; nothing at all if nothing was counted anywhere."""
        lines = (_line(report, wall_time, names) for report in reports if report.active)
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()


def _line(report: NamespaceReport, wall_time: datetime, names: Names) -> str:
    fields = {
        "type": "verify",
        "time": rfc3339(wall_time),
        "netns": names.namespace(report.inode),
        "counters": {one.counter: _fields(one) for one in report.comparisons},
        "gone": report.gone,
        "explained": report.explained,
    }
    return json.dumps(fields, separators=(",", ":"))


def _fields(one: Comparison) -> dict[str, int | str | bool | None]:
    return {
        "ours": one.ours,
        "kernel": one.kernel,
        "difference": one.difference,
        "explanation": one.explanation,
        "explained": one.status != "unexplained",
    }
