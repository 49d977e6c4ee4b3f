"""`--json` of totals: one object a line, for each group and print.

A line of what belongs to no group shown has `"group": "other"` or `"retired"` beside an empty key;
no other line has that field.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.key import Grouping
from tcpvitals.model.printable import printable
from tcpvitals.model.totals import Totals
from tcpvitals.sinks.jsonlines import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tcpvitals.model.totals_report import TotalsPrint

_RATIO_DIGITS: Final = 6
_SECONDS_DIGITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsJsonSink:
    """Writes a line for each group, what hurts most first, `top` at most.

    The overflow group and the retired ones follow if they have anything.  A print without any line
    gets one all the same, so that a reader sees the program alive, and its losses.
    """

    stream: TextIO
    grouping: Grouping = field(default_factory=Grouping)
    top: int | None = None

    def show(self, print_: TotalsPrint) -> None:
        """Write one print."""
        lines = list(self._lines(print_)) or [self._idle(print_)]
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()

    def _lines(self, print_: TotalsPrint) -> Iterator[str]:
        shown = print_.shown
        for row in print_.rows()[: self.top]:
            yield _line(print_, {"key": self._key(print_, row)}, shown.table.row(row))
        for group, totals in (("other", shown.other), ("retired", shown.retired)):
            if totals.values.any():
                yield _line(print_, {"key": {}, "group": group}, totals)

    def _key(self, print_: TotalsPrint, row: int) -> dict[str, str]:
        labels = print_.shown.keys[row].labels(self.grouping, print_.names)
        return {name: printable(value) for name, value in labels.items()}

    def _idle(self, print_: TotalsPrint) -> str:
        if self.grouping.fields:
            return _line(print_, {"key": {}, "group": "other"}, Totals.empty())
        # Not always 0: the whole host, too, may be below the ratio that was asked for.
        return _line(print_, {"key": {}}, print_.shown.total())


def _line(print_: TotalsPrint, group: Mapping[str, object], totals: Totals) -> str:
    ratio = totals.ratio
    fields = {
        "type": "totals",
        "time": rfc3339(print_.wall_time),
        "interval_s": round(print_.shown.seconds, _SECONDS_DIGITS),
        **group,
        "sent": totals["segments_sent"],
        "bytes_sent": totals["bytes_sent"],
        "retransmitted": totals["segments_retransmitted"],
        "bytes_retransmitted": totals["bytes_retransmitted"],
        "ratio": None if ratio is None else round(ratio, _RATIO_DIGITS),
        "causes": totals.by_cause(),
        "unnecessary": totals["segments_unnecessary"],
        "failed": print_.failed(totals),
        "unattributed": print_.unattributed(totals),
        "put_off": totals["attempts_put_off"],
        "control": totals["segments_control"],
        "gave_up": totals["timeouts_last"],
        "dropped": dict(print_.shown.losses),
    }
    return json.dumps(fields, separators=(",", ":"))
