"""What one histogram measures: which sample of a connection's RTT, in which unit.

Nothing here needs numpy, because the options are parsed with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sample(StrEnum):
    """The figure that is read from a socket; docs/measuring.md says at which moment."""

    SRTT = "srtt"
    RTT = "rtt"
    MIN = "min"
    INFLATION = "inflation"


class Unit(StrEnum):
    """The unit of the buckets.  Sums, minima and maxima are kept in microseconds whatever it is."""

    US = "us"
    MS = "ms"

    @property
    def divisor(self) -> int:
        """Microseconds in one unit: the BPF side divides by it, rounding down, before bucketing."""
        return 1 if self is Unit.US else 1000


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the figures of one run of the program are."""

    sample: Sample = Sample.SRTT
    unit: Unit = Unit.US
