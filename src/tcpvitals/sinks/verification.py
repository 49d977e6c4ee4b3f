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
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.verification import Comparison, NamespaceReport, Verification

NOTHING = "Neither we nor the kernel counted anything in any network namespace\n\n"
UNKNOWN = "{} network namespace{} without a process: identity unknown here, not verified\n\n"
GONE = "{} network namespace{} gone, not verified: we counted {} segments retransmitted there\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationConsoleSink:
    """Writes a block for each namespace, a row for each counter, and a line for all the others."""

    stream: TextIO

    def show(self, found: Verification, _wall_time: datetime, names: Names) -> None:
        """Write one print, with a blank line after each block; the totals above have the time."""
        blocks = "".join(_block(report, names) for report in found.reports if report.active)
        self.stream.write(blocks + _others(found) or NOTHING)
        self.stream.flush()


def _block(report: NamespaceReport, names: Names) -> str:
    title = f"Network namespace: {printable(names.namespace(report.inode))}"
    rows = [_row("COUNTER", "OURS", "KERNEL", "DIFFERENCE", "")]
    rows += [_comparison_row(comparison) for comparison in report.comparisons]
    return "\n".join([title, *rows, "", ""])


def _others(found: Verification) -> str:
    """One line for all that are gone, however many, and one for those that are unknown."""
    gone, unknown = found.gone.namespaces, len(found.unknown)
    lines = GONE.format(gone, _s(gone), found.gone.retransmitted) if gone else ""
    return lines + (UNKNOWN.format(unknown, _s(unknown)) if unknown else "")


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _comparison_row(one: Comparison) -> str:
    difference = f"{one.difference:+}" if one.difference else "0"
    return _row(one.counter, str(one.ours), str(one.kernel), difference, _said(one))


def _said(one: Comparison) -> str:
    """Why they differ, and how much of what the known reasons allow that takes."""
    if one.status == "equal":
        return ""
    said = "UNEXPLAINED" if one.status == "unexplained" else one.explanation or ""
    return f"{said} ({abs(one.difference)} of {one.allowed} allowed)"


def _row(counter: str, ours: str, kernel: str, difference: str, said: str) -> str:
    return f"{counter:<19} {ours:>12} {kernel:>12} {difference:>10}  {said}".rstrip()


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
