"""`--json`: one object a line, for each group and print.

docs/measuring.md says what the figures are.  A line of samples that belong to no group shown has
`"group": "other"` or `"retired"` beside an empty key; no other line has that field.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, TextIO, TypeAlias

import numpy as np

from tcpvitals.model.columns import PERCENTILES
from tcpvitals.model.context import Context
from tcpvitals.model.histogram import HIGHS, LOWS
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import CLEAN, Measurement, Unit
from tcpvitals.model.printable import printable
from tcpvitals.model.rtt import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from tcpvitals.model.rtt_report import RttPrint

Json: TypeAlias = "str | float | Mapping[str, Json] | list[list[int]] | None"

# Quantiles are interpolated: digits past the thousandth would say nothing.
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesSink:
    """Writes a line for each group with samples, the newest and busiest first, `top` at most.

    The overflow group and the retired ones follow if they have samples.  A print without any
    samples is one line of count 0, so that a reader sees the program alive, and its losses.
    """

    stream: TextIO
    measurement: Measurement = field(default_factory=Measurement)
    grouping: Grouping = field(default_factory=Grouping)
    top: int | None = None

    def show(self, print_: RttPrint) -> None:
        """Write one print."""
        lines = list(self._lines(print_)) or [self._idle(print_)]
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()

    def _lines(self, print_: RttPrint) -> Iterator[str]:
        shown = print_.shown
        rows = print_.rows()[: self.top]
        quantiles = shown.table.take(rows).quantiles(tuple(PERCENTILES.values()))
        for row, values in zip(rows, quantiles.tolist(), strict=True):
            labels = shown.keys[row].labels(self.grouping, print_.names)
            key = {name: printable(value) for name, value in labels.items()}
            yield self._line(print_, {"key": key}, shown.table.row(row), values)
        for group, distribution in (("other", shown.other), ("retired", shown.retired)):
            if distribution.taken:
                yield self._groupless(print_, group, distribution)

    def _idle(self, print_: RttPrint) -> str:
        measured = self.measurement
        nothing = Distribution.empty(measured.unit, Context() if measured.sample in CLEAN else None)
        if self.grouping.fields:
            return self._groupless(print_, "other", nothing)
        return self._line(print_, {"key": {}}, nothing, [None] * len(PERCENTILES))

    def _groupless(self, print_: RttPrint, group: str, distribution: Distribution) -> str:
        values = distribution.quantiles(tuple(PERCENTILES.values()))
        return self._line(print_, {"key": {}, "group": group}, distribution, values)

    def _line(
        self,
        print_: RttPrint,
        group: Mapping[str, Json],
        distribution: Distribution,
        quantiles: list[float | None],
    ) -> str:
        unit = self.measurement.unit
        fields: dict[str, Json] = {
            "type": "rtt",
            "time": rfc3339(print_.wall_time),
            "interval_s": round(print_.shown.seconds, _DIGITS),
            "sample": self.measurement.sample,
            "unit": unit,
            **group,
            "count": distribution.count,
            "sum": _in_unit(distribution.sum_us, unit),
            "min": _in_unit(distribution.min_us, unit),
            "max": _in_unit(distribution.max_us, unit),
            **{name: _rounded(value) for name, value in zip(PERCENTILES, quantiles, strict=True)},
            **_context(distribution.context, unit),
            "buckets": filled_buckets(distribution),
            "dropped": dict(print_.shown.losses),
        }
        return json.dumps(fields, separators=(",", ":"))


def rfc3339(moment: datetime) -> str:
    """Write a time with its zone as RFC 3339 has it, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def filled_buckets(distribution: Distribution) -> list[list[int]]:
    """Return [low, high, count] of the fine buckets with samples; both edges are inclusive."""
    filled = np.flatnonzero(distribution.buckets)
    columns = (LOWS[filled], HIGHS[filled], distribution.buckets[filled])
    return [[int(low), int(high), int(count)] for low, high, count in zip(*columns, strict=True)]


def _context(context: Context | None, unit: Unit) -> dict[str, Json]:
    """What stands beside clean samples, nothing for others."""
    if context is None:
        return {}
    return {
        "samples": context.samples,
        "min_rtt": _in_unit(context.floor_us, unit),
        "handshakes": context.handshakes,
        "handshake": _rounded(_in_unit(context.mean_handshake_us, unit)),
    }


def _in_unit(us: float | None, unit: Unit) -> float | None:
    return us if us is None or unit is Unit.US else us / unit.divisor


def _rounded(value: float | None) -> float | None:
    return None if value is None or isnan(value) else round(value, _DIGITS)
